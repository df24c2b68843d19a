# SPDX-License-Identifier: Apache-2.0
"""One module per learning library, imported when its trainer is asked for and not before."""

import importlib
from collections.abc import Iterable

from adapters.algorithm_config import AlgorithmConfig, FieldError
from adapters.base import Trainer
from adapters.ppo_config import PPOConfig
from adapters.sb3_config import (
    ARSConfig,
    CrossQConfig,
    RecurrentPPOConfig,
    SACConfig,
    TD3Config,
    TQCConfig,
    TRPOConfig,
)
from adapters.statistics import RolloutStatistics
from motrix_gym.names import did_you_mean, shown
from motrix_gym.policy import Policy
from motrix_gym.policy_files import PolicyError

# Name of the algorithm -> its settings.
ALGORITHMS: dict[str, type[AlgorithmConfig]] = {
    config.algo: config
    for config in (
        PPOConfig,
        RecurrentPPOConfig,
        TRPOConfig,
        SACConfig,
        TD3Config,
        TQCConfig,
        CrossQConfig,
        ARSConfig,
    )
}
# Name of the trainer, which is also the name of its pip extra -> algorithm -> module and class.
TRAINERS = {
    "skrl-jax": {"ppo": ("adapters.skrl_jax", "SkrlJaxTrainer")},
    "skrl-torch": {"ppo": ("adapters.skrl_torch", "SkrlTorchTrainer")},
    "sb3": {
        "ppo": ("adapters.sb3", "SB3Trainer"),
        "recurrent_ppo": ("adapters.recurrent_ppo", "RecurrentPPOTrainer"),
        "trpo": ("adapters.trpo", "TRPOTrainer"),
        "sac": ("adapters.off_policy", "SACTrainer"),
        "td3": ("adapters.off_policy", "TD3Trainer"),
        "tqc": ("adapters.contrib_off_policy", "TQCTrainer"),
        "crossq": ("adapters.contrib_off_policy", "CrossQTrainer"),
        "ars": ("adapters.ars", "ARSTrainer"),
    },
}
# The libraries' own loops, to compare with.
STOCK_PREFIX = "stock-"
STOCK = {
    "stock-skrl-jax": {"ppo": ("adapters.stock.skrl_jax", "StockSkrlJaxTrainer")},
    "stock-skrl-torch": {"ppo": ("adapters.stock.skrl_torch", "StockSkrlTorchTrainer")},
    "stock-sb3": {"ppo": ("adapters.stock.sb3", "StockSB3Trainer")},
}

__all__ = [
    "ALGORITHMS",
    "STOCK",
    "STOCK_PREFIX",
    "TRAINERS",
    "ARSConfig",
    "AlgorithmConfig",
    "CrossQConfig",
    "FieldError",
    "MissingLibraryError",
    "PPOConfig",
    "Policy",
    "PolicyError",
    "RecurrentPPOConfig",
    "RolloutStatistics",
    "SACConfig",
    "TD3Config",
    "TQCConfig",
    "TRPOConfig",
    "Trainer",
    "check_trainer",
    "counterpart",
    "load_trainer",
    "trainers_with",
]


class MissingLibraryError(ImportError):
    """The library of a trainer is not installed; the message names the extra that brings it."""


def counterpart(name: str) -> str:
    """Returns the one of `TRAINERS` with the same library and settings: "sb3" for "stock-sb3"."""
    return name.removeprefix(STOCK_PREFIX)


def trainers_with(algo: str) -> list[str]:
    """Returns the names of those of `TRAINERS` that have an algorithm."""
    return [name for name, algorithms in TRAINERS.items() if algo in algorithms]


def check_trainer(name: str, algo: str) -> None:
    """Checks that one of `TRAINERS` or `STOCK` has one of `ALGORITHMS`.

    Raises:
        ValueError: there is no such algorithm or trainer, or the trainer does not have it.
    """
    trainers = TRAINERS | STOCK
    _check_name("algorithm", algo, ALGORITHMS)
    _check_name("trainer", name, trainers)
    if algo not in trainers[name]:
        having = ", ".join(trainers_with(algo))
        raise ValueError(
            f"trainer {name!r} has no algorithm {algo!r}, only {', '.join(trainers[name])}; "
            f"{algo} is what these have: {having}"
        )


def _check_name(what: str, name: str, allowed: Iterable[str]) -> None:
    if name not in allowed:
        hint = did_you_mean(name, allowed)
        raise ValueError(f"no {what} {shown(name)}{hint}; allowed are: {', '.join(allowed)}")


def load_trainer(name: str, algo: str = "ppo") -> type[Trainer]:
    """Imports the library of one of `TRAINERS` or `STOCK` and returns the trainer's class.

    Raises:
        ValueError: as `check_trainer`.
        MissingLibraryError: the library is not installed.
    """
    check_trainer(name, algo)
    module, attribute = (TRAINERS | STOCK)[name][algo]
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or module).split(".")[0] in ("adapters", "motrix_gym"):
            raise
        raise MissingLibraryError(
            f"trainer {name!r} needs {error.name!r} for {algo}, which is not installed: "
            f'pip install "motrix-gym[{counterpart(name)}]"',
            name=error.name,
        ) from error
