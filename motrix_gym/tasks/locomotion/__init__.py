# SPDX-License-Identifier: Apache-2.0
"""Legged robots."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

_FLAT_GOALS = (
    Goal("linear_velocity_error", "<=", 0.20),
    Goal("yaw_rate_error", "<=", 0.25),
    Goal("fall", "<=", 0.01),
)
_ROUGH_GOALS = (Goal("linear_velocity_error", "<=", 0.25), Goal("fall", "<=", 0.03))
_STAIRS_GOALS = (Goal("success", ">=", 0.95),)

for _name, _task, _config, _goals, _steps in (
    ("AnymalCWalk", "anymal_c:AnymalCWalk", "anymal_c:FLAT", _FLAT_GOALS, 1000),
    ("Go1", "go1:Go1", "velocity:FLAT", _FLAT_GOALS, 1000),
    ("Go1Rough", "go1:Go1Rough", "rough:ROUGH", _ROUGH_GOALS, 1000),
    ("Go1Stairs", "go1:Go1Stairs", "stairs:STAIRS", _STAIRS_GOALS, 750),
    ("Go1StairsBlind", "go1:Go1Stairs", "stairs:STAIRS_BLIND", _STAIRS_GOALS, 750),
    ("Go2", "go2:Go2", "velocity:FLAT", _FLAT_GOALS, 1000),
    ("Go2Rough", "go2:Go2Rough", "rough:ROUGH", _ROUGH_GOALS, 1000),
    ("VBotWalk", "vbot:VBotWalk", "velocity:FLAT", _FLAT_GOALS, 1000),
):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.{_task}",
        f"{__name__}.{_config}",
        goals=_goals,
        max_episode_steps=_steps,
    )
