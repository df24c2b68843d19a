# SPDX-License-Identifier: Apache-2.0
"""Unitree Go1, and its tasks: velocity tracking on flat and on rough ground, and stairs.

The robot's masses, inertias, joints and limits are those of MuJoCo Menagerie's Go1; shapes are
our own primitives. ``velocity``, ``rough`` and ``stairs`` have the tasks.

v0: first version.
"""

from functools import partial
from pathlib import Path

from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.rough import RoughTracking
from motrix_gym.tasks.locomotion.stairs import Stairs
from motrix_gym.tasks.locomotion.velocity import VelocityTracking

GO1 = LeggedRobot(
    model_file=Path(__file__).with_suffix(".xml"),
    feet=("FR", "FL", "RR", "RL"),
    gait_offsets=(0.0, 0.5, 0.5, 0.0),  # a trot: diagonal feet together
)
Go1 = partial(VelocityTracking, robot=GO1)
Go1Rough = partial(RoughTracking, robot=GO1)
Go1Stairs = partial(Stairs, robot=GO1)
