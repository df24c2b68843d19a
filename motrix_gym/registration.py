# SPDX-License-Identifier: Apache-2.0
"""The table of environments: ids, their tasks, and their registration with Gymnasium.

``register_task`` adds an environment. Each family of the suite registers its own (``tasks``).
"""

import copy
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium
from gymnasium.envs.registration import parse_env_id

from motrix_gym.names import did_you_mean, nearest, shown
from motrix_gym.single_env import MotrixEnv
from motrix_gym.task import Goal, Task, TaskConfig, TaskError
from motrix_gym.vector_env import MotrixVectorEnv

_ENV_OPTIONS = (
    "autoreset_mode",
    "num_threads",
    "render_mode",
    "render_rows",
    "render_size",
    "privileged",
)
MakeTask = Callable[[Any], Task]
"""Makes a task from its settings: a task's class, or a function of the settings."""


@dataclass(frozen=True)
class Entry:
    """What is registered under an id.

    A task or settings that were given as "module:name" are imported when they are first used.
    ``module`` is the user's module that registered the id; None for the suite's own ids and for
    a script's (``__main__``).
    """

    id: str
    given_task: MakeTask | str
    given_config: TaskConfig | str
    goals: tuple[Goal, ...]
    hyperparams: Any
    module: str | None = None

    @cached_property
    def task(self) -> MakeTask:
        """What makes a task from its settings."""
        return _imported(self.given_task)

    @cached_property
    def config(self) -> TaskConfig:
        """The registered settings."""
        return _imported(self.given_config)


_entries: dict[str, Entry] = {}


class UnknownEnvironmentError(gymnasium.error.NameNotFound, ValueError):
    """There is no environment of that id; the message names the nearest.

    Attributes:
        near: the nearest id, None if none is near.
    """

    near: str | None = None


def register_task(
    id: str,
    task: MakeTask | str,
    config: TaskConfig | str,
    *,
    goals: Sequence[Goal] = (),
    hyperparams: Any = None,
    max_episode_steps: int | None = 1000,
) -> None:
    """Register a task with Gymnasium and with the zoo's commands.

    Args:
        id: "Namespace/Name-v0".
        task: the Task's class, or a function that makes the task from its settings; or
            "module:name" of either, to be imported when an environment is made.
        config: its settings; or "module:name" of them.
        goals: when an evaluation counts as solved. The value of a goal on "return" is also the
            spec's ``reward_threshold``.
        hyperparams: the environment's training settings: a YAML file, a mapping as such a file
            has it (``{"ppo": {"num_envs": 256}}``), or a config object of ``adapters``. Trainings
            check what is in it.
        max_episode_steps: the spec's time limit in steps, where ``config`` is given as
            "module:name"; a TaskConfig has its own.

    Raises:
        ValueError: if the id is taken, has no version, or the YAML file does not exist.
    """
    if parse_env_id(id)[2] is None:
        raise ValueError(f"the id {id!r} needs a version: {id}-v0")
    if id in gymnasium.registry:
        raise ValueError(f"the id {id!r} is already registered")
    if isinstance(hyperparams, str | Path):
        hyperparams = Path(hyperparams)
        if not hyperparams.is_file():
            raise ValueError(f"hyperparams of {id!r}: there is no file {hyperparams}")
    if isinstance(config, TaskConfig):
        max_episode_steps = config.max_episode_steps
    module = _users_module(inspect.currentframe())
    _entries[id] = Entry(id, task, config, tuple(goals), copy.deepcopy(hyperparams), module)
    threshold = next((goal.value for goal in goals if goal.figure == "return"), None)
    gymnasium.register(  # pyright: ignore[reportUnknownMemberType] (it has parameters without types)
        id,
        entry_point="motrix_gym.registration:make_single",
        vector_entry_point="motrix_gym.registration:make_vector",
        max_episode_steps=max_episode_steps,
        reward_threshold=threshold,
        kwargs={"env_id": id},
    )


def list_envs() -> list[str]:
    """The ids of all environments registered through ``register_task``."""
    return sorted(_entries)


