# SPDX-License-Identifier: Apache-2.0
"""Textbook tasks."""

from motrix_gym.registration import register_task
from motrix_gym.task import Goal

register_task(
    "Motrix/CartPole-v0",
    f"{__name__}.cartpole:CartPole",
    f"{__name__}.cartpole:BALANCE",
    goals=[Goal("return", ">=", 990)],
)
