# SPDX-License-Identifier: Apache-2.0
"""Velocity tracking on flat ground, for any legged robot.

The robot is asked for a forward, a sideways and a turning velocity, and for a trot: a clock in
the observation says which pair of feet should be in the air.

``legged`` has the observation, the action, and the rewards of gait and effort. Commands are drawn
at random times (``commands``); what tracks them is rewarded. The episode terminates when the base
tilts beyond ``max_tilt``; it is truncated after 1000 steps (20 s).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from motrix_gym.commands import VelocityCommands
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares, tracking
from motrix_gym.settings import number, weights
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.locomotion.legged import LeggedConfig, LeggedTask
from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.view import View


@dataclass(frozen=True, kw_only=True)
class VelocityConfig(LeggedConfig):
    """Settings of velocity tracking."""

    commands: VelocityCommands = VelocityCommands()
    tracking_scale: float = number(0.5, above=0)
    """Velocity error at which tracking rewards are 1/e (m/s, rad/s)."""
    reward_weights: Mapping[str, float] = weights(
        linear_velocity=1.5, yaw_rate=0.75, **LeggedConfig().reward_weights
    )


FLAT = VelocityConfig()


class VelocityTracking(LeggedTask):
    """Track velocity commands with a legged robot."""

    config: VelocityConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    metrics = {
        "linear_velocity_error": Metric("m/s", "mean", "distance from the asked velocity"),
        "yaw_rate_error": Metric("rad/s", "mean", "distance from the asked turning rate"),
        **LeggedTask.metrics,
    }

    def __init__(self, config: VelocityConfig, robot: LeggedRobot):
        """As ``LeggedTask``, and say what a person may ask for."""
        super().__init__(config, robot)
        self.commands = config.commands.settable("command")

    def buffers(self) -> Mapping[str, Buffer]:
        """Those of ``legged``, and how long the command lasts (s)."""
        return {**super().buffers(), "command_time": Buffer()}

    def _first_command(self, v: View, rng: RowRandom) -> None:
        v.command = self.config.commands.draw(rng)
        v.command_time = self.config.commands.draw_duration(rng)

    def advance(self, v: View, rng: RowRandom) -> None:
        """Run the clocks; draw a new command where the time of the last one is over."""
        super().advance(v, rng)
        v.command_time -= self.dt
        over = v.command_time <= 0
        if over.any():
            ids, commands = np.flatnonzero(over), self.config.commands
            chosen = rng.select(ids)
            v.command[ids] = commands.draw(chosen)
            v.command_time[ids] = commands.draw_duration(chosen)

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Tracking errors and falls."""
        error = v.cached(self._linear_velocity)[:, :2] - v.command[:, :2]
        return {
            "linear_velocity_error": np.sqrt(sum_of_squares(error)),
            "yaw_rate_error": abs(v.qvel[:, 5] - v.command[:, 2]),
            **super().measure(v),
        }

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Every term, unweighted."""
        velocity, scale = v.cached(self._linear_velocity), self.config.tracking_scale
        return {
            "linear_velocity": tracking(velocity[:, :2] - v.command[:, :2], scale),
            "yaw_rate": tracking(v.qvel[:, 5:6] - v.command[:, 2:3], scale),
            **super().rewards(v),
        }
