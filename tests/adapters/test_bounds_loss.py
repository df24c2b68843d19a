# SPDX-License-Identifier: Apache-2.0
"""`bounds_loss_scale` in skrl's PPO trainers: mean actions stay near the action box."""

import numpy as np
import pytest

from adapters import PPOConfig
from tests.adapters.envs import SameStepEnv
from tests.adapters.trainers import TINY

SETTINGS = TINY | {"rollouts": 4, "learning_epochs": 8, "learning_rate": 1e-2}


class MoreIsBetterEnv(SameStepEnv):
    """Pays the action, which the box bounds; every episode is one step."""

    def __init__(self):
        super().__init__(64, horizon=1, obs_dim=1, action_dim=1)

    def advance(self, action):
        ended = np.ones(self.num_envs, bool)
        return action[:, 0], ended, np.zeros(self.num_envs, bool), {}

    def observe(self):
        return np.zeros((self.num_envs, 1), np.float32)


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
