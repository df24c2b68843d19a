# SPDX-License-Identifier: Apache-2.0
"""`anneal_learning_rate` in all PPO trainers."""

import pytest

from adapters import PPOConfig
from tests.adapters.envs import PointEnv
from tests.adapters.torch_contract import assert_resumes_exactly
from tests.adapters.trainers import TINY

UPDATES = 4
SETTINGS = TINY | {
    "num_envs": 8,
    "rollouts": 4,
    "max_env_steps": 8 * 4 * UPDATES,
    "learning_epochs": 1,
    "mini_batches": 1,
    "learning_rate": 1e-3,
}
RATE = "Learning / Learning rate"


@pytest.fixture
def make(trainer_class):
    """Return a function that makes a trainer of each library with some settings."""
    return lambda **values: trainer_class(PointEnv(), PPOConfig(**SETTINGS | values))


def rates(trainer, updates=UPDATES):
    """Return the learning rate of so many updates."""
    return [trainer.update()[RATE] for _ in range(updates)]


def test_a_fixed_rate_falls_to_nothing(make):
    expected = [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]
    assert rates(make()) == pytest.approx([1e-3] * 4)
    trainer = make(anneal_learning_rate=True)
    assert rates(trainer) == pytest.approx(expected)
    assert rates(trainer, 2) == pytest.approx([0.0, 0.0])  # beyond the run's end


def test_an_adaptive_rate_keeps_below_the_ceiling_that_falls(make):
    low = {"desired_kl": 1e3, "max_learning_rate": 1e-3}  # always raised
    expected = [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]
    assert rates(make(**low, anneal_learning_rate=True)) == pytest.approx(expected)


def test_annealing_goes_on_after_an_interruption(make):
    assert_resumes_exactly(lambda **values: make(anneal_learning_rate=True, **values), 1)
