# SPDX-License-Identifier: Apache-2.0
"""What a trained policy says of itself."""

import gymnasium

from adapters import PPOConfig
from tests.adapters.trainers import TINY


def test_a_policy_says_how_to_run_it_as_its_task_was_set(trainer_class):
    env = gymnasium.make_vec("Motrix/Go1-v0", num_envs=64, num_threads=1, action_scale=0.3)
    about = trainer_class(env, PPOConfig(**TINY)).policy().metadata
    assert about["env_id"] == "Motrix/Go1-v0"
    assert about["deployment"] == env.unwrapped.task.deployment()
    assert about["deployment"]["action"]["scale"] == 0.3
