# SPDX-License-Identifier: Apache-2.0
"""Velocity commands: what a legged robot is asked to do, redrawn at random times."""

from dataclasses import dataclass

import numpy as np

from motrix_gym import settings
from motrix_gym.random import RowRandom
from motrix_gym.settings import interval, number


@dataclass(frozen=True)
class VelocityCommands:
    """A distribution of commands (vx, vy, wz) in the robot's frame.

    Attributes:
        forward: range of vx (m/s).
        lateral: range of vy (m/s), positive to the left.
        turn: range of wz (rad/s), positive to the left.
        standing_share: share of commands that are zero.
        duration: range of the time between two draws (s).
    """

    forward: tuple[float, float] = interval(-1.0, 1.5)
    lateral: tuple[float, float] = interval(-0.6, 0.6)
    turn: tuple[float, float] = interval(-1.0, 1.0)
    standing_share: float = number(0.1, least=0, most=1)
    duration: tuple[float, float] = interval(5.0, 10.0, above=0)

    def __post_init__(self) -> None:
        """Check the ranges."""
        settings.check(self)

    def draw(self, rng: RowRandom) -> np.ndarray:
        """(n, 3) new commands (vx, vy, wz), in m/s and rad/s."""
        low, high = np.transpose([self.forward, self.lateral, self.turn])
        commands = rng.uniform(low, high, 3)
        standing = rng.uniform() < self.standing_share
        return np.where(standing[:, None], 0.0, commands)

    def draw_duration(self, rng: RowRandom) -> np.ndarray:
        """(n,) seconds until the next draw."""
        return rng.uniform(*self.duration)
