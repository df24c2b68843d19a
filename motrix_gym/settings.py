# SPDX-License-Identifier: Apache-2.0
"""Settings: fields of a dataclass that declare their allowed values, unit and meaning.

    max_angle: float = number(0.2, above=0, unit="rad", doc="Tilt that ends an episode.")
    friction: tuple[float, float] = interval(0.4, 1.0, above=0)
    reward_weights: Mapping[str, float] = weights(alive=1.0)
    terrain: str = choice("flat", "flat", "rough")

Tasks and algorithms declare their settings so. A subclass may give a field another default; the
field keeps its declaration. An ordinary field is checked by its annotation, where that is one type,
or one type and None, and the type is a number (and the default is finite), bool, str, or the
dataclass of the default. Its meaning may also stand in a string below it, as in this file's
dataclasses.

``changed`` makes a copy with other values. ``integer`` and ``integers`` check arguments of
functions.
"""

import ast
import dataclasses
import inspect
import itertools
import math
import operator
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from types import NoneType, UnionType
from typing import Any, TypeGuard, Union, cast, get_args, get_origin

import numpy as np

from motrix_gym.names import did_you_mean, shown

MAX_SIZES, MAX_SIZE = 32, 2**14  # of a list of sizes, and of each


class FieldError(ValueError):
    """A setting does not exist, or has a value that is not allowed.

    Attributes:
        field: The setting's name.
    """

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


