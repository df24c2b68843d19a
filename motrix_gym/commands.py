# SPDX-License-Identifier: Apache-2.0
"""Velocity commands: what a legged robot is asked to do, redrawn at random times."""

from dataclasses import dataclass

import numpy as np

from motrix_gym import settings
from motrix_gym.random import RowRandom
from motrix_gym.settings import interval, number


@dataclass(frozen=True)
class VelocityCommands:
    """A distribution of commands (vx, vy, wz) in the robot's frame."""

    forward: tuple[float, float] = interval(-1.0, 1.5)
    """Range of vx (m/s)."""
    lateral: tuple[float, float] = interval(-0.6, 0.6)
    """Range of vy (m/s), positive to the left."""
    turn: tuple[float, float] = interval(-1.0, 1.0)
    """Range of wz (rad/s), positive to the left."""
    standing_share: float = number(0.1, least=0, most=1)
    """Share of commands that are zero."""
    duration: tuple[float, float] = interval(5.0, 10.0, above=0)
    """Range of the time between two draws (s)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        settings.make_plain(self)

    def draw(self, rng: RowRandom) -> np.ndarray:
        """(n, 3) new commands (vx, vy, wz), in m/s and rad/s."""
        low, high = np.transpose([self.forward, self.lateral, self.turn])
        commands = rng.uniform(low, high, 3)
        standing = rng.uniform() < self.standing_share
        return np.where(standing[:, None], 0.0, commands)

    def draw_duration(self, rng: RowRandom) -> np.ndarray:
        """(n,) seconds until the next draw."""
        return rng.uniform(*self.duration)
