# SPDX-License-Identifier: Apache-2.0
"""A page that shows the first row of a training, served by a process of its own.

The process runs where a core is idle. It has an environment of one row, into which it copies what
the training left in shared memory. So the training's numbers are the same as without it.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rl_zoo.environments import find_env, make_env
from rl_zoo.errors import ZooError
from rl_zoo.viewing.shared_row import CONTEXT, RATE, Publisher, SharedRow, TrainingRow

if TYPE_CHECKING:
    from motrix_gym import MotrixVectorEnv
    from rl_zoo.sessions import Session


@contextlib.contextmanager
def page_of(training: "Session", host: str, port: int) -> Iterator[str]:
    """Serves a page while a training runs, and yields its address.

    It shows the first row of the training's first environment.

    Args:
        training: The training.
        host: The address to listen at.
        port: The port; 0 is the first that is free from 8080 on.

    Raises:
        ZooError: It cannot be served.
    """
    env_id, env = _first_env(training)
    row = SharedRow(env.simulation)
    ours, theirs = CONTEXT.Pipe()
    settings = training.plan.training_settings(env_id)
    what = env_id, _module(env_id), settings, row.memory, training.total_steps
    process = CONTEXT.Process(target=_serve, args=(theirs, *what, host, port), daemon=True)
    process.start()
    theirs.close()
    try:
        try:
            address, problem = ours.recv()
        except EOFError:
            process.join()
            address, problem = "", f"its process ended with status {process.exitcode}"
        if problem:
            raise ZooError(f"--viewer web: {problem}")
        env.intervene = Publisher(row, lambda: training.trainer.env_steps)
        yield address
    finally:
        env.intervene = None
        process.terminate()
        process.join()


def _first_env(training: "Session") -> "tuple[str, MotrixVectorEnv]":
    """Returns the first environment of a training, and its id."""
    from motrix_gym import MixedVectorEnv

    env: Any = training.trainer.env.unwrapped
    if isinstance(env, MixedVectorEnv):
        return next(iter(env.envs.items()))
    return training.plan.env_id, env


def _module(env_id: str) -> str | None:
    from motrix_gym import registration

    return registration.entry(env_id).module


def _serve(
    pipe: Any,
    env_id: str,
    module: str | None,
    settings: dict[str, Any],
    memory: Any,
    total: int,
    host: str,
    port: int,
) -> None:
    """Serves the page, in its own process, until the training ends.

    It sends (address, "") once there is the page, or ("", why not).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training
    if hasattr(os, "nice"):
        os.nice(19)
    parent = multiprocessing.parent_process()
    assert parent

    def tell(address: str) -> None:
        pipe.send((address, ""))
        _give_way()

    try:
        from rl_zoo.viewing.web import serve_training

        env = make_env(find_env(f"{module}:{env_id}" if module else env_id), settings, 1, 1)
        shown = TrainingRow(env, SharedRow(env.simulation, memory), total)
        serve_training(
            shown,
            env.task.camera,
            title=env_id,
            host=host,
            port=port,
            tell=tell,
            running=parent.is_alive,
            rate=RATE,
        )
    except ZooError as error:
        pipe.send(("", str(error)))


def _give_way() -> None:
    """Lets the threads of this process run only while a core is idle, where the system can."""
    if hasattr(os, "SCHED_IDLE"):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):  # it has ended, or a container forbids it
                os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))
