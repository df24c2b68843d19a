# SPDX-License-Identifier: Apache-2.0
"""YAML, read safely; each name knows its line, and floats are those of YAML 1.2."""

import re
from pathlib import Path
from typing import Any

import yaml

from motrix_gym.names import shown

YAML_TAGS = "tag:yaml.org,2002:"
MAX_ALIASES = 20  # of a file: lists of lists of aliases grow without bounds


class ConfigError(ValueError):
    """Settings are wrong; the message starts with the file and line, or flag, that gave them."""


def read(path: Path) -> Any:
    """Returns what a YAML file holds; its mappings are `Block`s.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, type("_FileLoader", (_Loader,), {"file": path}))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}:1: not a YAML file: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def parse_value(text: str, where: str) -> Any:
    """Returns a value written as YAML, safely read.

    Raises:
        ConfigError: it is not YAML; the message starts with `where`.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = getattr(error, "problem", None) or error
        raise ConfigError(f"{where}: the value is not YAML: {reason}") from error


def dump(values: Any) -> str:
    """Returns plain values as the text of a YAML file."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)


class Block(dict[str, Any]):
    """A mapping that knows where each of its names was given, such as "Go1-v0.yaml:3"."""

    def __init__(self):
        super().__init__()
        self.places: dict[str, str] = {}

    def put(self, name: str, value: Any, place: str) -> None:
        """Sets a value and the place where it was given."""
        self[name], self.places[name] = value, place


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's floats (1e-4), lines, and neither duplicate nor merge keys."""

    aliases = 0  # seen so far
    file: Path | None = None  # that is read

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MAX_ALIASES:
                message = f"there are more than {MAX_ALIASES} aliases (*name)"
                raise yaml.MarkedYAMLError(None, None, message, self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # PyYAML reads `!!int ""` or the 13th month of a date, and stumbles.
            tag = node.tag.removeprefix(YAML_TAGS)
            what = shown(node.value) if isinstance(node, yaml.ScalarNode) else "this"
            raise _error(node, f"{what} cannot be read as !!{tag}") from error

    def block(self, node: yaml.MappingNode) -> Block:
        block = Block()
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _error(key_node, f"a name must be text, not {shown(key)}")
            if key in block:
                first = block.places[key].rpartition(":")[2]
                raise _error(key_node, f"{shown(key)} is given twice, first in line {first}")
            place = f"{self.file}:{key_node.start_mark.line + 1}"
            block.put(key, self.construct_object(value_node, deep=True), place)
        return block


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes text which `_Loader` would take for a float."""


_Loader.add_constructor(f"{YAML_TAGS}map", _Loader.block)
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        f"{YAML_TAGS}float",
        re.compile(r"[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+$"),
        list("-+.0123456789"),
    )


def _error(node: yaml.Node, message: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)
