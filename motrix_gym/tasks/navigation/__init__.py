# SPDX-License-Identifier: Apache-2.0
"""Legged robots that walk to a pose."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

for _name, _config, _success, _steps in (
    ("AnymalC", "robots:ANYMAL_C_FLAT", 0.99, 500),
    ("VBotFlat", "pose_goal:FLAT", 0.99, 500),
    ("VBotSection001", "arena:ARENA", 0.995, 1000),
    ("VBotSection011", "course:SECTION_011", 0.97, 750),
    ("VBotSection012", "course:SECTION_012", 0.85, 1500),
    ("VBotSection013", "course:SECTION_013", 0.95, 600),
    ("VBotSection002", "course:WHOLE", 0.6, 3000),
):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.robots:{_name}",
        f"{__name__}.{_config}",
        goals=[Goal("success", ">=", _success)],
        max_episode_steps=_steps,
    )