class _Rule:
    """What a setting may be; ``str`` gives it as a phrase."""

    def allows(self, value: Any) -> bool:
        """Whether the setting may have this value."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """An allowed value as a plain Python value."""
        return value

    def hint(self, value: Any) -> str:
        """What was probably meant by a value that is not allowed; "" if that is not known."""
        return ""


@dataclass(frozen=True)
class _Numbers(_Rule):
    """Numbers: ``parts`` is 1, 2 for (low, high), or None for numbers by name.

    Where ``parts`` is 1, one of ``words`` is allowed as well.
    """

    parts: int | None = 1
    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    whole: bool = False
    words: tuple[str, ...] = ()

    def allows(self, value: Any) -> bool:
        if self.parts == 1:
            return self._allows_number(value) or isinstance(value, str) and value in self.words
        if self.parts is None:
            return is_mapping(value) and all(map(self._allows_number, value.values()))
        if not is_list(value) or len(value) != self.parts:
            return False
        return all(map(self._allows_number, value)) and sorted(value) == list(value)

    def _allows_number(self, value: Any) -> bool:
        if not is_number(value):
            return False
        x = float(value)
        inside = self.least <= x <= self.most and self.above < x < self.below
        return inside and not (self.whole and x % 1)

    def plain(self, value: Any) -> Any:
        kind = int if self.whole else float
        if self.parts is None:
            return {name: kind(x) for name, x in value.items()}
        if self.parts != 1:
            return tuple(map(kind, value))
        return value if isinstance(value, str) else kind(value)

    def __str__(self) -> str:
        kind = "whole" if self.whole else "finite"
        text = {
            1: f"a {kind} number",
            2: f"(low, high), {kind} numbers, low <= high",
            None: "finite numbers by name",
        }
        limits = [(">=", self.least), (">", self.above), ("<=", self.most), ("<", self.below)]
        bounds = [f"{sign} {_figure(limit)}" for sign, limit in limits if math.isfinite(limit)]
        return ", ".join([" or ".join([*self.words, text[self.parts]]), *bounds])


@dataclass(frozen=True)
class _Kind(_Rule):
    """Anything of one class."""

    kind: type

    def allows(self, value: Any) -> bool:
        return isinstance(value, (bool, np.bool_) if self.kind is bool else self.kind)

    def plain(self, value: Any) -> Any:
        return bool(value) if self.kind is bool else value

    def __str__(self) -> str:
        names = {bool: "True or False", str: "text"}
        own = f"some of its settings by name, or a {self.kind.__qualname__}"
        return names.get(self.kind, own)


@dataclass(frozen=True)
class _Choice(_Rule):
    """One of some words."""

    words: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words

    def hint(self, value: Any) -> str:
        return did_you_mean(value, self.words)

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


class _Sizes(_Rule):
    """A list of sizes, of layers."""

    def allows(self, value: Any) -> bool:
        size = _Numbers(least=1, most=MAX_SIZE, whole=True)
        return is_list(value) and 1 <= len(value) <= MAX_SIZES and all(map(size.allows, value))

    def plain(self, value: Any) -> Any:
        return tuple(map(int, value))

    def __str__(self) -> str:
        return f"a list of 1 to {MAX_SIZES} whole numbers from 1 to {MAX_SIZE:,}"


class _Text(_Rule):
    """Text that is not empty."""

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return "text that is not empty"


class _ByName(_Rule):
    """Any values by name."""

    def allows(self, value: Any) -> bool:
        return is_mapping(value) and all(isinstance(name, str) for name in value)

    def plain(self, value: Any) -> Any:
        return {k: self.plain(v) for k, v in value.items()} if is_mapping(value) else value

    def __str__(self) -> str:
        return "values by name"


class _Blocks(_Rule):
    """A list of values by name."""

    def allows(self, value: Any) -> bool:
        return is_list(value) and len(value) > 0 and all(map(_ByName().allows, value))

    def plain(self, value: Any) -> Any:
        return tuple(map(_plain, value))

    def __str__(self) -> str:
        return "a list of one or more entries, each with values by name"


def _plain(value: Any) -> Any:
    """A value in which mappings are dicts, and lists and tuples are lists."""
    if is_mapping(value):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if is_list(value) else value


def number(
    default: float | str | None,
    *,
    words: tuple[str, ...] = (),
    unit: str = "",
    doc: str = "",
    **limits: Any,
) -> Any:
    """A field for finite numbers, bounded by ``least``, ``above``, ``most`` and ``below``.

    Args:
        default: Its value where none is given.
        words: Words that it may be instead, such as "auto".
        unit: Of the number, for those who read the settings.
        doc: What it means, in a sentence or two.
        **limits: The bounds.
    """
    return _field(_Numbers(words=words, **limits), default, unit, doc)


def whole(default: int | None, *, unit: str = "", doc: str = "", **limits: Any) -> Any:
    """A field for whole numbers; bounded as ``number`` is."""
    return _field(_Numbers(whole=True, **limits), default, unit, doc)


def interval(
    low: float | None, high: float | None, *, unit: str = "", doc: str = "", **limits: Any
) -> Any:
    """A field for (low, high), finite, low <= high; bounded as ``number`` is.

    ``interval(None, None)`` has the default None.
    """
    return _field(_Numbers(2, **limits), None if low is None else (low, high), unit, doc)


def weights(**default: float) -> Any:
    """A field for finite weights by name."""
    return dataclasses.field(default_factory=default.copy, metadata={"rule": _WEIGHTS})


def flag(default: bool, *, doc: str = "") -> Any:
    """A field for True and False."""
    return _field(_Kind(bool), default, doc=doc)


def choice(default: str, *words: str, doc: str = "") -> Any:
    """A field for one of ``words``."""
    return _field(_Choice(words), default, doc=doc)


def sizes(*default: int, unit: str = "", doc: str = "") -> Any:
    """A field for the sizes of one or more layers."""
    return _field(_Sizes(), default, unit, doc)


def text(*, doc: str = "") -> Any:
    """A field for text that is not empty, or None, which is the default."""
    return _field(_Text(), None, doc=doc)


def values_by_name(*, doc: str = "") -> Any:
    """A field for any values by name, or None, which is the default."""
    return _field(_ByName(), None, doc=doc)


def blocks(*, doc: str = "") -> Any:
    """A field for a list of one or more mappings, or None, which is the default."""
    return _field(_Blocks(), None, doc=doc)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether a value is a list or a tuple."""
    return isinstance(value, list | tuple)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is a mapping, such as a dict."""
    return isinstance(value, Mapping)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, finite as a float; True and False do not count."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number, larger than any float
        return False


@dataclass(frozen=True)
class Setting:
    """The declaration of one setting.

    Attributes:
        name: Its name.
        default: Its value where none is given.
        allowed: The allowed values, as a phrase; "" if not declared.
        unit: Its unit, "" if it has none.
        doc: What it means, "" if not declared.
    """

    name: str
    default: Any
    allowed: str
    unit: str
    doc: str


def declared(cls: type) -> list[Setting]:
    """Returns the settings of a dataclass, those of its base classes first."""
    declarations = _metadata(cls)
    docs = {} if all(about.get("doc") for about in declarations.values()) else _docs_below(cls)
    order = [
        name
        for owner in reversed(cls.__mro__)
        if dataclasses.is_dataclass(owner)
        for name in inspect.get_annotations(owner)
        if name in {field.name for field in dataclasses.fields(owner)}
    ]
    found: list[Setting] = []
    for field in sorted(dataclasses.fields(cls), key=lambda field: order.index(field.name)):
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        rule, about = _rule(field, declarations), declarations[field.name]
        allowed = str(rule or "")
        if rule and "None" in _type_names(field.type):
            allowed += "; or None"
        doc = about.get("doc", "") or docs.get(field.name, "")
        found.append(Setting(field.name, default, allowed, about.get("unit", ""), doc))
    return found


def _docs_below(cls: type) -> dict[str, str]:
    """The strings below the fields of a dataclass and its base classes, each as one line."""
    docs: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        try:
            (source,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        except (OSError, TypeError, SyntaxError):  # a class without a file, as in a notebook
            continue
        body: list[ast.stmt] = getattr(source, "body", [])
        for field, below in itertools.pairwise(body):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(doc))),
                ):
                    docs[name] = " ".join(doc.replace("``", "").split())
                case _:
                    pass
    return docs


def described(cls: type) -> Any:
    """Adds the settings of a dataclass to its docstring, so that ``help`` lists them."""
    lines = [inspect.cleandoc(cls.__doc__ or ""), "", "Settings:"]
    for setting in declared(cls):
        facts = f"{setting.allowed}; default {setting.default!r}"
        unit = f" [{setting.unit}]" if setting.unit else ""
        about = f"{setting.name}{unit}: {setting.doc} ({facts})"
        lines += textwrap.wrap(about, 76, initial_indent="    ", subsequent_indent=" " * 8)
    cls.__doc__ = "\n".join(lines)
    return cls


def make_plain(settings: Any) -> None:
    """Checks the fields of a dataclass, and makes plain Python values of them.

    Whole floats become ints where whole numbers are due, NumPy's numbers Python's, lists tuples. A
    field whose annotation allows None may be None.

    Raises:
        FieldError: (a ValueError) naming the first setting whose value is not allowed, the value,
            and what is allowed.
    """
    declarations = _metadata(settings.__class__)
    for field in dataclasses.fields(settings):
        value, rule = getattr(settings, field.name), _rule(field, declarations)
        if rule is None or value is None and "None" in _type_names(field.type):
            continue
        if not rule.allows(value):
            message = f"{field.name} must be {rule}, got {shown(value)}{rule.hint(value)}"
            raise FieldError(field.name, message)
        object.__setattr__(settings, field.name, rule.plain(value))


def changed(settings: Any, changes: Mapping[str, Any], prefix: str = "") -> Any:
    """Returns a copy of a dataclass of settings, or of a mapping, with some values changed.

    Args:
        settings: The dataclass or mapping.
        changes: New values by name. What lies inside of a setting is named with dots
            (``{"commands.forward": (1, 1)}``) or by a mapping (``{"commands": {"forward": (1,
            1)}}``); the rest of that setting stays as it is.
        prefix: What messages put before a name.

    Raises:
        FieldError: there is no such setting, or a value is not allowed.
    """
    old, new = _parts(settings), dict[str, Any]()
    for path, value in changes.items():
        name, dot, rest = path.partition(".")
        where = f"{prefix}{path}"
        if name not in old:
            hint, names = did_you_mean(name, old), ", ".join(sorted(old))
            raise FieldError(where, f"{where}: no setting {shown(name)}{hint}; there are: {names}")
        part = new.get(name, old[name])
        has_parts = is_mapping(part) or dataclasses.is_dataclass(part)
        if dot and not has_parts:
            message = f"{where}: there is nothing inside of it, it is {shown(part)}"
            raise FieldError(where, message)
        if has_parts and (dot or is_mapping(value)):
            value = changed(part, {rest: value} if dot else value, f"{prefix}{name}.")
        elif isinstance(part, tuple) and is_list(value):
            value = tuple(value)
        new[name] = value
    if not dataclasses.is_dataclass(settings):
        return old | new
    try:
        return dataclasses.replace(cast(Any, settings), **new)
    except ValueError as error:
        field = getattr(error, "field", next(iter(new), ""))
        raise FieldError(f"{prefix}{field}", f"{prefix}{error}") from error


def _parts(settings: Any) -> dict[str, Any]:
    """The values of a mapping or of a dataclass's fields, by name."""
    if is_mapping(settings):
        return {**settings}
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


