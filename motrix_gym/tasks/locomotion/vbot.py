# SPDX-License-Identifier: Apache-2.0
"""VBot, and velocity tracking with it on flat ground.

Masses, inertias, joints, limits and gains are those of MotrixLab's VBot; shapes are our own
primitives. ``velocity`` has the task.

v0: first version.
"""

from functools import partial
from pathlib import Path

from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.velocity import VelocityTracking

VBOT = LeggedRobot(
    model_file=Path(__file__).with_suffix(".xml"),
    feet=("FR", "FL", "RR", "RL"),
    gait_offsets=(0.0, 0.5, 0.5, 0.0),  # a trot: diagonal feet together
)
VBotWalk = partial(VelocityTracking, robot=VBOT)
