# SPDX-License-Identifier: Apache-2.0
"""`max_log_std` in all PPO trainers: the spread of actions stops there, and comes back."""

import numpy as np
import pytest

from adapters import FieldError, PPOConfig
from tests.adapters.envs import BanditEnv
from tests.adapters.trainers import TINY

SPREAD = "Policy / Standard deviation"


class SmallIsBetterEnv(BanditEnv):
    """Pays the less the larger the action is."""

    weight = 0.0

    def reward(self, action):
        return -self.weight * np.abs(action)


@pytest.mark.parametrize("highest", [0.5, 2.0])
def test_the_spread_stops_at_its_bound_and_comes_back(trainer_class, highest):
    settings = TINY | {"rollouts": 4, "learning_epochs": 8, "learning_rate": 5e-2}
    settings |= {"entropy_loss_scale": 1.0, "final_entropy_loss_scale": 0.0}
    config = PPOConfig(**settings, max_env_steps=64 * 4 * 30, max_log_std=highest)
    env = SmallIsBetterEnv()
    trainer = trainer_class(env, config)
    spreads = [trainer.update()[SPREAD] for _ in range(20)]
    assert max(spreads) == spreads[-1] == pytest.approx(np.exp(highest))
    env.weight = 1.0  # now a small spread pays more than a wide one, soon
    for _ in range(40):
        last = trainer.update()[SPREAD]
    assert last < 0.7 * np.exp(highest)


def test_to_start_above_the_bound_is_refused():
    with pytest.raises(FieldError, match=r"initial_log_std=0.0 is above max_log_std=-1.0") as e:
        PPOConfig(max_log_std=-1.0)
    assert e.value.field == "initial_log_std"
