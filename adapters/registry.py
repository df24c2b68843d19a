# SPDX-License-Identifier: Apache-2.0
"""The tables of algorithms and trainers.

Each trainer is one `TrainerRecord`. Commands, settings files and tests read the records, so a
trainer of one's own needs no more than a call of `register_trainer`; its library is imported when
the trainer is asked for, and not before.
"""

import dataclasses
import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.algorithm_config import AlgorithmConfig
from adapters.distill_config import DistillConfig
from adapters.ppo_config import PPOConfig
from adapters.ranks import unseen
from adapters.sb3_config import (
    ARSConfig,
    CrossQConfig,
    RecurrentPPOConfig,
    SACConfig,
    TD3Config,
    TQCConfig,
    TRPOConfig,
)
from motrix_gym.names import did_you_mean, shown

if TYPE_CHECKING:
    from adapters.base import Trainer

STOCK_PREFIX = "stock-"  # of a library's own loop; the rest is the name of our trainer


@dataclass(frozen=True)
class TrainerRecord:
    """A trainer: a learning library behind the interface `Trainer`.

    Attributes:
        name: What commands call it. A name that begins with "stock-" is a library's own training
            loop, which is only compared with the trainer of the rest of the name, and reads the
            same settings.
        library: The library, in words.
        classes: "module:Class" of a `Trainer` for each algorithm.
        packages: Modules that must be installed.
        extra: The extra of motrix-gym that installs them; None if none does.
        framework: "jax" or "torch", which is asked for a GPU; None: the trainer uses none.
        resumes: Whether a stopped training can go on from its stored state.
        distributed: Algorithms that several processes can learn together, connected by `framework`.

    Raises:
        ValueError: a class is not written "module:Class", an algorithm is unknown, or the framework
            is another.
    """

    name: str
    library: str
    classes: Mapping[str, str]
    packages: tuple[str, ...]
    extra: str | None = None
    framework: str | None = None
    resumes: bool = True
    distributed: tuple[str, ...] = ()

    def __post_init__(self):
        for algo, place in self.classes.items():
            _check_name("algorithm", algo, ALGORITHMS)
            if not re.fullmatch(r"[\w.]+:\w+", place):
                raise ValueError(f"trainer {self.name!r}: {shown(place)} is not 'module:Class'")
        if self.framework not in (None, "jax", "torch"):
            raise ValueError(f"framework={shown(self.framework)} is not 'jax', 'torch' or None")

    @property
    def is_stock(self) -> bool:
        """Whether it is a library's own training loop."""
        return self.name.startswith(STOCK_PREFIX)


ALGORITHMS: dict[str, type[AlgorithmConfig]] = {}
"""Name of the algorithm -> its settings."""
TRAINERS: dict[str, TrainerRecord] = {}
"""Name -> record, in the order in which commands prefer them."""
STOCK: dict[str, TrainerRecord] = {}
"""Name -> record of the libraries' own training loops."""


class MissingLibraryError(ImportError):
    """The library of a trainer is not installed; the message names the extra that brings it."""


def register_algorithm(config: type[AlgorithmConfig]) -> None:
    """Adds an algorithm by its settings, under the name `config.algo`.

    Raises:
        ValueError: there is another algorithm of the name.
    """
    if ALGORITHMS.setdefault(config.algo, config) is not config:
        raise ValueError(f"the algorithm {config.algo!r} is already registered")


def register_trainer(record: TrainerRecord) -> None:
    """Adds a trainer.

    Raises:
        ValueError: there is another trainer of the name.
    """
    table = STOCK if record.is_stock else TRAINERS
    if table.setdefault(record.name, record) != record:
        raise ValueError(f"the trainer {record.name!r} is already registered")


def counterpart(name: str) -> str:
    """Returns the one of `TRAINERS` with the same library and settings: "sb3" for "stock-sb3"."""
    return name.removeprefix(STOCK_PREFIX)


def trainers_with(algo: str) -> list[str]:
    """Returns the names of those of `TRAINERS` that have an algorithm."""
    return [name for name, record in TRAINERS.items() if algo in record.classes]


