# SPDX-License-Identifier: Apache-2.0
"""Training and evaluation by name: from Python, and as the commands of `motrix`.

    import rl_zoo

    run = rl_zoo.train("Motrix/Go1-v0", seed=0, learning_rate=5e-4, env={"gait_frequency": 2.0})
    print(run.evaluate(episodes=200))
    policy = run.policy()  # NumPy in, NumPy out

`rl_zoo.session(...)` trains one update at a time, `rl_zoo.resume(folder)` continues a run, and
`rl_zoo.Run.open(folder)` opens one. Modules are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl_zoo.errors import UsageError, ZooError
    from rl_zoo.runs import Run
    from rl_zoo.training import resume, session, train

__all__ = ["Run", "UsageError", "ZooError", "resume", "session", "train"]

_MODULES = {
    "Run": "rl_zoo.runs",
    "UsageError": "rl_zoo.errors",
    "ZooError": "rl_zoo.errors",
    "resume": "rl_zoo.training",
    "session": "rl_zoo.training",
    "train": "rl_zoo.training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
