# SPDX-License-Identifier: Apache-2.0
"""One module per learning library, imported when its trainer is asked for and not before."""

import importlib

from adapters.base import Trainer
from adapters.policy import Policy, PolicyError
from adapters.ppo_config import FieldError, PPOConfig
from adapters.statistics import RolloutStatistics
from motrix_gym.names import did_you_mean

# Name of the trainer, which is also the name of its pip extra -> module and class.
TRAINERS = {
    "skrl-jax": ("adapters.skrl_jax", "SkrlJaxTrainer"),
    "skrl-torch": ("adapters.skrl_torch", "SkrlTorchTrainer"),
    "sb3": ("adapters.sb3", "SB3Trainer"),
}
# The libraries' own loops, to compare with.
STOCK_PREFIX = "stock-"
STOCK = {
    "stock-skrl-jax": ("adapters.stock.skrl_jax", "StockSkrlJaxTrainer"),
    "stock-skrl-torch": ("adapters.stock.skrl_torch", "StockSkrlTorchTrainer"),
    "stock-sb3": ("adapters.stock.sb3", "StockSB3Trainer"),
}

__all__ = [
    "STOCK",
    "STOCK_PREFIX",
    "TRAINERS",
    "FieldError",
    "MissingLibraryError",
    "PPOConfig",
    "Policy",
    "PolicyError",
    "RolloutStatistics",
    "Trainer",
    "counterpart",
    "load_trainer",
]


class MissingLibraryError(ImportError):
    """The library of a trainer is not installed; the message names the extra that brings it."""


def counterpart(name: str) -> str:
    """Returns the one of `TRAINERS` with the same library and settings: "sb3" for "stock-sb3"."""
    return name.removeprefix(STOCK_PREFIX)


def load_trainer(name: str) -> type[Trainer]:
    """Imports the library of one of `TRAINERS` or `STOCK` and returns the trainer's class.

    Raises:
        ValueError: no trainer has this name.
        MissingLibraryError: the library is not installed.
    """
    trainers = TRAINERS | STOCK
    if name not in trainers:
        hint = did_you_mean(name, trainers)
        raise ValueError(f"no trainer {name!r}{hint}; allowed are: {', '.join(trainers)}")
    module, attribute = trainers[name]
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or module).split(".")[0] in ("adapters", "motrix_gym"):
            raise
        raise MissingLibraryError(
            f"trainer {name!r} needs {error.name!r}, which is not installed: "
            f'pip install "motrix-gym[{counterpart(name)}]"',
            name=error.name,
        ) from error
