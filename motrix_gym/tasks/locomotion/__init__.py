# SPDX-License-Identifier: Apache-2.0
"""Legged robots."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

register_task(
    "Motrix/Go1-v0",
    f"{__name__}.go1:Go1",
    f"{__name__}.velocity:FLAT",
    goals=[
        Goal("linear_velocity_error", "<=", 0.20),
        Goal("yaw_rate_error", "<=", 0.25),
        Goal("fall", "<=", 0.01),
    ],
)
