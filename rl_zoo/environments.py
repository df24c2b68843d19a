# SPDX-License-Identifier: Apache-2.0
"""Environments by name, as the commands and the functions of `rl_zoo` take them."""

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo.errors import UsageError, ZooError

if TYPE_CHECKING:
    from gymnasium.vector import AutoresetMode

    from motrix_gym import MotrixVectorEnv

DEFAULT_ENV = "Motrix/CartPole-v0"


def find_env(name: str) -> str:
    """Returns the id of a registered environment.

    Args:
        name: An id, or "module:id" to import a module that registers it.

    Raises:
        UsageError: There is no such module, or it has a mistake, or there is no such environment.
        UnknownEnvironmentError: (of motrix_gym) The module registers no such environment.
    """
    from motrix_gym import registration
    from motrix_gym.names import shown

    module, colon, env_id = name.rpartition(":")
    if colon:
        if not all(part.isprintable() and part for part in module.split(".")):
            raise UsageError(f"{shown(name)}: {shown(module)} is not the name of a module")
        if not _import_module(module):
            where = f"in {os.getcwd()} or where Python looks"
            raise UsageError(f"{shown(name)}: there is no module {shown(module)} {where}")
    try:
        return registration.entry(env_id).id
    except registration.UnknownEnvironmentError as error:
        if colon or error.near:
            raise
        raise UsageError(f"{error}, as in --env MODULE:{env_id}") from error


def env_of(env_id: str, source: object) -> str:
    """Returns the id that a file names, if it is registered; unlike `find_env`, imports nothing.

    Raises:
        ZooError: There is no such environment.
    """
    from motrix_gym import list_envs

    if env_id not in list_envs():
        raise ZooError(
            f"{source} is of {env_id}, which is not registered: if it is your own, import it with "
            f"--env MODULE:{env_id}"
        )
    return env_id


def env_of_run(manifest: dict[str, Any], folder: Path) -> str:
    """Returns the id of a run's environment, and imports the user's module that registers it.

    The module is imported only if the environment is not registered yet. A run may come from a
    stranger, and must not bring code. So modules beside or inside of the run's folder are not
    imported, nor are Python's own, some of which act when they are imported.

    Args:
        manifest: The run's manifest.
        folder: The run's folder.

    Raises:
        ZooError: The environment is not registered, even so.
    """
    from motrix_gym import list_envs

    env_id, module = manifest["env_id"], manifest.get("module")
    if module and env_id not in list_envs() and _is_users(module, folder):
        print(f"importing {module}, which registered {env_id}", flush=True)
        if not _import_module(module):
            raise ZooError(
                f"{folder} is of {env_id}, which is not registered: its module {module!r} is "
                f"neither in {os.getcwd()} nor where Python looks; go to its folder, or add that "
                "to PYTHONPATH"
            )
    return env_of(env_id, folder)


def _import_module(name: str) -> bool:
    """Imports a module; returns False if there is none of the name.

    Raises:
        UsageError: It has a mistake; the message has file and line.
    """
    _look_here()
    try:
        importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            return False
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UsageError(f"{_place(name, error)}: {type(error).__name__}: {reason}") from error
    return True


def _place(module: str, error: Exception) -> str:
    """Returns file and line of the user's code that raised an error as it was imported."""
    if isinstance(error, SyntaxError):
        file, line = error.filename or "", error.lineno
    else:
        root = Path(__file__).parents[1]
        others = [root / "motrix_gym", root / "rl_zoo", Path(importlib.__file__).parent]
        users = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith("<frozen")
            and not any(map(Path(frame.filename).is_relative_to, others))
        ]
        if not users:  # such as a file that cannot be read
            return module
        file, line = users[-1].filename, users[-1].lineno
    here = Path(file).is_relative_to(os.getcwd())
    return f"{os.path.relpath(file) if here else file}:{line}"


def _look_here() -> None:
    """Adds the working directory to the places where modules are found, as `python -m` does."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _is_users(module: str, folder: Path) -> bool:
    """Whether a module is neither Python's own nor lies beside or inside of a run's folder."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names or not all(part.isidentifier() for part in parts):
        return False
    _look_here()
    spec = importlib.util.find_spec(parts[0])  # of the outermost package, which imports nothing
    if spec is None:
        return True  # to be told that there is none
    runs = folder.resolve().parent
    packages = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    file = Path(spec.origin or "").resolve()
    return not (file.is_relative_to(runs) or any(map(runs.is_relative_to, packages)))


def make_env(
    env_id: str,
    settings: dict[str, Any],
    num_envs: int,
    num_threads: int = 0,
    autoreset_mode: "AutoresetMode | str" = "SAME_STEP",
    privileged: bool = False,
) -> "MotrixVectorEnv":
    """Makes a vector environment that is unwrapped.

    Args:
        env_id: A registered id.
        settings: Task settings by dotted name.
        num_envs: Number of environments.
        num_threads: Threads for the physics; 0: all cores.
        autoreset_mode: When a row whose episode ended is reset; one of Gymnasium's modes.
        privileged: Whether observations hold the task's privileged channels too, for a training.

    Raises:
        FieldError: (of motrix_gym) A setting is wrong.
        ZooError: There is not enough memory.
    """
    import gymnasium

    from rl_zoo.task_settings import resolved

    resolved(env_id, settings)
    try:
        env = gymnasium.make_vec(
            env_id,
            num_envs=num_envs,
            num_threads=num_threads,
            autoreset_mode=autoreset_mode,
            privileged=privileged,
            **settings,
        )
    except MemoryError as error:
        raise ZooError(f"not enough memory for {num_envs} environments of {env_id}") from error
    return env  # pyright: ignore[reportReturnType]
