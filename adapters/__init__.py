# SPDX-License-Identifier: Apache-2.0
"""Trainers: learning libraries behind one interface, `Trainer`.

A library is imported when one of its trainers is asked for (`load_trainer`), and not before.
"""

from adapters import _threads  # noqa: F401, first, since it acts before Torch is loaded
from adapters.algorithm_config import AlgorithmConfig, FieldError
from adapters.base import Trainer
from adapters.distill_config import DistillConfig
from adapters.ppo_config import PPOConfig
from adapters.registry import (
    ALGORITHMS,
    STOCK,
    STOCK_PREFIX,
    TRAINERS,
    MissingLibraryError,
    TrainerRecord,
    check_trainer,
    counterpart,
    find_trainer,
    load_trainer,
    register_algorithm,
    register_trainer,
    trainers_with,
)
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
from motrix_gym import Policy, PolicyError

__all__ = [
    "ALGORITHMS",
    "STOCK",
    "STOCK_PREFIX",
    "TRAINERS",
    "ARSConfig",
    "AlgorithmConfig",
    "CrossQConfig",
    "DistillConfig",
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
    "TrainerRecord",
    "check_trainer",
    "counterpart",
    "find_trainer",
    "load_trainer",
    "register_algorithm",
    "register_trainer",
    "trainers_with",
]
