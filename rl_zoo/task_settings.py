# SPDX-License-Identifier: Apache-2.0
"""Settings of a task by dotted name, also those within mappings and nested settings.

`{"reward_weights.alive": 2}` changes one weight. A value must have the default's type.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from motrix_gym import TaskConfig, registration
from motrix_gym.names import did_you_mean, shown
from motrix_gym.settings import is_number
from rl_zoo.errors import UsageError

if TYPE_CHECKING:
    from adapters import AlgorithmConfig

PREFIX = "env."


def by_name(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Returns all settings of a task as plain values by dotted name; lists for tuples."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        name, value = prefix + field.name, getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found |= by_name(value, f"{name}.")
        elif isinstance(value, Mapping):
            found |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def resolved(env_id: str, settings: Mapping[str, Any]) -> TaskConfig:
    """Returns a task's registered settings with some of them changed.

    Args:
        env_id: A registered id.
        settings: New values by dotted name.

    Raises:
        UsageError: There is no such setting, or a value is not allowed.
    """
    registered = registration.entry(env_id).config
    return registered.override(**overrides(registered, settings))


def training_settings(
    env_id: str, settings: Mapping[str, Any], config: "AlgorithmConfig"
) -> dict[str, Any]:
    """Returns a task's changed settings, by dotted name, in the training.

    Args:
        env_id: A registered id.
        settings: Changed settings, which the evaluation has too.
        config: The algorithm's settings; `training_env` is added for the training alone.

    Raises:
        UsageError: One of `training_env` is wrong.
    """
    own = config.training_env or {}
    overrides(resolved(env_id, settings), own, prefix="training_env.")
    return dict(settings) | own


def overrides(
    task: TaskConfig, settings: Mapping[str, Any], prefix: str = PREFIX
) -> dict[str, Any]:
    """Returns keyword arguments for `TaskConfig.override` and `gymnasium.make_vec`.

    Args:
        task: The settings as registered.
        settings: New values by dotted name.
        prefix: What messages put before a name.

    Raises:
        UsageError: there is no such setting, or a value is not allowed.
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
        raise UsageError(f"{prefix}{', '.join(settings)}: {error}") from error
    return changes


def _part(owner: Any, name: str, where: str) -> tuple[Any, bool]:
    """Returns a setting's value, ints as floats where it is a float, and whether it may be None."""
    fields = {field.name: field for field in dataclasses.fields(owner)}
    _check_name(name, fields, where)
    declared = str(fields[name].type)
    return _as_declared(getattr(owner, name), declared), "None" in declared


def _check_name(name: str, allowed: Mapping[str, Any], where: str) -> None:
    if name not in allowed:
        names = ", ".join(sorted(allowed))
        hint = did_you_mean(name, allowed)
        raise UsageError(f"{where}: no setting {shown(name)}{hint}; there are: {names}")


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
    raise UsageError(f"{where}: there is nothing inside of it, it is {shown(old)}")


def _replaced(old: Any, changes: dict[str, Any], where: str) -> Any:
    try:
        return dataclasses.replace(old, **changes)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


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
    raise UsageError(f"{where}: {problem}")


def _as_declared(value: Any, declared: str) -> Any:
    """Returns a value; its ints become floats if the declared type has floats."""
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
