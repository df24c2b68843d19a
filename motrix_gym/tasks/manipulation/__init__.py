# SPDX-License-Identifier: Apache-2.0
"""Manipulation: a Franka Panda that grasps."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

for _name, _task, _config in (
    ("FrankaCabinet", "franka_cabinet:FrankaCabinet", "franka_cabinet:CABINET"),
    ("FrankaLift", "franka_lift:FrankaLift", "franka_lift:LIFT"),
):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.{_task}",
        f"{__name__}.{_config}",
        goals=[Goal("success", ">=", 0.99)],
        max_episode_steps=250,
    )
