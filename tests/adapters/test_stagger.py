# SPDX-License-Identifier: Apache-2.0
"""`stagger_episodes` in all PPO trainers: first episodes end at random times, and do not count."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import motrix_gym  # noqa: F401, registers the environments
from adapters import STOCK, TRAINERS, PPOConfig
from tests.adapters.envs import CounterEnv
from tests.adapters.trainers import load_or_skip

SETTINGS = {"seed": 3, "num_envs": 64, "rollouts": 4, "mini_batches": 1, "stagger_episodes": True}
LENGTH, RETURN = "Episode / Total timesteps", "Reward / Total reward"


@pytest.fixture(params=[*TRAINERS, *STOCK])
def trainer_class(request):
    """Each library's trainer."""
    return load_or_skip(request.param)


def make(trainer_class, **settings):
    """64 cart-poles in the mode that the trainer asks for."""
    mode = trainer_class.autoreset_mode
    return gymnasium.make_vec(
        "Motrix/CartPole-v0", num_envs=64, num_threads=1, autoreset_mode=mode, **settings
    )


@pytest.mark.parametrize("staggers", [True, False])
def test_first_episodes_are_of_all_ages(trainer_class, staggers):
    env = make(trainer_class)
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
    env = make(trainer_class, max_episode_steps=4)
    trainer = trainer_class(env, PPOConfig(**SETTINGS))
    trainer.update()
    # With NEXT_STEP, a fifth step resets.
    period = 5 if trainer_class.autoreset_mode is AutoresetMode.NEXT_STEP else 4
    ages = np.random.default_rng(3).integers(4, size=64)
    np.testing.assert_array_equal(env.unwrapped.elapsed_steps, (ages + 4) % period)
    env.close()


def test_returns_and_lengths_are_of_whole_episodes(trainer_class):
    env = make(trainer_class, max_episode_steps=4)
    trainer = trainer_class(env, PPOConfig(**SETTINGS | {"rollouts": 2}))
    assert not {tag for tag in trainer.update() if tag.startswith((LENGTH, RETURN))}
    for _ in range(3):
        scalars = trainer.update()
        assert scalars[f"{LENGTH} (min)"] == scalars[f"{LENGTH} (max)"] == 4
        assert scalars[f"{RETURN} (min)"] == scalars[f"{RETURN} (max)"] == 4
    env.close()


@pytest.mark.parametrize("trainer_class", TRAINERS, indirect=True)
def test_what_is_partial_is_known_after_a_restart(trainer_class):
    config = PPOConfig(**SETTINGS | {"rollouts": 2})
    envs = [make(trainer_class, max_episode_steps=4) for _ in range(2)]
    first, second = (trainer_class(env, config) for env in envs)
    first.update()
    second.restore(first.state())
    for _ in range(3):
        scalars = [
            {tag: value for tag, value in trainer.update().items() if not tag.startswith("Time /")}
            for trainer in (first, second)
        ]
        assert scalars[0] == scalars[1]
        assert scalars[1][f"{LENGTH} (min)"] == 4
    for env in envs:
        env.close()


def test_without_a_time_limit_it_is_refused(trainer_class):
    env = make(trainer_class, max_episode_steps=None)
    with pytest.raises(ValueError, match="Motrix/CartPole-v0 has no time limit"):
        trainer_class(env, PPOConfig(**SETTINGS))
    env.close()
    env = CounterEnv(64)
    env.metadata = {"autoreset_mode": trainer_class.autoreset_mode}
    with pytest.raises(ValueError, match="CounterEnv does not say its time limit"):
        trainer_class(env, PPOConfig(**SETTINGS))
