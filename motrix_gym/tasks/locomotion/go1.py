# SPDX-License-Identifier: Apache-2.0
"""Unitree Go1, and velocity tracking with it on flat ground.

The robot's masses, inertias, joints and limits are those of MuJoCo Menagerie's Go1; shapes are
our own primitives. ``velocity`` has the task.

v0: first version.
"""

from functools import partial
from pathlib import Path

from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.velocity import VelocityTracking

GO1 = LeggedRobot(
    model_file=Path(__file__).with_suffix(".xml"),
    feet=("FR", "FL", "RR", "RL"),
    gait_offsets=(0.0, 0.5, 0.5, 0.0),  # a trot: diagonal feet together
)
Go1 = partial(VelocityTracking, robot=GO1)
