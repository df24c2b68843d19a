# SPDX-License-Identifier: Apache-2.0
"""`bounds_loss_scale` in skrl's PPO trainers: mean actions stay near the action box."""

import numpy as np
import pytest

from adapters import TRAINERS, MissingLibraryError, PPOConfig, load_trainer
from tests.adapters.envs import SameStepEnv

SETTINGS = {
    "seed": 0,
    "num_envs": 64,
    "rollouts": 4,
    "learning_epochs": 8,
    "mini_batches": 2,
    "learning_rate": 1e-2,
    "learning_rate_scheduler_kl_threshold": 0,
    "policy_hidden_layer_sizes": (8,),
    "value_hidden_layer_sizes": (8,),
    "share_policy_value_features": False,
}


class MoreIsBetterEnv(SameStepEnv):
    """Pays the action, which the box bounds; every episode is one step."""

    def __init__(self):
        super().__init__(64, horizon=1, obs_dim=1, action_dim=1)

    def advance(self, action):
        ended = np.ones(self.num_envs, bool)
        return action[:, 0], ended, np.zeros(self.num_envs, bool), {}

    def observe(self):
        return np.zeros((self.num_envs, 1), np.float32)


@pytest.mark.parametrize("name", TRAINERS)
def test_means_stay_near_the_box(name):
    try:
        trainer_class = load_trainer(name)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    if "bounds_loss_scale" in trainer_class.without_effect:
        pytest.skip(f"{name} has no loss of its own")

    def mean(**values):
        trainer = trainer_class(MoreIsBetterEnv(), PPOConfig(**SETTINGS | values))
        for _ in range(60):
            trainer.update()
        return trainer.policy().mean(np.zeros((1, 1), np.float32)).item()

    assert mean() > 2.0
    assert 0.8 < mean(bounds_loss_scale=1.0) < 1.5