def entry(env_id: str) -> Entry:
    """What is registered under ``env_id``.

    Raises:
        UnknownEnvironmentError: if there is nothing; the message has the nearest id.
    """
    if env_id in _entries:
        return _entries[env_id]
    namespace, _, name = env_id.rpartition("/")
    namespaces = {id.rpartition("/")[0] for id in _entries}
    if namespace and not nearest(namespace, namespaces):
        raise UnknownEnvironmentError(
            f"{shown(env_id)} is not registered: import the module that registers it first"
        )
    short = {id.rpartition("/")[2].lower(): id for id in _entries}
    near = nearest(name.lower(), short, cutoff=0.5)
    hint = f": did you mean {short[near]!r}?" if near else f" (known: {', '.join(list_envs())})"
    error = UnknownEnvironmentError(f"there is no environment {shown(env_id)}{hint}")
    error.near = near
    raise error


def env_name(env_id: str) -> str:
    """The id without namespace: "Go1-v0" for "Motrix/Go1-v0"."""
    return re.split(r"[/\\:]", env_id)[-1]


def hyperparams(env_id: str) -> Any:
    """The training settings that ``env_id`` was registered with; None if there are none."""
    return entry(env_id).hyperparams


def make_task(env_id: str, **overrides: Any) -> Task:
    """The task of ``env_id``, its settings changed by ``overrides``.

    Raises:
        UnknownEnvironmentError: if the id is not registered.
        TypeError, ValueError: for a setting that does not exist, or a value that is not allowed.
        TaskError: if the task is not written as it must be, or a goal names no figure of it.
    """
    found = entry(env_id)
    task = found.task(found.config.override(**overrides))
    for goal in found.goals:
        check_goal(goal, task, env_id)
    return task


def check_goal(goal: Goal, task: Task, env_id: str) -> None:
    """Refuses a goal whose figure an evaluation of the task does not have.

    Raises:
        TaskError: the message has the nearest figure.
    """
    success = () if type(task).success is Task.success else ("success",)
    terms = (f"reward/{term}" for term in task.config.reward_weights)
    figures = ("return", "length", *success, *task.metrics, *terms)
    if goal.figure not in figures:
        hint, there = did_you_mean(goal.figure, figures), ", ".join(figures)
        raise TaskError(f"the goal {goal} of {env_id} names no figure{hint}: {there}")


def make_vector(env_id: str, num_envs: int = 1, **kwargs: Any) -> MotrixVectorEnv:
    """Gymnasium's entry point for ``make_vec``; settings of the task are keyword arguments."""
    options = _take_options(env_id, kwargs, "num_envs", *_ENV_OPTIONS)
    return MotrixVectorEnv(make_task(env_id, **kwargs), num_envs, **options)


def make_single(env_id: str, **kwargs: Any) -> MotrixEnv:
    """Gymnasium's entry point for ``make``, whose wrapper ``TimeLimit`` ends the episodes."""
    if "autoreset_mode" in kwargs:
        raise TypeError(
            f"{env_id} got an unexpected keyword argument 'autoreset_mode': one environment does "
            "not reset itself. gymnasium.make_vec takes it, with vectorization_mode 'sync' or "
            "'async' as vector_kwargs={'autoreset_mode': ...}"
        )
    options = _take_options(env_id, kwargs, *_ENV_OPTIONS)
    return MotrixEnv(make_task(env_id, **kwargs | {"max_episode_steps": None}), **options)


# From these, Gymnasium makes the render modes "human" and "rgb_array_list".
make_single.metadata = MotrixEnv.metadata  # pyright: ignore[reportFunctionMemberAccess]


def _take_options(env_id: str, kwargs: dict[str, Any], *allowed: str) -> dict[str, Any]:
    """Take the environment's own options out of ``kwargs``; the task's settings remain."""
    options = {name: kwargs.pop(name) for name in _ENV_OPTIONS if name in kwargs}
    for name in kwargs:
        near = nearest(name, allowed)
        if near and not hasattr(entry(env_id).config, name.partition(".")[0]):
            raise TypeError(
                f"{env_id} got an unexpected keyword argument {shown(name)}: did you mean {near!r}?"
            )
    return options


def _users_module(frame: FrameType | None) -> str | None:
    """The user's module that called a function of this module; see `Entry`."""
    caller = frame.f_back if frame else None
    name = caller.f_globals.get("__name__") if caller else None
    return None if name == "__main__" or str(name).startswith("motrix_gym.") else name


def _imported(given: Any) -> Any:
    """What "module:name" names; anything else is returned as it is."""
    if not isinstance(given, str):
        return given
    module, _, name = given.partition(":")
    return getattr(importlib.import_module(module), name)
