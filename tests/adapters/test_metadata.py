# SPDX-License-Identifier: Apache-2.0
"""The metadata that a trainer stores with a policy."""

from dataclasses import replace

import gymnasium

from adapters import PPOConfig
from motrix_gym import Channel, MotrixVectorEnv
from motrix_gym.tasks.basic.cartpole import CartPole, CartPoleConfig
from tests.adapters.trainers import TINY


def test_a_policy_says_how_to_run_it_as_its_task_was_set(trainer_class):
    env = gymnasium.make_vec("Motrix/Go1-v0", num_envs=64, num_threads=1, action_scale=0.3)
    about = trainer_class(env, PPOConfig(**TINY)).policy().metadata
    assert about["env_id"] == "Motrix/Go1-v0"
    assert about["deployment"] == env.unwrapped.task.deployment()
    assert about["deployment"]["action"]["scale"] == 0.3


class LateCartPole(CartPole):
    """A cart-pole that sees three frames of the first channel, the second late, and a secret."""

    def observation_channels(self):
        first, second, *others = super().observation_channels()
        secret = Channel("secret", read=lambda v: v.qpos[:, 0], privileged=True)
        return [replace(first, history=3), replace(second, delay=2), *others, secret]


def test_a_policy_says_which_of_its_inputs_are_of_the_past(trainer_class):
    env = MotrixVectorEnv(LateCartPole(CartPoleConfig()), 64, num_threads=1)
    policy = trainer_class(env, PPOConfig(**TINY)).policy()
    first, second, *others = policy.metadata["observation"]
    assert (first["size"], first["history"]) == (1, 3)
    assert (second["size"], second["delay"]) == (1, 2)
    assert all(channel["name"] != "secret" for channel in others)
    widths = [c["size"] * c.get("history", 1) for c in (first, second, *others)]
    assert sum(widths) == policy.observation_size
