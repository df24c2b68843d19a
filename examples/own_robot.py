# SPDX-License-Identifier: Apache-2.0
"""A legged robot of your own that tracks velocity commands: one MJCF file and one `LeggedRobot`.

From this folder:

motrix train --algo ppo --env own_robot:Mine/BoxDog-v0 --config ../hyperparams/Go1-v0.yaml
"""

from functools import partial
from pathlib import Path

from motrix_gym import Goal, register_task
from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.velocity import VelocityConfig, VelocityTracking

BOX_DOG = LeggedRobot(
    model_file=Path(__file__).with_name("box_dog.xml"),
    feet=("FR", "FL", "RR", "RL"),
    gait_offsets=(0.0, 0.5, 0.5, 0.0),  # a trot: diagonal feet together
)

register_task(
    "Mine/BoxDog-v0",
    partial(VelocityTracking, robot=BOX_DOG),
    VelocityConfig(),
    goals=[Goal("linear_velocity_error", "<=", 0.2), Goal("fall", "<=", 0.01)],
)
