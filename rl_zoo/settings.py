# SPDX-License-Identifier: Apache-2.0
"""`--set`: settings of the algorithm (`learning_rate=1e-4`) and of the task (`env.max_angle=0.3`).

Task settings go by dotted name, into mappings and nested settings too:
`env.reward_weights.alive=2`. Values are YAML, and must be of the default's type.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from motrix_gym import TaskConfig
from motrix_gym.names import did_you_mean, shown
from motrix_gym.settings import is_number
from rl_zoo import config
from rl_zoo.cli import MISUSED, CommandError

PREFIX = "env."


def split(texts: Sequence[str], algo: str = "ppo") -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the algorithm's settings and the task's, the latter without "env.".

    Raises:
        ConfigError: one is not name=value, or the algorithm has no such setting, or there is no
            such algorithm.
    """
    algorithm: dict[str, Any] = {}
    task: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and name.strip().startswith(PREFIX):
            where = f"--set {shown(text)}"
            task[name.strip().removeprefix(PREFIX)] = config.parse_value(value, where)
        else:
            name, value = config.parse_set(text, algo)
            algorithm[name] = value
    return algorithm, task


def only_task(texts: Sequence[str]) -> dict[str, Any]:
    """Returns the task's settings, where the algorithm's have no place.

    Raises:
        CommandError: one is of the algorithm.
    """
    algorithm, task = split(texts)
    if algorithm:
        name = next(iter(algorithm))
        raise CommandError(
            f"--set {name}: only settings of the task (env.NAME=VALUE) can be changed here", MISUSED
        )
    return task


def overrides(
    task: TaskConfig, settings: Mapping[str, Any], prefix: str = PREFIX
) -> dict[str, Any]:
    """Returns keyword arguments for `TaskConfig.override` and `gymnasium.make_vec`.

    Args:
        task: The settings as registered.
        settings: New values by dotted name.
        prefix: What messages put before a name.

    Raises:
        CommandError: there is no such setting, or a value is not allowed.
    """
    changes: dict[str, Any] = {}
    for path, value in settings.items():
        name, *rest = path.split(".")
        where = f"{prefix}{path}"
        old, optional = _part(task, name, where)
        changes[name] = _changed(changes.get(name, old), rest, value, where, optional)
    try:
        task.override(**changes)
    except ValueError as error:
        raise CommandError(f"{prefix}{', '.join(settings)}: {error}", MISUSED) from error
    return changes


def _part(owner: Any, name: str, where: str) -> tuple[Any, bool]:
    """Returns a setting's value, in the numbers that it is declared with, and if it may be None."""
    fields = {field.name: field for field in dataclasses.fields(owner)}
    _check_name(name, fields, where)
    declared = str(fields[name].type)
    return _as_declared(getattr(owner, name), declared), "None" in declared


def _check_name(name: str, allowed: Mapping[str, Any], where: str) -> None:
    if name not in allowed:
        names = ", ".join(sorted(allowed))
        hint = did_you_mean(name, allowed)
        raise CommandError(f"{where}: no setting {shown(name)}{hint}; there are: {names}", MISUSED)


def _changed(old: Any, path: list[str], value: Any, where: str, optional: bool = False) -> Any:
    """Returns `old` with what lies at `path` replaced."""
    if not path:
        return None if value is None and optional else _checked(value, old, where)
    name, *rest = path
    if dataclasses.is_dataclass(old) and not isinstance(old, type):
        part, optional = _part(old, name, where)
        return _replaced(old, {name: _changed(part, rest, value, where, optional)}, where)
    if isinstance(old, Mapping):
        _check_name(name, old, where)
        return {**old, name: _changed(old[name], rest, value, where)}
    raise CommandError(f"{where}: there is nothing inside of it, it is {shown(old)}", MISUSED)


def _replaced(old: Any, changes: dict[str, Any], where: str) -> Any:
    try:
        return dataclasses.replace(old, **changes)
    except ValueError as error:
        raise CommandError(f"{where}: {error}", MISUSED) from error


def _checked(value: Any, old: Any, where: str) -> Any:
    """Returns `value` as the type of `old`."""
    match old:
        case bool():
            if isinstance(value, bool):
                return value
            wanted = "true or false"
        case int():
            if is_number(value) and value % 1 == 0:
                return int(value)
            wanted = "an integer"
        case float():
            if is_number(value):
                return float(value)
            wanted = "a number"
        case None:
            if is_number(value):
                return value
            wanted = "a number"
        case str():
            if isinstance(value, str):
                return value
            wanted = "text"
        case tuple():
            if isinstance(value, list | tuple) and len(value) == len(old):
                return tuple(_checked(v, o, where) for v, o in zip(value, old, strict=True))
            wanted = f"a list of {len(old)}"
        case Mapping() if isinstance(value, Mapping):
            for name in value:
                _check_name(name, old, where)
            return {**old, **{k: _checked(v, old[k], f"{where}.{k}") for k, v in value.items()}}
        case _ if dataclasses.is_dataclass(old) and isinstance(value, Mapping):
            parts = {name: _part(old, name, where)[0] for name in value}
            new = {k: _checked(v, parts[k], f"{where}.{k}") for k, v in value.items()}
            return _replaced(old, new, where)
        case _:
            wanted = "name: value pairs" if _has_parts(old) else "something to set from outside"
    default = list(old) if isinstance(old, tuple) else old  # as it would be given
    problem = f"{shown(value)} is not {wanted}; the default is {shown(default)}"
    raise CommandError(f"{where}: {problem}", MISUSED)


def _as_declared(value: Any, declared: str) -> Any:
    """Returns a value whose integers are floats, if what it is declared as has floats."""
    if "float" not in declared or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, tuple):
        return tuple(_as_declared(part, declared) for part in value)
    if isinstance(value, Mapping):
        return {name: _as_declared(part, declared) for name, part in value.items()}
    return value


def _has_parts(old: Any) -> bool:
    return isinstance(old, Mapping) or dataclasses.is_dataclass(old)