def _metadata(cls: type) -> dict[str, dict[str, Any]]:
    """Each field's declaration (rule, unit, doc), by a class or else by its base classes."""
    declarations: dict[str, dict[str, Any]] = {}
    for owner in reversed(cls.__mro__):
        for field in vars(owner).get("__dataclass_fields__", {}).values():
            about = {key: value for key, value in field.metadata.items() if value}
            declarations[field.name] = declarations.get(field.name, {}) | about
    return declarations


def _rule(field: dataclasses.Field[Any], declarations: dict[str, dict[str, Any]]) -> _Rule | None:
    """The rule for a field's values; None if all are allowed."""
    return declarations[field.name].get("rule") or _rule_by_annotation(field)


def as_json(value: Any) -> Any:
    """Returns settings as plain JSON: dataclasses and mappings as dicts, sequences as lists.

    What JSON cannot hold, such as infinity or a path, is given as text.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: as_json(getattr(value, field.name)) for field in fields}
    if is_mapping(value):
        return {str(name): as_json(part) for name, part in value.items()}
    if is_list(value):
        return [as_json(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    plain = value is None or isinstance(value, bool | int | str)
    return value if plain or is_number(value) else str(value)


def integer(name: str, value: Any, least: int, most: int) -> int:
    """An argument as an int, from any type of integer; True and False are refused.

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


