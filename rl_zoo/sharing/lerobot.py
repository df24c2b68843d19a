# SPDX-License-Identifier: Apache-2.0
"""An environment as a repository of LeRobot's environment hub: `make_env("user/name")`.

Such a repository has a file env.py with a function that takes a number of environments and returns
a vector environment, and a requirements.txt. LeRobot fetches env.py alone. So that of a user's own
task fetches the task's module too, of the same commit.
"""

import importlib
import inspect
from pathlib import Path

import motrix_gym
from motrix_gym import registration
from rl_zoo.errors import ZooError

ENV = '''\
"""{env_id} for LeRobot: `make_env("{repository}", n_envs=64, trust_remote_code=True)`."""

{imports}


def make_env(n_envs: int = 1, use_async_envs: bool = False, cfg=None):
    """Returns environments as one `gymnasium.vector.VectorEnv`, with autoreset SAME_STEP.

    They are stepped side by side, in threads, so `use_async_envs` changes nothing.
    """
    return gymnasium.make_vec("{env_id}", num_envs=n_envs)
'''
SUITES = """\
import gymnasium
import motrix_gym  # registers the id"""
OWN = """\
import sys
from pathlib import Path

import gymnasium

HERE = Path(__file__).parent
for name in {files}:
    if not (HERE / name).exists():  # LeRobot has fetched this file alone; its folder is the commit
        from huggingface_hub import hf_hub_download

        hf_hub_download("{repository}", name, revision=HERE.name)
sys.path.append(str(HERE))
import {module}  # registers the id"""

README = """\
---
tags: [lerobot, robotics, reinforcement-learning, mujoco, motrix-gym]
---

# {env_id}

{about}

```python
from lerobot.envs.factory import make_env

envs = make_env("{repository}", n_envs=64, trust_remote_code=True)
```

It needs `pip install -r requirements.txt`.
"""


def environment(env_id: str, repository: str) -> dict[str, bytes]:
    """Returns the files of a repository, by name.

    Args:
        env_id: A registered environment; one that is registered by a module of the user's own must
            be in one file, beside which an MJCF file may lie that has its name.
        repository: "user/name".

    Raises:
        ZooError: The module is a package, of which more files would be needed.
    """
    module = registration.entry(env_id).module
    texts: dict[str, str] = {}
    imports = SUITES
    if module:
        source = Path(inspect.getsourcefile(importlib.import_module(module)) or "")
        if "." in module or source.name == "__init__.py":
            raise ZooError(f"{env_id} is registered by {module}: only a single file can be pushed")
        beside = [source, *filter(Path.exists, [source.with_suffix(".xml")])]
        texts = {path.name: path.read_text() for path in beside}
        imports = OWN.format(files=tuple(texts), repository=repository, module=module)
    about = (registration.make_task(env_id).__doc__ or "").strip()
    given = {"env_id": env_id, "repository": repository, "imports": imports, "about": about}
    texts |= {
        "env.py": ENV.format(**given),
        "requirements.txt": f"motrix-gym>={motrix_gym.__version__}\n",
        "README.md": README.format(**given),
    }
    return {name: text.encode() for name, text in texts.items()}
