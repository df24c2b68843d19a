# SPDX-License-Identifier: Apache-2.0
"""Training settings: a YAML file and the command line make a checked `AlgorithmConfig`.

    ppo:
      num_envs: 1024
      learning_rate: 1e-3
      backends:
        sb3: {learning_rate: 3e-4}
    tqc:
      gradient_steps: 8

A block per algorithm. The value for the trainer wins over the universal one, that one over the
default, and overrides win over all. An error in a file is a `ConfigError` that starts with the
file and the line.
"""

import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from adapters import (
    ALGORITHMS,
    AlgorithmConfig,
    FieldError,
    check_trainer,
    counterpart,
    trainers_with,
)
from motrix_gym import registration
from motrix_gym.names import did_you_mean, shown
from motrix_gym.registration import env_name

BACKENDS = "backends"
TRAINING_ENV = "training_env"
YAML_TAGS = "tag:yaml.org,2002:"
MAX_ALIASES = 20  # of a YAML file: lists of lists of aliases grow without bounds


class ConfigError(ValueError):
    """A settings file or an override is not as it must be."""


def load(
    env_id: str,
    algo: str = "ppo",
    trainer: str | None = None,
    *,
    file: str | Path | None = None,
    task_settings: Collection[str] = (),
    **overrides: Any,
) -> AlgorithmConfig:
    """Returns the settings to train an environment with.

    Args:
        env_id: A registered id; used only to find the file.
        algo: The block of the file to read.
        trainer: Which of the block's `backends` to read; "stock-sb3" reads that of "sb3", and None
            that of the first trainer that has the algorithm.
        file: A YAML file to read instead of the environment's own.
        task_settings: Dotted names of task settings that were asked for: the file's `training_env`
            gives way to them.
        **overrides: Values that win over the file's.

    Raises:
        ConfigError: the file or an override is wrong, there is no such algorithm or trainer, or
            the trainer does not have the algorithm.
        UnknownEnvironmentError: (of motrix_gym) no file is given and no environment has the id.
    """
    if trainer is None:
        trainer = trainers(algo)[0]
    try:
        check_trainer(trainer, algo)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    path = Path(file) if file is not None else find(env_id)
    blocks = _read(path) if path else Block()
    _check_keys(path, blocks, ALGORITHMS, "algorithm")
    names = ALGORITHMS[algo].names()
    universal = blocks.get(algo, Block())
    _check_keys(path, universal, (*names, BACKENDS), "setting")
    backends = universal.get(BACKENDS, Block())
    _check_keys(path, backends, trainers_with(algo), "trainer")
    for block in backends.values():
        _check_keys(path, block, names, "setting")

    specific = backends.get(counterpart(trainer), Block())
    values = {k: v for k, v in universal.items() if k != BACKENDS} | specific
    if isinstance(own := values.get(TRAINING_ENV), dict) and task_settings:
        kept = {k: v for k, v in own.items() if not any(_overlap(k, t) for t in task_settings)}
        values[TRAINING_ENV] = kept or None
    values |= overrides
    try:
        return ALGORITHMS[algo].from_dict(values)
    except FieldError as error:
        if error.field in overrides or path is None:
            raise ConfigError(str(error)) from error
        lines = {**universal.lines, **specific.lines}
        line = lines.get(error.field, blocks.lines.get(algo, 1))
        raise ConfigError(f"{path}:{line}: {error}") from error


def _overlap(first: str, second: str) -> bool:
    """Whether of two dotted names one is the other or within it."""
    first, second = f"{first}.", f"{second}."
    return first.startswith(second) or second.startswith(first)


def trainers(algo: str) -> list[str]:
    """Returns the names of the trainers that have an algorithm.

    Raises:
        ConfigError: there is no such algorithm.
    """
    _check_name(algo, ALGORITHMS, "algorithm")
    return trainers_with(algo)


def find(env_id: str) -> Path | None:
    """Returns the settings file of a registered environment; None where it has none (all defaults).

    Raises:
        UnknownEnvironmentError: (of motrix_gym) no environment has the id.
    """
    if path := registration.hyperparams(env_id):
        return path
    shipped = resources.files("hyperparams") / f"{env_name(env_id)}.yaml"
    return Path(str(shipped)) if shipped.is_file() else None


def has_settings(env_id: str, algo: str, file: str | Path | None = None) -> bool:
    """Returns whether there is a settings file, as for `load`, with a block of the algorithm."""
    path = Path(file) if file is not None else find(env_id)
    return path is not None and algo in _read(path)


def dump(config: AlgorithmConfig, algo: str = "ppo") -> str:
    """Returns the text of a settings file that loads to an equal configuration."""
    return yaml.dump({algo: config.as_dict()}, Dumper=_Dumper, sort_keys=False)


def parse_set(text: str, algo: str = "ppo") -> tuple[str, Any]:
    """Returns name and value of a `--set name=value`; the value is read as YAML.

    Raises:
        ConfigError: it is not name=value, or no setting of the algorithm has the name, or there is
            no such algorithm.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise ConfigError(f"--set {shown(text)}: expected name=value, such as learning_rate=1e-4")
    _check_name(algo, ALGORITHMS, "algorithm")
    note = "; those of the task are env.NAME"
    _check_name(name, ALGORITHMS[algo].names(), "setting", "--set: ", note)
    return name, parse_value(value, f"--set {shown(text)}")


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


class Block(dict[str, Any]):
    """A mapping of a YAML file that knows its lines (counted from 1)."""

    def __init__(self):
        super().__init__()
        self.lines: dict[str, int] = {}


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's floats (1e-4), lines, and neither duplicate nor merge keys."""

    aliases = 0  # seen so far

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
                first = block.lines[key]
                raise _error(key_node, f"{shown(key)} is given twice, first in line {first}")
            block[key] = self.construct_object(value_node, deep=True)
            block.lines[key] = key_node.start_mark.line + 1
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


def _read(path: Path) -> Block:
    """Returns the file as blocks: algorithm -> {name: value, "backends": {trainer: {...}}}."""
    try:
        blocks = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}:1: not a YAML file: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    _check_block(path, blocks, 1, "the file")
    for algo, block in blocks.items():
        _check_block(path, block, blocks.lines[algo], algo)
        if BACKENDS in block:
            _check_block(path, block[BACKENDS], block.lines[BACKENDS], BACKENDS)
            for trainer, values in block[BACKENDS].items():
                _check_block(path, values, block[BACKENDS].lines[trainer], trainer)
    return blocks


def _check_block(path: Path, value: Any, line: int, name: str) -> None:
    if not isinstance(value, Block):
        wanted = "must hold 'name: value' pairs"
        raise ConfigError(f"{path}:{line}: {name} {wanted}, not {shown(value)}")


def _check_keys(path: Path | None, block: Block, allowed: Collection[str], what: str) -> None:
    for name, line in block.lines.items():
        _check_name(name, allowed, what, f"{path}:{line}: ")


def _check_name(
    name: str, allowed: Collection[str], what: str, where: str = "", note: str = ""
) -> None:
    if name not in allowed:
        hint, names = did_you_mean(name, allowed), ", ".join(allowed)
        raise ConfigError(f"{where}no {what} {shown(name)}{hint}; allowed are: {names}{note}")