def _figure(limit: float) -> str:
    """A bound, as it is read most easily."""
    return f"{limit:,.0f}" if 1e4 < abs(limit) < 1e15 and limit % 1 == 0 else f"{limit:g}"


def _rule_by_annotation(field: dataclasses.Field[Any]) -> _Rule | None:
    """The rule for an ordinary field, by its annotation; None if all values are allowed."""
    default: Any = field.default
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    kind: type = default.__class__
    names = _type_names(field.type) - {"None"}
    if is_number(default):
        return _Numbers(whole=names == {"int"}) if names <= {"float", "int"} else None
    plain = isinstance(default, bool | str) or dataclasses.is_dataclass(default)
    return _Kind(kind) if plain and names == {kind.__name__} else None


def _type_names(annotation: Any) -> set[str]:
    """The names of the types that an annotation allows."""
    if isinstance(annotation, str):  # as in a module with `from __future__ import annotations`
        return {part.strip().rpartition(".")[2] for part in annotation.split("|")}
    union = get_origin(annotation) in (Union, UnionType)
    types = get_args(annotation) if union else (annotation,)
    return {"None" if t in (None, NoneType) else getattr(t, "__name__", str(t)) for t in types}


def _field(rule: _Rule, default: Any, unit: str = "", doc: str = "") -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule, "unit": unit, "doc": doc})


_WEIGHTS = _Numbers(None)
