# SPDX-License-Identifier: Apache-2.0
"""`noise_correlation` in all PPO trainers: an action's noise resembles that of the last step."""

import numpy as np
import pytest

from adapters import PPOConfig
from tests.adapters.envs import SameStepEnv
from tests.adapters.torch_contract import assert_resumes_exactly
from tests.adapters.trainers import TINY, load_or_skip

STD = 0.05
SETTINGS = TINY | {"rollouts": 64, "initial_log_std": float(np.log(STD))}


class RecordingEnv(SameStepEnv):
    """Shows nothing, pays the first action, never ends, and remembers the actions."""

    def __init__(self):
        super().__init__(64, horizon=10**6, obs_dim=1, action_dim=2)
        self.actions = []

    def advance(self, action):
        self.actions.append(np.array(action))
        never = np.zeros(self.num_envs, bool)
        return action[:, 0], never, never.copy(), {}

    def observe(self):
        return np.zeros((self.num_envs, 1), np.float32)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_noise_is_as_wide_as_ever_and_as_correlated_as_asked(trainer_class, correlation):
    env = RecordingEnv()
    trainer_class(env, PPOConfig(**SETTINGS, noise_correlation=correlation)).update()
    noise = np.array(env.actions) / STD  # with nothing to see, the mean is 0
    assert noise.shape == (64, 64, 2)
    # Six standard errors each, at the higher correlation.
    assert noise[0].std() == pytest.approx(1.0, abs=0.4)  # from the first step on
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    for lag in (1, 2):
        found = (noise[lag:] * noise[:-lag]).mean() / (noise**2).mean()
        assert found == pytest.approx(correlation**lag, abs=0.07)
    across = (noise[..., 0] * noise[..., 1]).mean(), (noise[:, 1:] * noise[:, :-1]).mean()
    assert across == pytest.approx((0.0, 0.0), abs=0.2)


@pytest.mark.parametrize("name", ["skrl-jax", "skrl-torch"])
def test_likelihoods_are_those_of_independent_noise(name):
    settings = SETTINGS | {"learning_epochs": 1, "mini_batches": 1, "noise_correlation": 0.8}
    trainer = load_or_skip(name)(RecordingEnv(), PPOConfig(**settings))
    for _ in range(2):  # measured before the only gradient step
        assert abs(trainer.update()["Learning / KL divergence"]) < 1e-6


def test_correlated_noise_goes_on_after_an_interruption(trainer_class):
    def make(**values):
        settings = SETTINGS | {"rollouts": 4, "noise_correlation": 0.8} | values
        return trainer_class(RecordingEnv(), PPOConfig(**settings))

    assert_resumes_exactly(make, 2)


def test_a_state_from_before_the_first_draw_can_be_restored(trainer_class):
    def make():
        settings = SETTINGS | {"rollouts": 4, "noise_correlation": 0.8}
        return trainer_class(RecordingEnv(), PPOConfig(**settings))

    fresh, used = make(), make()
    used.update()
    used.restore(make().state())
    for trainer in (fresh, used):
        trainer.env.actions.clear()
        trainer.update()
    np.testing.assert_array_equal(fresh.env.actions, used.env.actions)
