# SPDX-License-Identifier: Apache-2.0
"""A search space: the settings that a study draws, and from what.

    learning_rate: {from: 1.0e-4, to: 1.0e-3, log: true}
    learning_epochs: {from: 2, to: 10}
    rollouts: {choices: [8, 16, 32]}

A range of whole numbers draws whole numbers; `log` draws evenly in the logarithm. There is a file
for each algorithm, such as `hyperparams/search/ppo.yaml`; `motrix tune --space FILE` reads another.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import ALGORITHMS
from motrix_gym.names import did_you_mean, shown
from motrix_gym.settings import is_list
from rl_zoo import yaml_files
from rl_zoo.config import FOLDER
from rl_zoo.yaml_files import Block, ConfigError

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Choices:
    """One of some values, of any kind that a setting has."""

    values: tuple[Any, ...]

    def draw(self, trial: "optuna.Trial", name: str) -> Any:
        """Draws a value."""
        # Optuna's are numbers and text, and a value may be a list.
        texts = [json.dumps(value) for value in self.values]
        return json.loads(trial.suggest_categorical(name, texts))

    def given(self, value: Any) -> Any:
        """Returns a value as Optuna has it; None if it is not one of these."""
        value = list(value) if is_list(value) else value
        return json.dumps(value) if value in self.values else None


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, trial: "optuna.Trial", name: str) -> float:
        """Draws a value."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        value = trial.suggest_float(name, self.low, self.high, log=self.log)
        return float(f"{value:.4g}")  # as a reader would write it

    def given(self, value: Any) -> Any:
        """Returns a value as Optuna has it; None if it is outside of the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if number and self.low <= value <= self.high else None


Space = Mapping[str, Choices | Range]


def read(algo: str, path: Path | None = None) -> Space:
    """Reads a search space.

    Args:
        algo: The algorithm.
        path: The file; by default the shipped one.

    Raises:
        ConfigError: The file cannot be read, or is wrong; the message starts with file and line.
    """
    shipped = FOLDER / "search" / f"{algo}.yaml"
    if path is None and not shipped.is_file():
        there = ", ".join(sorted(file.stem for file in shipped.parent.glob("*.yaml")))
        raise ConfigError(
            f"there is no search space for {algo} (there are {there}): give one with --space FILE"
        )
    path = path or shipped
    block = yaml_files.read(path)
    if not isinstance(block, Block) or not block:
        raise ConfigError(f"{path}:1: a search space has lines such as `name: {{choices: [1, 2]}}`")
    names = ALGORITHMS[algo].names()
    space: dict[str, Choices | Range] = {}
    for name, entry in block.items():
        place, ours = block.places[name], ALGORITHMS[algo].aliases.get(name, name)
        if ours not in names:
            raise ConfigError(f"{place}: no setting {shown(name)}{did_you_mean(name, names)}")
        space[ours] = _entry(entry, f"{place}: {name}")
    return space


def _entry(entry: Any, where: str) -> Choices | Range:
    if not isinstance(entry, Block) or not (
        set(entry) == {"choices"} or {"from", "to"} <= set(entry) <= {"from", "to", "log"}
    ):
        raise ConfigError(f"{where} must have `choices`, or `from` and `to`, and may have `log`")
    if "choices" in entry:
        values = entry["choices"]
        if not is_list(values) or not values:
            raise ConfigError(f"{where}: choices must be a list, got {shown(values)}")
        return Choices(tuple(values))
    low, high, log = entry["from"], entry["to"], entry.get("log", False)
    for value in (low, high):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConfigError(f"{where}: `from` and `to` must be numbers, got {shown(value)}")
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log must be true or false, got {shown(log)}")
    if not low < high or (log and low <= 0):
        above = " above 0" if log else ""
        raise ConfigError(f"{where}: `from`{above} must be less than `to`, got {low} and {high}")
    return Range(low, high, log)


def as_json(space: Space) -> dict[str, Any]:
    """Returns a space as plain JSON, to compare it with another."""
    return {name: json.loads(json.dumps(vars(entry))) for name, entry in space.items()}
