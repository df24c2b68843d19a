# SPDX-License-Identifier: Apache-2.0
"""One module per learning library, imported when its trainer is asked for and not before."""

import importlib

from adapters.base import Trainer
from adapters.policy import Policy, PolicyError
from adapters.ppo_config import FieldError, PPOConfig, did_you_mean
from adapters.statistics import RolloutStatistics

# Name of the trainer, which is also the name of its pip extra -> module and class.
TRAINERS = {
    "skrl-jax": ("adapters.skrl_jax", "SkrlJaxTrainer"),
    "skrl-torch": ("adapters.skrl_torch", "SkrlTorchTrainer"),
    "sb3": ("adapters.sb3", "SB3Trainer"),
}

__all__ = [
    "TRAINERS",
    "FieldError",
    "MissingLibraryError",
    "PPOConfig",
    "Policy",
    "PolicyError",
    "RolloutStatistics",
    "Trainer",
    "load_trainer",
]


class MissingLibraryError(ImportError):
    """The library of a trainer is not installed; the message names the extra that brings it."""


def load_trainer(name: str) -> type[Trainer]:
    """Imports a trainer's library and returns the trainer's class.

    Raises:
        ValueError: no trainer has this name.
        MissingLibraryError: the library is not installed.
    """
    if name not in TRAINERS:
        hint = did_you_mean(name, TRAINERS)
        raise ValueError(f"no trainer {name!r}{hint}; allowed are: {', '.join(TRAINERS)}")
    module, attribute = TRAINERS[name]
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or module).split(".")[0] in ("adapters", "motrix_gym"):
            raise
        raise MissingLibraryError(
            f"trainer {name!r} needs {error.name!r}, which is not installed: "
            f'pip install "motrix-gym[{name}]"',
            name=error.name,
        ) from error
