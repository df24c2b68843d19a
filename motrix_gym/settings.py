# SPDX-License-Identifier: Apache-2.0
"""What the settings of a task may be: fields that say it, and their check.

    max_angle: float = number(0.2, above=0)
    friction: tuple[float, float] = interval(0.4, 1.0, above=0)
    reward_weights: Mapping[str, float] = weights(alive=1.0)

A subclass that gives a field another default keeps what it may be. An ordinary field whose
annotation is one type, None aside, is held to it, if that is a number (and the default is finite),
bool, str, or the dataclass of the default.

``integer`` and ``integers`` check what is an argument and no setting.
"""

import dataclasses
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np

from motrix_gym.names import shown


@dataclass(frozen=True)
class _Rule:
    """What a setting may be; ``parts`` is how many numbers it holds, None if they have names."""

    parts: int | None = 1
    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    whole: bool = False

    def allows(self, value: Any) -> bool:
        """Whether the setting may have this value."""
        if self.parts == 1:
            return self._allows_number(value)
        if self.parts is None:
            return isinstance(value, Mapping) and all(map(self._allows_number, value.values()))
        given = isinstance(value, (tuple, list)) and len(value) == self.parts
        return given and all(map(self._allows_number, value)) and sorted(value) == list(value)

    def _allows_number(self, value: Any) -> bool:
        if not is_number(value):
            return False
        x = float(value)
        inside = self.least <= x <= self.most and self.above < x < self.below
        return inside and not (self.whole and x % 1)

    def __str__(self) -> str:
        kind = "whole" if self.whole else "finite"
        text = {
            1: f"a {kind} number",
            2: "(low, high), finite numbers, low <= high",
            None: "finite numbers by name",
        }
        limits = [(">=", self.least), (">", self.above), ("<=", self.most), ("<", self.below)]
        bounds = [f"{sign} {limit:g}" for sign, limit in limits if math.isfinite(limit)]
        return ", ".join([text[self.parts], *bounds])


@dataclass(frozen=True)
class _Kind:
    """What a setting may be that is no number: anything of one class."""

    kind: type

    def allows(self, value: Any) -> bool:
        """Whether the setting may have this value."""
        return isinstance(value, (bool, np.bool_) if self.kind is bool else self.kind)

    def __str__(self) -> str:
        names = {bool: "True or False", str: "text"}
        return names.get(self.kind, f"a {self.kind.__module__}.{self.kind.__qualname__}")


def number(default: float | None, **limits: Any) -> Any:
    """A field for finite numbers, bounded by ``least``, ``above``, ``most`` and ``below``."""
    return _field(_Rule(**limits), default)


def whole(default: int | None, **limits: Any) -> Any:
    """A field for whole numbers; bounded as ``number`` is."""
    return _field(_Rule(whole=True, **limits), default)


def interval(low: float, high: float, **limits: Any) -> Any:
    """A field for (low, high), finite, low <= high; bounded as ``number`` is."""
    return _field(_Rule(2, **limits), (low, high))


def weights(**default: float) -> Any:
    """A field for finite weights by name."""
    return dataclasses.field(default_factory=default.copy, metadata={"rule": _WEIGHTS})


def is_number(value: Any) -> bool:
    """Whether a value is a real number, finite as a float; True and False are none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number, larger than any float
        return False


def check(settings: Any) -> None:
    """Check the fields of a dataclass. One whose annotation allows None may be None.

    Raises:
        ValueError: naming the first setting whose value cannot be, the value, and what is allowed.
    """
    rules = {}
    for owner in reversed(type(settings).__mro__):
        for field in vars(owner).get("__dataclass_fields__", {}).values():
            if "rule" in field.metadata:
                rules[field.name] = field.metadata["rule"]
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None and "None" in _type_names(field.type):
            continue
        rule = rules.get(field.name) or _rule_of_plain(field)
        if rule and not rule.allows(value):
            raise ValueError(f"{field.name} must be {rule}, got {shown(value)}")


def as_json(value: Any) -> Any:
    """Returns settings as plain JSON: dataclasses and mappings as dicts, sequences as lists.

    What JSON cannot hold, such as infinity or a path, is given as text.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: as_json(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(name): as_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_json(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    plain = value is None or isinstance(value, (bool, int, str))
    return value if plain or is_number(value) else str(value)


def integer(name: str, value: Any, least: int, most: int) -> int:
    """An argument as an int, whatever type of integer it is; True and False are none.

    Raises:
        ValueError: naming the argument, what is allowed and what was given.
    """
    try:
        given = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        given = None
    if given is None or not least <= given <= most:
        raise ValueError(f"{name} must be an integer from {least} to {most}, got {shown(value)}")
    return given


def integers(name: str, values: Iterable[Any], least: int, most: int) -> tuple[int, ...]:
    """An argument of one or more integers as a tuple.

    Raises:
        ValueError: as `integer`.
    """
    try:
        given = tuple(integer(name, value, least, most) for value in values)
    except (TypeError, ValueError):
        given = ()
    if not given:
        message = f"{name} must be one or more integers from {least} to {most}, got {shown(values)}"
        raise ValueError(message)
    return given


def _rule_of_plain(field: dataclasses.Field) -> "_Rule | _Kind | None":
    """What a field may be whose declaration does not say it."""
    default = field.default
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    names = _type_names(field.type) - {"None"}
    if is_number(default):
        return _NUMBER if names <= {"float", "int"} else None
    plain = isinstance(default, bool | str) or dataclasses.is_dataclass(default)
    return _Kind(type(default)) if plain and names == {type(default).__name__} else None


def _type_names(annotation: Any) -> set[str]:
    """The names of the types that an annotation allows."""
    if isinstance(annotation, str):  # as in a module with `from __future__ import annotations`
        return {part.strip().rpartition(".")[2] for part in annotation.split("|")}
    union = get_origin(annotation) in (Union, UnionType)
    types = get_args(annotation) if union else (annotation,)
    return {"None" if t in (None, NoneType) else getattr(t, "__name__", str(t)) for t in types}


def _field(rule: _Rule, default: Any) -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule})


_NUMBER = _Rule()
_WEIGHTS = _Rule(None)
