# SPDX-License-Identifier: Apache-2.0
"""Continuous control: the robots of dm_control, and an arm that bounces a ball."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

for _name, _task, _config, _threshold in (
    ("WalkerStand", "walker:Walker", "walker:STAND", 970),
    ("WalkerWalk", "walker:Walker", "walker:WALK", 950),
    ("WalkerRun", "walker:Walker", "walker:RUN", 760),
    ("CheetahRun", "cheetah:Cheetah", "cheetah:RUN", 883),
    ("HopperStand", "hopper:Hopper", "hopper:STAND", 900),
    ("HopperHop", "hopper:Hopper", "hopper:HOP", 250),
    ("ReacherEasy", "reacher:Reacher", "reacher:EASY", 955),
    ("ReacherHard", "reacher:Reacher", "reacher:HARD", 947),
):
    register_task(
        f"Motrix/{_name}-v0",
        f"{__name__}.{_task}",
        f"{__name__}.{_config}",
        goals=[Goal("return", ">=", _threshold)],
    )

register_task(
    "Motrix/BounceBall-v0",
    f"{__name__}.bounce_ball:BounceBall",
    f"{__name__}.bounce_ball:BOUNCE",
    goals=[Goal("bounces", ">=", 20), Goal("dropped", "<=", 0.10)],
)
