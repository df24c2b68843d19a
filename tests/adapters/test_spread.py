# SPDX-License-Identifier: Apache-2.0
"""The standard deviation of actions in all PPO trainers: its bounds, and `final_log_std`."""

import numpy as np
import pytest

from adapters import PPOConfig
from adapters.ppo_config import MAX_LOG_STD
from tests.adapters.envs import BanditEnv, PointEnv
from tests.adapters.torch_contract import assert_resumes_exactly
from tests.adapters.trainers import TINY

SPREAD = "Policy / Standard deviation"
UPDATES = 4


class SmallIsBetterEnv(BanditEnv):
    """Pays the less the larger the action is."""

    weight = 0.0

    def reward(self, action):
        return -self.weight * np.abs(action)


def test_the_spread_stops_at_its_bound_and_comes_back(trainer_class):
    settings = TINY | {"rollouts": 4, "learning_epochs": 8, "learning_rate": 5e-2}
    settings |= {"entropy_loss_scale": 0.1}
    config = PPOConfig(**settings, max_env_steps=64 * 4 * 30)
    env = SmallIsBetterEnv()
    trainer = trainer_class(env, config)
    spreads = [trainer.update()[SPREAD] for _ in range(20)]
    assert max(spreads) == spreads[-1] == pytest.approx(np.exp(MAX_LOG_STD))
    env.weight = 1.0  # now a small spread pays more than a wide one, soon
    for _ in range(40):
        last = trainer.update()[SPREAD]
    assert last < 0.7 * np.exp(MAX_LOG_STD)


@pytest.fixture
def make_planned(trainer_class):
    """Return a function that makes a trainer whose spread goes from e to 1/e, by plan."""
    settings = TINY | {"num_envs": 8, "rollouts": 4, "max_env_steps": 8 * 4 * UPDATES}
    settings |= {"initial_log_std": 1.0, "final_log_std": -1.0, "entropy_loss_scale": 0.1}
    return lambda **values: trainer_class(PointEnv(), PPOConfig(**settings | values))


def test_the_planned_spread_is_that_of_the_actions_and_nothing_else_moves_it(make_planned):
    trainer = make_planned()
    planned = [1.0, 0.5, 0.0, -0.5, -1.0, -1.0]  # the last beyond the run's end
    for now, following in zip(planned, [*planned[1:], -1.0], strict=True):
        assert trainer.policy().log_std == pytest.approx(now)
        assert trainer.update()[SPREAD] == pytest.approx(np.exp(now))
        assert trainer.policy().log_std == pytest.approx(following)


def test_the_mean_actions_are_still_learned(make_planned):
    trainer = make_planned()
    before = trainer.policy()
    trainer.update()
    assert np.any(trainer.policy().layers[0][0] != before.layers[0][0])


def test_the_plan_goes_on_after_an_interruption(make_planned):
    assert_resumes_exactly(make_planned, 1)
