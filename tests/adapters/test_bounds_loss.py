# SPDX-License-Identifier: Apache-2.0
"""`bounds_loss_scale` in all PPO trainers: mean actions stay near the action box."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters import PPOConfig
from tests.adapters.envs import BanditEnv
from tests.adapters.trainers import TINY, load_or_skip

SETTINGS = TINY | {"rollouts": 4, "learning_epochs": 8, "learning_rate": 1e-2}


class MoreIsBetterEnv(BanditEnv):
    """Pays the action, which the box bounds."""

    def reward(self, action):
        return action


def test_means_stay_near_the_box(trainer_class):
    """With a standard deviation that stays at 1, a mean beyond the box goes on to gain."""
    settings = SETTINGS | {"initial_log_std": 0.0, "final_log_std": 0.0}

    def mean(**values):
        trainer = trainer_class(MoreIsBetterEnv(), PPOConfig(**settings | values))
        for _ in range(60):
            trainer.update()
        return trainer.policy().mean(np.zeros((1, 1), np.float32)).item()

    assert mean() > 3.0
    assert 1.0 < mean(bounds_loss_scale=1.0) < 2.0


# Of two actions in two samples; the box ends at 1.
MEANS = np.array([[0.5, -2.0], [1.5, -1.0]], np.float32)
BOUNDS_LOSS = 0.3 * np.mean([1.0**2, 0.5**2])


def make(name):
    """Make a trainer, of which only the loss is used."""
    return load_or_skip(name)(BanditEnv(), PPOConfig(**SETTINGS, bounds_loss_scale=0.3))


def test_the_loss_is_the_squared_distance_from_the_box_in_jax():
    trainer = make("skrl-jax")
    import jax.numpy as jnp

    from adapters.jax_ppo import log_probability

    ppo, nothing = trainer.agent.ppo, jnp.zeros(2)
    ppo._distribution = lambda policy, samples: (jnp.array(MEANS), nothing)
    ppo._value = lambda value, samples: nothing
    samples = dict.fromkeys(("advantages", "values", "returns"), nothing)
    samples |= {"actions": MEANS, "log_probs": log_probability(MEANS, MEANS, nothing)}
    loss, _ = ppo._loss((None, None), samples | {"own": nothing + 1})
    assert float(loss) == pytest.approx(BOUNDS_LOSS)


def test_the_loss_is_the_squared_distance_from_the_box_in_torch():
    trainer = make("skrl-torch")
    import torch

    normal, nothing = torch.distributions.Normal(torch.tensor(MEANS), 1.0), torch.zeros(2, 1)
    trainer.agent.model = SimpleNamespace(heads=lambda observations: (normal, nothing))
    log_probs = normal.log_prob(normal.mean).sum(dim=-1, keepdim=True)
    columns = nothing, normal.mean, log_probs, nothing, nothing, nothing, nothing + 1
    loss, *_ = trainer.agent._loss(*columns)
    assert float(loss) == pytest.approx(BOUNDS_LOSS)


def test_the_gradient_is_that_of_the_squared_distance_from_the_box_in_sb3():
    distribution = make("sb3").learner.action_dist
    import torch

    means = torch.tensor(MEANS, requires_grad=True)
    distribution.box = [torch.full((2,), -1.0), torch.ones(2)]
    distribution.proba_distribution(means, torch.zeros(2))
    (0.0 * distribution.distribution.mean).sum().backward()
    loss_means = torch.tensor(MEANS, requires_grad=True)
    distance = (loss_means - loss_means.clamp(-1, 1)).square().sum(dim=-1).mean()
    (0.3 * distance).backward()
    assert means.grad.abs().max() > 0.1
    np.testing.assert_allclose(means.grad, loss_means.grad, rtol=1e-6)
