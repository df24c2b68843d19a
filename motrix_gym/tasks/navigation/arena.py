# SPDX-License-Identifier: Apache-2.0
"""Walk from the edge of a round arena to a pose in its middle, and stand there.

The task is ``pose_goal``'s on a disc, which is in the plane z = 0 with its middle at 0. The robot
starts on a ring near the edge, and looks to the middle within ``start_heading``. Leaving the disc
ends the episode, as a fall does.

The arena is the first section of MotrixArena S1, a competition. It counts a point for crossing an
inner fence and a point for reaching the middle; a fall or leaving the disc forfeits both. The
metric ``course_score`` is the share of these two points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from motrix_gym import rotations
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import FieldError, interval, number, whole
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.navigation.pose_goal import PoseGoal, PoseGoalConfig, disc
from motrix_gym.view import View

_DISC_RGBA = np.array([0.42, 0.47, 0.52, 1.0], np.float32)
_FENCE_RGBA = np.array([0.52, 0.57, 0.62, 1.0], np.float32)


@dataclass(frozen=True, kw_only=True)
class ArenaConfig(PoseGoalConfig):
    """Settings of walking to a pose on a disc.

    Raises:
        FieldError: (a ValueError) as ``PoseGoalConfig``, or a start or a goal is not on the disc.
    """

    max_episode_steps: int | None = whole(1000, least=1)
    time_limit: float = number(20.0, above=0)
    goal_x: tuple[float, float] = interval(0.0, 0.0)
    goal_y: tuple[float, float] = interval(0.0, 0.0)
    goal_heading: tuple[float, float] = interval(0.0, 0.0)
    disc_radius: float = number(12.5, above=0)
    """Radius of the disc (m)."""
    fence_radius: float = number(6.0, above=0)
    """Distance from the middle at which the inner fence counts as crossed (m)."""
    start_radius: tuple[float, float] = interval(10.8, 11.0, least=0)
    """Range of the start's distance from the middle (m)."""
    start_heading: float = number(0.5, least=0, most=np.pi)
    """Half-width of the start's headings around the direction to the middle (rad)."""

    def __post_init__(self) -> None:
        """Check that starts and goals are on the disc."""
        super().__post_init__()
        farthest = float(np.hypot(np.abs(self.goal_x).max(), np.abs(self.goal_y).max()))
        places = {
            "start_radius": (self.start_radius[1], f"start_radius {self.start_radius} m"),
            "goal_x": (
                farthest,
                f"the goal, x {self.goal_x} m and y {self.goal_y} m, reaches {farthest:g} m from "
                "the middle, which",
            ),
        }
        for field, (reach, what) in places.items():
            if not reach < self.disc_radius:
                raise FieldError(
                    field, f"{what} is off the disc: disc_radius is {self.disc_radius:g} m"
                )


ARENA = ArenaConfig()


class Arena(PoseGoal):
    """Walk to a pose on a disc."""

    config: ArenaConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    metrics = {
        **PoseGoal.metrics,
        "left": Metric("1", "max", "whether the robot has left the disc", rate=True),
        "course_score": Metric("1", "last", "share of the competition's two points"),
    }

    def buffers(self) -> Mapping[str, Buffer]:
        """Those of ``pose_goal``, and the smallest distance from the middle (m)."""
        return {**super().buffers(), "closest": Buffer(initial=np.inf)}

    def _goal_area(self) -> tuple[tuple[float, float], tuple[float, float]]:
        half = self.config.disc_radius / 2
        return (-half, half), (-half, half)

    def _place(self, v: View, rng: RowRandom) -> None:
        """On the ring, at any angle, looking to the middle within ``start_heading``."""
        config = self.config
        angle, radius = rng.uniform(-np.pi, np.pi), rng.uniform(*config.start_radius)
        v.qpos[:, 0], v.qpos[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
        turned = rng.uniform(-config.start_heading, config.start_heading)
        v.qpos[:, 3:7] = rotations.from_yaw(angle + np.pi + turned)

    def terminated(self, v: View) -> np.ndarray:
        """Fallen, or off the disc."""
        return super().terminated(v) | self._off(v)

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Those of ``pose_goal``, and what the arena counts."""
        config, closest = self.config, self._closest(v)
        points = (closest < config.fence_radius) + 1.0 * (closest < config.place_tolerance)
        return super().measure(v) | {
            "fall": super().terminated(v).astype(float),
            "left": self._off(v).astype(float),
            "course_score": np.where(self.terminated(v), 0.0, points / 2),
        }

    def advance(self, v: View, rng: RowRandom) -> None:
        """As ``pose_goal``."""
        v.closest = self._closest(v)
        super().advance(v, rng)

    def draw(self, scene: Any, v: View) -> None:
        """The disc, the area within the fence, and the goal."""
        disc(scene, (0.0, 0.0), self.config.disc_radius, _DISC_RGBA, height=0.001)
        disc(scene, (0.0, 0.0), self.config.fence_radius, _FENCE_RGBA, height=0.002)
        super().draw(scene, v)

    def _middle(self, v: View) -> np.ndarray:
        """(n,) distance from the middle of the disc (m)."""
        return np.sqrt(sum_of_squares(v.qpos[:, :2]))

    def _off(self, v: View) -> np.ndarray:
        """(n,) bool: the robot's base is beyond the edge of the disc."""
        return v.cached(self._middle) > self.config.disc_radius

    def _closest(self, v: View) -> np.ndarray:
        """(n,) smallest distance from the middle so far (m)."""
        return np.minimum(v.closest, v.cached(self._middle))
