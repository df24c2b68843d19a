# SPDX-License-Identifier: Apache-2.0
"""`stagger_episodes` in all PPO trainers: first episodes end at random times."""

import gymnasium
import numpy as np
import pytest

import motrix_gym  # noqa: F401, registers the environments
from adapters import TRAINERS, MissingLibraryError, PPOConfig, load_trainer
from tests.adapters.envs import CounterEnv

SETTINGS = {"seed": 3, "num_envs": 64, "rollouts": 4, "mini_batches": 1, "stagger_episodes": True}


@pytest.fixture(params=TRAINERS)
def trainer_class(request):
    """Each library's trainer."""
    try:
        return load_trainer(request.param)
    except MissingLibraryError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("staggers", [True, False])
def test_first_episodes_are_of_all_ages(trainer_class, staggers):
    env = gymnasium.make_vec("Motrix/CartPole-v0", num_envs=64, num_threads=1)
    trainer_class(env, PPOConfig(**SETTINGS | {"stagger_episodes": staggers}))
    ages = env.unwrapped.elapsed_steps
    if staggers:
        expected = np.random.default_rng(3).integers(1000, size=64)
        np.testing.assert_array_equal(ages, expected)
        assert ages.min() < 100 and ages.max() > 900
    else:
        assert not ages.any()
    env.close()


def test_later_episodes_are_whole(trainer_class):
    env = gymnasium.make_vec("Motrix/CartPole-v0", num_envs=64, num_threads=1, max_episode_steps=4)
    trainer = trainer_class(env, PPOConfig(**SETTINGS))
    trainer.update()
    np.testing.assert_array_equal(
        env.unwrapped.elapsed_steps, np.random.default_rng(3).integers(4, size=64)
    )
    env.close()


def test_without_a_time_limit_it_is_refused(trainer_class):
    with pytest.raises(ValueError, match="CounterEnv has no time limit"):
        trainer_class(CounterEnv(64), PPOConfig(**SETTINGS))
