# SPDX-License-Identifier: Apache-2.0
"""`bounds_loss_scale` in skrl's PPO trainers: mean actions stay near the action box."""

import numpy as np
import pytest

from adapters import PPOConfig
from tests.adapters.envs import BanditEnv
from tests.adapters.trainers import TINY

SETTINGS = TINY | {"rollouts": 4, "learning_epochs": 8, "learning_rate": 1e-2}


class MoreIsBetterEnv(BanditEnv):
    """Pays the action, which the box bounds."""

    def reward(self, action):
        return action


def test_means_stay_near_the_box(trainer_class):
    if "bounds_loss_scale" in trainer_class.without_effect:
        pytest.skip(f"{trainer_class.name} has no loss of its own")

    def mean(**values):
        trainer = trainer_class(MoreIsBetterEnv(), PPOConfig(**SETTINGS | values))
        for _ in range(60):
            trainer.update()
        return trainer.policy().mean(np.zeros((1, 1), np.float32)).item()

    assert mean() > 2.0
    assert 0.8 < mean(bounds_loss_scale=1.0) < 1.5
