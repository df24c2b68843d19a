# SPDX-License-Identifier: Apache-2.0
"""`anneal_learning_rate` and `final_entropy_loss_scale` in all PPO trainers."""

import math

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
RATE, ENTROPY = "Learning / Learning rate", "Loss / Entropy loss"


@pytest.fixture
def make(trainer_class):
    """Return a function that makes a trainer of each library with some settings."""
    return lambda **values: trainer_class(PointEnv(), PPOConfig(**SETTINGS | values))


def figures(trainer, tag, updates=UPDATES):
    """Return what so many updates report."""
    return [trainer.update()[tag] for _ in range(updates)]


def test_a_fixed_rate_falls_to_nothing(make):
    expected = [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]
    assert figures(make(), RATE) == pytest.approx([1e-3] * 4)
    trainer = make(anneal_learning_rate=True)
    assert figures(trainer, RATE) == pytest.approx(expected)
    assert figures(trainer, RATE, 2) == pytest.approx([0.0, 0.0])  # beyond the run's end


def test_an_adaptive_rate_keeps_below_the_ceiling_that_falls(make):
    low = {"learning_rate_scheduler_kl_threshold": 1e3, "max_learning_rate": 1e-3}  # always raised
    expected = [1e-3, 0.75e-3, 0.5e-3, 0.25e-3]
    assert figures(make(**low, anneal_learning_rate=True), RATE) == pytest.approx(expected)


def test_the_entropys_weight_goes_to_its_last_value(make):
    still = {"learning_rate": 1e-9, "entropy_loss_scale": 0.4}  # so that the entropy stays
    entropy = 2 * 0.5 * math.log(2 * math.pi * math.e)  # of two actions with std 1
    assert figures(make(**still), ENTROPY) == pytest.approx([-0.4 * entropy] * 4)
    found = figures(make(**still, final_entropy_loss_scale=0.0), ENTROPY)
    assert found == pytest.approx([-weight * entropy for weight in (0.4, 0.3, 0.2, 0.1)])


def test_annealing_goes_on_after_an_interruption(make):
    settings = {"anneal_learning_rate": True, "entropy_loss_scale": 0.1}
    assert_resumes_exactly(
        lambda **values: make(**settings, final_entropy_loss_scale=0.0, **values), 1
    )
