# SPDX-License-Identifier: Apache-2.0
"""Training settings: those of an environment and those of a call make a checked `AlgorithmConfig`.

    extends: HopperStand-v0
    ppo:
      num_envs: 1024
      learning_rate: 1e-3
      backends:
        sb3: {learning_rate: 3e-4}
    tqc:
      gradient_steps: 8

There is a block for each algorithm. A value given in a call wins over the file's; in the file, one
for the trainer (`backends`) wins over the block's own; defaults come last. `extends` names another
file, whose values hold where this file has none: a shipped one ("HopperStand-v0"), or a path
relative to this file ("base.yaml"). From Python, a mapping of the same form can be given, in which
a config object may take the place of a block.

Errors are `ConfigError`s, whose messages start with the file and the line.
"""

from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

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
from motrix_gym.settings import is_list, is_mapping
from rl_zoo import yaml_files
from rl_zoo.yaml_files import Block, ConfigError, parse_value

Source = str | Path | Mapping[str, Any] | AlgorithmConfig

BACKENDS = "backends"
EXTENDS = "extends"
TRAINING_ENV = "training_env"
FOLDER = Path(str(resources.files("hyperparams")))


def load(
    env_id: str,
    algo: str = "ppo",
    trainer: str | None = None,
    *,
    hyperparams: Source | None = None,
    task_settings: Collection[str] = (),
    **overrides: Any,
) -> AlgorithmConfig:
    """Returns the settings with which to train an environment.

    Args:
        env_id: A registered id; used only to find its settings.
        algo: The block to read.
        trainer: Which of the block's `backends` to read; "stock-sb3" reads that of "sb3", and None
            that of the first trainer that has the algorithm.
        hyperparams: A YAML file, a mapping as such a file has it, or a config object, to use
            instead of the environment's own.
        task_settings: Dotted names of task settings that the caller changes. Settings of the same
            name are left out of the `training_env` of the environment's settings.
        **overrides: Values that win over all others.

    Raises:
        ConfigError: A setting is wrong, there is no such algorithm or trainer, or the trainer does
            not have the algorithm.
        UnknownEnvironmentError: (of motrix_gym) `hyperparams` is not given and no environment has
            the id.
    """
    values, origin = given(env_id, algo, trainer, hyperparams=hyperparams)
    places = values.places
    _leave_out(values, task_settings)
    try:
        asked = ALGORITHMS[algo].by_our_names(overrides)
    except FieldError as error:
        raise ConfigError(str(error)) from error
    if is_list(stages := values.get("stages")):  # what was asked for wins in each of them
        aliases = ALGORITHMS[algo].aliases
        values["stages"] = [_without(stage, asked, task_settings, aliases) for stage in stages]
    try:
        return ALGORITHMS[algo].from_dict(values | asked)
    except FieldError as error:
        if error.field in asked or origin is None:
            raise ConfigError(str(error)) from error
        raise ConfigError(f"{places.get(error.field, origin)}: {error}") from error


def given(
    env_id: str,
    algo: str = "ppo",
    trainer: str | None = None,
    *,
    hyperparams: Source | None = None,
) -> tuple[Block, str | None]:
    """Returns the values that an environment's settings give, and the place of the first.

    The arguments are those of `load`. A place is text such as "Go1-v0.yaml:3", and each value knows
    its own. If there are no settings, the place is None.

    Raises:
        ConfigError, UnknownEnvironmentError: As `load`, except that values are not checked.
    """
    trainer = trainers(algo)[0] if trainer is None else trainer
    try:
        check_trainer(trainer, algo)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    blocks, origin = _read(env_id, hyperparams)
    names, unlisted = ALGORITHMS[algo].names(), ALGORITHMS[algo].only
    universal = blocks.get(algo, Block())
    _check_keys(universal, (*names, BACKENDS), "setting", unlisted)
    backends = universal.get(BACKENDS, Block())
    _check_keys(backends, trainers_with(algo), "trainer")
    for block in backends.values():
        _check_keys(block, names, "setting", unlisted)
    values = _on_top(backends.get(counterpart(trainer), Block()), universal)
    values.pop(BACKENDS, None)
    return values, blocks.places.get(algo, origin)


def _leave_out(values: dict[str, Any], task_settings: Collection[str]) -> None:
    """Takes those task settings out of the `training_env` of some settings."""
    if isinstance(own := values.get(TRAINING_ENV), dict) and task_settings:
        kept = {k: v for k, v in own.items() if not any(_overlap(k, t) for t in task_settings)}
        values[TRAINING_ENV] = kept or None


