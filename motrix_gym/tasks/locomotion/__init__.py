# SPDX-License-Identifier: Apache-2.0
"""Legged robots."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

for _name in ("Go1", "Go2"):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.{_name.lower()}:{_name}",
        f"{__name__}.velocity:FLAT",
        goals=[
            Goal("linear_velocity_error", "<=", 0.20),
            Goal("yaw_rate_error", "<=", 0.25),
            Goal("fall", "<=", 0.01),
        ],
    )
