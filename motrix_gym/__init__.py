# SPDX-License-Identifier: Apache-2.0
"""Motrix Gym: robot-learning environments on MuJoCo, vectorised, for Gymnasium.

Importing the package registers every environment:

    import gymnasium, motrix_gym
    envs = gymnasium.make_vec("Motrix/Go1-v0", num_envs=2048)

``gymnasium.make_vec("motrix_gym:Motrix/Go1-v0", num_envs=2048)`` imports it by itself.
"""

from motrix_gym import _opengl as _opengl  # first, since it acts before MuJoCo is imported
from motrix_gym import tasks as tasks  # registers the suite
from motrix_gym.buffer import Buffer
from motrix_gym.checks import check_vector_env
from motrix_gym.mixed import MixedVectorEnv
from motrix_gym.observation import Channel
from motrix_gym.policy import Policy
from motrix_gym.policy_files import PolicyError
from motrix_gym.randomization import Randomization
from motrix_gym.registration import list_envs, make_task, register_task
from motrix_gym.single_env import MotrixEnv
from motrix_gym.success import SuccessRule
from motrix_gym.symmetry import Mirror, Reflection
from motrix_gym.task import Goal, Metric, Task, TaskConfig, TaskError
from motrix_gym.vector_env import MotrixVectorEnv
from motrix_gym.view import View

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "Channel",
    "Goal",
    "Metric",
    "Mirror",
    "MixedVectorEnv",
    "MotrixEnv",
    "MotrixVectorEnv",
    "Policy",
    "PolicyError",
    "Randomization",
    "Reflection",
    "SuccessRule",
    "Task",
    "TaskConfig",
    "TaskError",
    "View",
    "check_vector_env",
    "list_envs",
    "make_task",
    "register_task",
]