def _without(
    stage: Any, asked: Collection[str], task_settings: Collection[str], aliases: Mapping[str, str]
) -> Any:
    """Returns a stage without the settings that a caller gives, which win."""
    if not is_mapping(stage):
        return stage
    kept = {name: x for name, x in stage.items() if aliases.get(name, name) not in asked}
    _leave_out(kept, task_settings)
    return kept


def _overlap(first: str, second: str) -> bool:
    """Whether two dotted names are the same setting, or one is a part of the other."""
    first, second = f"{first}.", f"{second}."
    return first.startswith(second) or second.startswith(first)


def trainers(algo: str) -> list[str]:
    """Returns the names of the trainers that have an algorithm.

    Raises:
        ConfigError: There is no such algorithm.
    """
    _check_name(algo, ALGORITHMS, "algorithm")
    return trainers_with(algo)


def find(env_id: str) -> Source | None:
    """Returns the settings of a registered environment; None where it has none (all defaults).

    Raises:
        UnknownEnvironmentError: (of motrix_gym) No environment has the id.
    """
    if (own := registration.hyperparams(env_id)) is not None:
        return own
    shipped = FOLDER / f"{env_name(env_id)}.yaml"
    return shipped if shipped.is_file() else None


def has_settings(env_id: str, algo: str, hyperparams: Source | None = None) -> bool:
    """Returns whether there are settings, as for `load`, with a block of the algorithm."""
    return algo in _read(env_id, hyperparams)[0]


def algorithms(env_id: str) -> list[str]:
    """Returns the algorithms for which an environment has settings."""
    return list(_read(env_id, None)[0])


def dump(config: AlgorithmConfig, algo: str = "ppo") -> str:
    """Returns the text of a settings file that loads to an equal configuration."""
    return yaml_files.dump({algo: config.as_dict()})


