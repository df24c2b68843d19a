# SPDX-License-Identifier: Apache-2.0
"""Legged robots."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

for _name, _task, _config in (
    ("AnymalCWalk", "anymal_c:AnymalCWalk", "anymal_c:FLAT"),
    ("Go1", "go1:Go1", "velocity:FLAT"),
    ("Go2", "go2:Go2", "velocity:FLAT"),
    ("VBotWalk", "vbot:VBotWalk", "velocity:FLAT"),
):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.{_task}",
        f"{__name__}.{_config}",
        goals=[
            Goal("linear_velocity_error", "<=", 0.20),
            Goal("yaw_rate_error", "<=", 0.25),
            Goal("fall", "<=", 0.01),
        ],
    )

for _name in ("Go1", "Go2"):
    register_task(
        f"Motrix/{_name}Rough-v0",
        f"{__name__}.{_name.lower()}:{_name}Rough",
        f"{__name__}.rough:ROUGH",
        goals=[
            Goal("linear_velocity_error", "<=", 0.25),
            Goal("fall", "<=", 0.03),
        ],
    )

for _name, _config in (("Go1Stairs", "STAIRS"), ("Go1StairsBlind", "STAIRS_BLIND")):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.go1:Go1Stairs",
        f"{__name__}.stairs:{_config}",
        goals=[Goal("success", ">=", 0.95)],
        max_episode_steps=750,
    )
