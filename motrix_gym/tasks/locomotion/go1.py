# SPDX-License-Identifier: Apache-2.0
"""Unitree Go1: the robot, and velocity tracking with it on flat ground.

The robot's masses, inertias, joints and limits are those of MuJoCo Menagerie's Go1; shapes are
our own primitives. ``velocity`` has the task.

v0: first version.
"""

from dataclasses import dataclass
from pathlib import Path

from motrix_gym.tasks.locomotion.velocity import LeggedRobot, VelocityConfig, VelocityTracking

GO1 = LeggedRobot(
    model_file=Path(__file__).with_suffix(".xml"),
    feet=("FR", "FL", "RR", "RL"),
    foot_radius=0.023,
    gait_offsets=(0.0, 0.5, 0.5, 0.0),  # a trot: diagonal feet together
    abduction=(0, 3, 6, 9),
    opposite_feet=(1, 0, 3, 2),
)


@dataclass(frozen=True, kw_only=True)
class Go1Config(VelocityConfig):
    """Settings of Go1's velocity tracking."""


class Go1(VelocityTracking):
    """Go1 tracks velocity commands on flat ground."""

    config: Go1Config
    robot = GO1
