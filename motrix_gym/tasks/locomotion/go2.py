# SPDX-License-Identifier: Apache-2.0
"""Unitree Go2, and velocity tracking with it on flat ground.

Masses, inertias, joints, limits and gains are those of MotrixLab's Go2, which are MuJoCo
Menagerie's in the main; shapes are our own primitives. ``velocity`` has the task.

v0: first version.
"""

from functools import partial
from pathlib import Path

from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.rough import RoughTracking
from motrix_gym.tasks.locomotion.velocity import VelocityTracking

GO2 = LeggedRobot(
    model_file=Path(__file__).with_suffix(".xml"),
    feet=("FR", "FL", "RR", "RL"),
    gait_offsets=(0.0, 0.5, 0.5, 0.0),  # a trot: diagonal feet together
)
Go2 = partial(VelocityTracking, robot=GO2)
Go2Rough = partial(RoughTracking, robot=GO2)