def parse_set(text: str, algo: str = "ppo", env_id: str | None = None) -> tuple[str, Any]:
    """Returns name and value of a `--set name=value`; the value is read as YAML.

    Args:
        text: What was given.
        algo: The algorithm's name.
        env_id: The environment, of whose settings one may be meant.

    Raises:
        ConfigError: It is not name=value, or no setting of the algorithm has the name, or there is
            no such algorithm.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise ConfigError(f"--set {shown(text)}: expected name=value, such as learning_rate=1e-4")
    _check_name(algo, ALGORITHMS, "algorithm")
    note = "; those of the task are env.NAME"
    config = ALGORITHMS[algo]
    if name not in (*config.aliases, *config.only):
        task = vars(registration.entry(env_id).config) if env_id else ()
        if name not in config.names() and name.partition(".")[0] in task:
            raise ConfigError(f"--set {shown(name)}: did you mean env.{name}?")
        _check_name(name, config.names(), "setting", "--set: ", note)
    return name, parse_value(value, f"--set {shown(text)}")


def _read(env_id: str, hyperparams: Source | None) -> tuple[Block, str | None]:
    """Returns blocks, algorithm -> {name: value, "backends": {trainer: {...}}}, and their origin.

    The origin starts the messages of errors that have no place of their own; None if there are no
    settings.
    """
    source, origin = hyperparams, "hyperparams"
    if source is None:
        source, origin = find(env_id), f"hyperparams of {env_id}"
    if source is None:
        return Block(), None
    if isinstance(source, str | Path):
        return _read_file(Path(source)), f"{source}:1"
    return _read_python(source, origin), origin


def _read_file(path: Path, extending: tuple[Path, ...] = ()) -> Block:
    """Returns the blocks of a file, on top of those that it extends.

    Args:
        path: The file.
        extending: Those that extend it, the first one first.
    """
    blocks = yaml_files.read(path)
    _check_block(blocks, f"{path}:1", "the file")
    return _extended(blocks, path.parent, (*extending, path))


def _read_python(source: Any, origin: str) -> Block:
    """Returns the blocks of a mapping or a config object, on top of those that it extends."""

    def block_of(name: str, values: Any) -> Any:
        if isinstance(values, AlgorithmConfig):
            values = values.as_dict()
        if not isinstance(values, Mapping):
            return values
        block = Block()
        for key, value in values.items():
            if not isinstance(key, str):
                raise ConfigError(f"{origin}: a name must be text, not {shown(key)}")
            nested = key == BACKENDS or name == BACKENDS or not name
            block.put(key, block_of(key, value) if nested else value, origin)
        return block

    if isinstance(source, AlgorithmConfig):
        source = {source.algo: source}
    if not isinstance(source, Mapping):
        raise ConfigError(f"{origin} must be a file, a mapping or a config, not {shown(source)}")
    for algo, config in source.items():
        if isinstance(config, AlgorithmConfig) and config.algo != algo:
            raise ConfigError(f"{origin}: {shown(algo)} has settings of {config.algo!r}")
    return _extended(block_of("", source), Path(), ())


def _extended(blocks: Block, folder: Path, extending: tuple[Path, ...]) -> Block:
    """Returns blocks on top of those that they extend; checked, and by our names.

    Args:
        blocks: What was read.
        folder: Where a path in `extends` begins.
        extending: The files that led here, the last of which was read.
    """
    base_name, place = blocks.pop(EXTENDS, None), blocks.places.pop(EXTENDS, "")
    for algo, block in blocks.items():
        known = any(algo in (*config.names(), *config.aliases) for config in ALGORITHMS.values())
        note = "; settings go under an algorithm, such as `ppo:`" if known else ""
        _check_name(algo, ALGORITHMS, "algorithm", f"{blocks.places[algo]}: ", note)
        _check_block(block, blocks.places[algo], algo)
        backends = block.get(BACKENDS, Block())
        _check_block(backends, block.places.get(BACKENDS, ""), BACKENDS)
        for trainer, values in backends.items():
            _check_block(values, backends.places[trainer], trainer)
            backends[trainer] = _by_our_names(values, ALGORITHMS[algo].aliases)
        blocks[algo] = _by_our_names(block, ALGORITHMS[algo].aliases)
    if not place:
        return blocks
    path = _base(base_name, folder, place)
    if path.resolve() in [file.resolve() for file in extending]:
        chain = " -> ".join(file.name for file in (*extending, path))
        raise ConfigError(f"{place}: files extend each other in a circle: {chain}")
    return _on_top(blocks, _read_file(path, extending))


def _base(name: Any, folder: Path, place: str) -> Path:
    """Returns the file that `extends` names."""
    if not isinstance(name, str):
        raise ConfigError(f"{place}: extends must name a file, not {shown(name)}")
    if name.endswith((".yaml", ".yml")):
        path = folder / name
        if not path.is_file():
            raise ConfigError(f"{place}: there is no file {path}")
        return path
    shipped = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    _check_name(name, shipped, "shipped file", f"{place}: ", "; a path ends in .yaml")
    return FOLDER / f"{name}.yaml"


def _on_top(own: Block, base: Block) -> Block:
    """Returns a block with the values of `own`, or else of `base`; inner blocks likewise."""
    merged = Block()
    for block in (base, own):
        for name, value in block.items():
            known = merged.get(name)
            if isinstance(value, Block) and isinstance(known, Block) and name != TRAINING_ENV:
                value = _on_top(value, known)
            merged.put(name, value, block.places[name])
    return merged


def _by_our_names(block: Block, aliases: Mapping[str, str]) -> Block:
    """Returns a block in which the names of settings are the fields', `aliases` replaced."""
    found, given = Block(), {}
    for name, value in block.items():
        ours, place = aliases.get(name, name), block.places[name]
        if ours in found:
            raise ConfigError(
                f"{place}: {given[ours]} and {name} are one setting: give one of them"
            )
        found.put(ours, value, place)
        given[ours] = name
    return found


def _check_block(value: Any, place: str, name: str) -> None:
    if not isinstance(value, Block):
        raise ConfigError(f"{place}: {name} must hold 'name: value' pairs, not {shown(value)}")


def _check_keys(
    block: Block, allowed: Collection[str], what: str, unlisted: Collection[str] = ()
) -> None:
    """Raises ConfigError for a name that is neither allowed nor one of `unlisted`."""
    for name, place in block.places.items():
        if name not in unlisted:
            _check_name(name, allowed, what, f"{place}: ")


def _check_name(
    name: str, allowed: Collection[str], what: str, where: str = "", note: str = ""
) -> None:
    if name not in allowed:
        hint, names = did_you_mean(name, allowed), ", ".join(allowed)
        raise ConfigError(f"{where}no {what} {shown(name)}{hint}; allowed are: {names}{note}")
