# SPDX-License-Identifier: Apache-2.0
"""Commands: what a robot is asked to do, by a task's random draws or by a person.

A choice is a property of a whole episode, such as its kind of ground. The task draws it when the
episode begins, unless a person has fixed it.
"""

from dataclasses import dataclass

import numpy as np

from motrix_gym import settings
from motrix_gym.random import RowRandom
from motrix_gym.settings import interval, number
from motrix_gym.view import View


@dataclass(frozen=True)
class Command:
    """One number that a robot is asked for, so that a person can set it in a viewer.

    Attributes:
        name: what it is, in a few words.
        unit: such as "m/s".
        low: least value that a person may ask for.
        high: largest value that a person may ask for.
        field: the writable field of a view that holds it, such as a buffer of the task.
        index: its column of the field.
        rest: value when no key is pressed, from ``low`` to ``high``; None if keys do not set this
            command.
    """

    name: str
    unit: str
    low: float
    high: float
    field: str
    index: int
    rest: float | None = None

    def write(self, v: View, value: float) -> None:
        """Ask all rows of a view for ``value``."""
        getattr(v, self.field)[:, self.index] = value


@dataclass(eq=False)
class Choice:
    """Something that a task draws for each episode, and that a person may choose in a viewer.

    Attributes:
        name: what it is, in a few words.
        options: a word for each value that is drawn, from 0 on.
        chosen: number of the option for all episodes that begin from now on; None: it is drawn.
    """

    name: str
    options: tuple[str, ...]
    chosen: int | None = None

    def among(self, drawn: np.ndarray) -> np.ndarray:
        """(n,) numbers of options: ``drawn``, (n,), or the chosen one."""
        return drawn if self.chosen is None else np.full_like(drawn, self.chosen)


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

    def settable(self, field: str) -> list[Command]:
        """The commands that differ between draws, as ``field`` (n, 3) holds them."""
        ranges = [
            ("forward velocity", "m/s", self.forward),
            ("velocity to the left", "m/s", self.lateral),
            ("turn to the left", "rad/s", self.turn),
        ]
        return [
            Command(name, unit, low, high, field, index, rest=min(max(0.0, low), high))
            for index, (name, unit, (low, high)) in enumerate(ranges)
            if low < high
        ]

    def draw(self, rng: RowRandom) -> np.ndarray:
        """(n, 3) new commands (vx, vy, wz), in m/s and rad/s."""
        low, high = np.transpose([self.forward, self.lateral, self.turn])
        commands = rng.uniform(low, high, 3)
        standing = rng.uniform() < self.standing_share
        return np.where(standing[:, None], 0.0, commands)

    def draw_duration(self, rng: RowRandom) -> np.ndarray:
        """(n,) seconds until the next draw."""
        return rng.uniform(*self.duration)