def find_trainer(name: str) -> TrainerRecord:
    """Returns the record of one of `TRAINERS` or `STOCK`.

    Raises:
        ValueError: there is no such trainer.
    """
    trainers = TRAINERS | STOCK
    _check_name("trainer", name, trainers, TRAINERS)
    return trainers[name]


def check_trainer(name: str, algo: str) -> None:
    """Checks that one of `TRAINERS` or `STOCK` has one of `ALGORITHMS`.

    Raises:
        ValueError: there is no such algorithm or trainer, or the trainer does not have it.
    """
    _check_name("algorithm", algo, ALGORITHMS)
    record = find_trainer(name)
    if algo not in record.classes:
        having = ", ".join(trainers_with(algo))
        raise ValueError(
            f"trainer {name!r} has no algorithm {algo!r}, only {', '.join(record.classes)}; "
            f"{algo} is what these have: {having}"
        )


def load_trainer(name: str, algo: str = "ppo") -> "type[Trainer]":
    """Imports the library of one of `TRAINERS` or `STOCK` and returns the trainer's class.

    Raises:
        ValueError: as `check_trainer`.
        MissingLibraryError: the library is not installed.
    """
    check_trainer(name, algo)
    record = find_trainer(name)
    module, _, attribute = record.classes[algo].partition(":")
    try:
        with unseen():
            return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or module).split(".")[0] in ("adapters", "motrix_gym"):
            raise
        hint = f': pip install "motrix-gym[{record.extra}]"' if record.extra else ""
        raise MissingLibraryError(
            f"trainer {name!r} needs {error.name!r} for {algo}, which is not installed{hint}",
            name=error.name,
        ) from error


def _check_name(
    what: str, name: str, allowed: Iterable[str], listed: Iterable[str] | None = None
) -> None:
    """Raises ValueError if a name is not allowed; the message lists those for a user."""
    if name not in allowed:
        hint, names = did_you_mean(name, allowed), ", ".join(allowed if listed is None else listed)
        raise ValueError(f"no {what} {shown(name)}{hint}; allowed are: {names}")


for _config in (
    PPOConfig,
    RecurrentPPOConfig,
    TRPOConfig,
    SACConfig,
    TD3Config,
    TQCConfig,
    CrossQConfig,
    ARSConfig,
    DistillConfig,
):
    register_algorithm(_config)

for _record in (
    TrainerRecord(
        name="skrl-jax",
        library="skrl on JAX",
        classes={"ppo": "adapters.skrl_jax:SkrlJaxTrainer"},
        packages=("jax", "flax", "optax", "skrl"),
        extra="skrl-jax",
        framework="jax",
        distributed=("ppo",),
    ),
    TrainerRecord(
        name="skrl-torch",
        library="skrl on Torch",
        classes={
            "ppo": "adapters.skrl_torch:SkrlTorchTrainer",
            "distill": "adapters.distill:DistillTrainer",
        },
        packages=("torch", "skrl"),
        extra="skrl-torch",
        framework="torch",
        distributed=("ppo",),
    ),
    TrainerRecord(
        name="sb3",
        library="Stable-Baselines3 and sb3-contrib",
        classes={
            "ppo": "adapters.sb3:SB3Trainer",
            "recurrent_ppo": "adapters.recurrent_ppo:RecurrentPPOTrainer",
            "trpo": "adapters.trpo:TRPOTrainer",
            "sac": "adapters.off_policy:SACTrainer",
            "td3": "adapters.off_policy:TD3Trainer",
            "tqc": "adapters.contrib_off_policy:TQCTrainer",
            "crossq": "adapters.contrib_off_policy:CrossQTrainer",
            "ars": "adapters.ars:ARSTrainer",
        },
        packages=("torch", "stable_baselines3"),
        extra="sb3",
        framework="torch",
        distributed=("ppo",),
    ),
):
    register_trainer(_record)

for _name, _class in {
    "skrl-jax": "adapters.stock.skrl_jax:StockSkrlJaxTrainer",
    "skrl-torch": "adapters.stock.skrl_torch:StockSkrlTorchTrainer",
    "sb3": "adapters.stock.sb3:StockSB3Trainer",
}.items():
    register_trainer(
        dataclasses.replace(
            TRAINERS[_name],
            name=STOCK_PREFIX + _name,
            classes={"ppo": _class},
            resumes=False,
            distributed=(),
        )
    )
