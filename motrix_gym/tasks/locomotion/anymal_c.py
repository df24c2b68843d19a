# SPDX-License-Identifier: Apache-2.0
"""ANYmal C, and velocity tracking with it on flat ground.

Masses, inertias, joints, limits and gains are those of MotrixLab's ANYmal C; shapes are our own
primitives. ``velocity`` has the task.

v0: first version.
"""

from functools import partial
from pathlib import Path

from motrix_gym.tasks.locomotion import velocity
from motrix_gym.tasks.locomotion.robot import LeggedRobot

ANYMAL_C = LeggedRobot(
    model_file=Path(__file__).with_suffix(".xml"),
    feet=("LF_FOOT", "RF_FOOT", "LH_FOOT", "RH_FOOT"),
    gait_offsets=(0.5, 0.0, 0.0, 0.5),  # a trot: diagonal feet together
)
# With legs twice as long as Go1's it steps more slowly and higher. It weighs 3.5 times as much too,
# so its torques are some 7 times as large, and their squares 50 times.
GAIT = {
    "gait_frequency": 2.0,
    "swing_height": 0.1,
    "air_time_target": 0.2,
    "reward_weights": {"torque": -4e-6},
}
FLAT = velocity.FLAT.override(**GAIT)
AnymalCWalk = partial(velocity.VelocityTracking, robot=ANYMAL_C)
