# SPDX-License-Identifier: Apache-2.0
"""Motrix Gym: robot-learning environments on MuJoCo, vectorised, for Gymnasium.

Importing the package registers every environment:

    import gymnasium, motrix_gym
    envs = gymnasium.make_vec("Motrix/Go1-v0", num_envs=2048)

``gymnasium.make_vec("motrix_gym:Motrix/Go1-v0", num_envs=2048)`` imports it by itself.
"""

from motrix_gym import _opengl  # noqa: F401, first, since it acts before MuJoCo is imported
from motrix_gym.checks import check_vector_env
from motrix_gym.policy import Policy
from motrix_gym.policy_files import PolicyError
from motrix_gym.registration import list_envs, make_task, register_task
from motrix_gym.simulation import View
from motrix_gym.single_env import MotrixEnv
from motrix_gym.symmetry import Mirror, Reflection
from motrix_gym.task import Buffer, Channel, Goal, Metric, Task, TaskConfig
from motrix_gym.vector_env import MotrixVectorEnv

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "Channel",
    "Goal",
    "Metric",
    "Mirror",
    "MotrixEnv",
    "MotrixVectorEnv",
    "Policy",
    "PolicyError",
    "Reflection",
    "Task",
    "TaskConfig",
    "View",
    "check_vector_env",
    "list_envs",
    "make_task",
    "register_task",
]
