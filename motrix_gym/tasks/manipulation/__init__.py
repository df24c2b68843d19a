# SPDX-License-Identifier: Apache-2.0
"""Manipulation: a Franka Panda that grasps."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

register_task(
    "Motrix/FrankaLift-v0",
    f"{__name__}.franka_lift:FrankaLift",
    f"{__name__}.franka_lift:LIFT",
    goals=[Goal("success", ">=", 0.99)],
    max_episode_steps=250,
)
