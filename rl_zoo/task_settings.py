# SPDX-License-Identifier: Apache-2.0
"""Settings of a task by dotted name, such as `{"reward_weights.alive": 2}`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from motrix_gym import TaskConfig, registration
from motrix_gym.settings import changed

if TYPE_CHECKING:
    from adapters import AlgorithmConfig

PREFIX = "env."


def resolved(env_id: str, settings: Mapping[str, Any]) -> TaskConfig:
    """Returns a task's registered settings with some of them changed.

    Args:
        env_id: A registered id.
        settings: New values by dotted name.

    Raises:
        FieldError: (of motrix_gym) There is no such setting, or a value is not allowed.
    """
    return changed(registration.entry(env_id).config, settings, PREFIX)


def training_settings(
    env_id: str, settings: Mapping[str, Any], config: "AlgorithmConfig"
) -> dict[str, Any]:
    """Returns a task's changed settings, by dotted name, in the training.

    Args:
        env_id: A registered id.
        settings: Changed settings, which the evaluation has too.
        config: The algorithm's settings; `training_env` is added for the training alone.

    Raises:
        FieldError: (of motrix_gym) One of `training_env` is wrong.
    """
    own = config.training_env or {}
    changed(resolved(env_id, settings), own, "training_env.")
    return dict(settings) | own
