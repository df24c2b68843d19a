# SPDX-License-Identifier: Apache-2.0
"""Symmetry augmentation in all trainers: what is learned of the left also holds on the right."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters import PPOConfig
from motrix_gym.symmetry import Mirror, signs
from tests.adapters.envs import CounterEnv, SameStepEnv
from tests.adapters.trainers import TINY, load_or_skip

LEFT = np.array([[1.0, 1.0]], np.float32)
RIGHT = LEFT * [1, -1]


class LeftEnv(SameStepEnv):
    """Shows the left side only, where an action of 0.5 is best; on the right it would be -0.5."""

    task = SimpleNamespace(mirror=Mirror(observation=signs(1, -1), action=signs(-1)))

    def __init__(self, num_envs: int = 64):
        super().__init__(num_envs, horizon=1, obs_dim=2, action_dim=1)

    def advance(self, action):
        reward = -np.square(action[:, 0] - 0.5)
        return reward, np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool), {}

    def observe(self):
        return np.repeat(LEFT, self.num_envs, axis=0)


class TurningEnv(LeftEnv):
    """Shows angles without bounds, near 0; the best action is a quarter of the angle."""

    task = SimpleNamespace(mirror=Mirror(signs(1, 1), signs(1), full_turns=(0,)))

    def advance(self, action):
        _, *ends = super().advance(action)
        return -np.square(action[:, 0] - self.observe()[:, 0] / 4), *ends

    def observe(self):
        angles = np.linspace(-2, 2, self.num_envs)
        return np.stack([angles, np.ones_like(angles)], axis=1).astype(np.float32)


SETTINGS = TINY | {
    "rollouts": 4,
    "learning_epochs": 8,
    "learning_rate": 1e-2,
    "initial_log_std": -1.0,
}


@pytest.fixture
def make(trainer_class):
    """Make the trainer of each library."""

    def make(env, **values):
        config = PPOConfig(**SETTINGS | {"num_envs": env.num_envs} | values)
        return trainer_class(env, config)

    return make


def test_the_side_never_seen_is_learned_too(make):
    trainer = make(LeftEnv(), symmetry_augmentation=True)
    for _ in range(20):
        trainer.update()
    policy = trainer.policy()
    assert policy(LEFT) == pytest.approx(0.5, abs=0.15)
    assert policy(RIGHT) == pytest.approx(-0.5, abs=0.15)


def test_an_angle_is_learned_a_full_turn_away_too(make):
    observations = TurningEnv().observe()
    turned = TurningEnv.task.mirror.image(observations)
    best = observations[:, :1] / 4
    settings = {"policy_hidden_layer_sizes": (32,), "learning_rate": 3e-3, "initial_log_std": 0.0}
    errors = {}
    for augmented in (False, True):
        trainer = make(TurningEnv(), symmetry_augmentation=augmented, **settings)
        for _ in range(30):
            trainer.update()
        policy = trainer.policy()
        assert abs(policy(observations) - best).mean() < 0.3
        errors[augmented] = abs(policy(turned) - best).mean()
    assert errors[True] < 0.4
    assert errors[False] > 1.0


def test_the_normaliser_sees_both_sides(make):
    trainer = make(LeftEnv(), symmetry_augmentation=True)
    for _ in range(2):
        trainer.update()
    policy = trainer.policy()
    assert policy.observation_mean[0] == pytest.approx(1.0, abs=1e-3)
    assert policy.observation_mean[1] == pytest.approx(0.0, abs=1e-3)
    assert policy.observation_std[1] == pytest.approx(1.0, abs=1e-2)


@pytest.mark.parametrize("name", ["skrl-jax", "skrl-torch"])
def test_mirror_images_are_no_divergence(name):
    """Before the first gradient step the policy has not moved, however lopsided it is."""
    settings = SETTINGS | {"learning_epochs": 1, "mini_batches": 1, "symmetry_augmentation": True}
    trainer = load_or_skip(name)(LeftEnv(), PPOConfig(**settings))
    trainer.update()  # the side that is seen is learned, the normaliser sees both from now on
    assert abs(trainer.update()["Learning / KL divergence"]) < 1e-6


def test_a_planned_spread_is_no_divergence(make):
    settings = {"learning_epochs": 1, "mini_batches": 1, "learning_rate": 1e-9}
    plan = {"final_log_std": -3.0, "max_env_steps": 64 * 4 * 5}
    trainer = make(LeftEnv(), symmetry_augmentation=True, **settings, **plan)
    for _ in range(5):
        assert abs(trainer.update()["Learning / KL divergence"]) < 1e-5


def test_a_resumed_run_goes_on_bit_by_bit(make):
    first = make(LeftEnv(), symmetry_augmentation=True)
    first.update()
    second = make(LeftEnv(), symmetry_augmentation=True)
    second.restore(first.state())
    for trainer in (first, second):
        trainer.update()
    states = first.state(), second.state()
    assert states[0].keys() == states[1].keys()
    assert all((states[0][name] == states[1][name]).all() for name in states[0])


def test_a_task_without_a_mirror_is_refused(make):
    with pytest.raises(ValueError, match=r"symmetry_augmentation=True: CounterEnv has no mirror"):
        make(CounterEnv(), symmetry_augmentation=True)
