# SPDX-License-Identifier: Apache-2.0
"""Walk a section of a competition's course, to a pose at its end.

The task is ``pose_goal``'s on ``uneven`` ground. The course leads along y. The robot starts at the
section's beginning and looks along the course within ``start_heading``. Where the section has a
route, the guide, and what the robot sees of the goal, lead from one of its places to the next, and
progress counts along it. Leaving the course ends the episode, as a fall does.

The observation is ``pose_goal``'s, with a height scan at its end. The scan sees balls, too, where
some roll across the section: they are free bodies, which the robot's parts may push.

The competition counts points for zones on the way. A fall, or leaving the course, forfeits those of
the section where it happens. The metric ``course_score`` is the share of all points, celebrations
aside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import FieldError, choice, interval, number, weights, whole
from motrix_gym.symmetry import Reflection
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.rough import ROUGH
from motrix_gym.tasks.locomotion.uneven import UnevenConfig, UnevenGround
from motrix_gym.tasks.navigation.balls import RollingBalls
from motrix_gym.tasks.navigation.pose_goal import FLAT, PoseGoal, PoseGoalConfig
from motrix_gym.tasks.navigation.scene import VOID, MovingScene, Scene
from motrix_gym.tasks.navigation.vbot_course import SECTIONS
from motrix_gym.view import View

_ALONG = np.pi / 2  # heading of the course (rad)
_SIDE = 5.0  # half of its width (m)
_BODY = 0.3  # half of the robot's length (m): so far a goal must be from what it would stand in
_PART = 0.1  # how far feet and shins reach from their middles (m)
_LEAST_LENGTH = 1e-3  # of the way, by which what is left of it is divided (m)
_PASSED = 0.5  # distance from a place of the route within which it is passed (m)
_ROUGH_TERMS = set(FLAT.reward_weights) & set(ROUGH.reward_weights)


@dataclass(frozen=True, kw_only=True)
class CourseConfig(UnevenConfig, PoseGoalConfig):
    """Settings of walking a section of the course.

    Raises:
        FieldError: (a ValueError) as ``PoseGoalConfig``.
    """

    section: str = choice("011", *SECTIONS)
    """The part of the course."""
    lane: str = choice("valley", "valley", "bridge")
    """Where the section has two lanes, the one that the route leads over."""
    max_episode_steps: int | None = whole(750, least=1)
    time_limit: float = number(15.0, above=0)
    reward_time: float = number(3.0, above=0)
    start_x: tuple[float, float] = interval(-0.1, 0.1)
    """Range of the start's x (m)."""
    start_y: tuple[float, float] = interval(-3.1, -2.9)
    """Range of the start's y (m)."""
    start_heading: float = number(0.5, least=0, most=np.pi)
    """Half-width of the start's headings around the course's direction (rad)."""
    goal_x: tuple[float, float] = interval(-0.1, 0.1)
    goal_y: tuple[float, float] = interval(7.9, 8.1)
    goal_heading: tuple[float, float] = interval(_ALONG, _ALONG)
    scan_forward: tuple[float, float] = interval(-0.4, 0.8)
    scan_sideways: float = number(0.3, least=0)
    bumps_seed: int = whole(0, least=0)
    """Seed of the heights of the bumps."""
    reward_weights: Mapping[str, float] = weights(
        **{
            **FLAT.reward_weights,
            **{name: ROUGH.reward_weights[name] for name in _ROUGH_TERMS},
            # With 2, as on flat ground, a policy stopped just beside the goal.
            "at_goal": 8.0,
        }
    )


SECTION_011 = CourseConfig()
# Stairs of 27 degrees: a trunk that is kept level touches the next steps.
_TILTED = {**SECTION_011.reward_weights, "orientation": 0.0}
SECTION_012 = CourseConfig(
    section="012",
    max_episode_steps=1500,
    time_limit=30.0,
    start_y=(7.4, 7.6),
    goal_y=(23.9, 24.1),
    reward_weights=_TILTED,
)
SECTION_013 = CourseConfig(
    section="013",
    max_episode_steps=600,
    time_limit=12.0,
    start_y=(25.9, 26.1),
    goal_y=(32.4, 32.6),
)
WHOLE = CourseConfig(
    section="002",
    max_episode_steps=3000,
    time_limit=60.0,
    goal_y=SECTION_013.goal_y,
    reward_weights=_TILTED,
)


class Course(UnevenGround, PoseGoal):
    """Walk a section of the course, or all of it."""

    config: CourseConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    terrain: Scene
    metrics = {
        **PoseGoal.metrics,
        "left": Metric("1", "max", "whether the robot has left the course", rate=True),
        "covered": Metric("1", "max", "share of the way that was walked"),
        "course_score": Metric("1", "last", "share of the competition's points, less forfeits"),
    }
    without_constants = (*UnevenGround.without_constants, "geom_size")

    def __init__(self, config: CourseConfig, robot: LeggedRobot):
        """Make the ground, compile the model, and look up what the functions need.

        Raises:
            FieldError: (a ValueError) if a start or a goal is off the course or inside of something
                that stands on it, naming both.
            ValueError: if the robot or the lower level cannot work, saying why.
        """
        section = SECTIONS[config.section]
        self.terrain = section.scene(config.bumps_seed)  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
        self._section = section
        for name in ("start", "goal"):
            self._check_place(config, name)
        zones = section.zones
        self._zone_low, self._zone_high = (
            np.array([getattr(zone, end) for zone in zones]) for end in ("low", "high")
        )
        self._points = np.array([zone.points for zone in zones])
        self._zone_part = self._part(self._zone_low[:, 1])
        self._route = np.reshape(section.routes.get(config.lane, ()), (-1, 2))
        # From each place of the route to its last, along it.
        steps = np.sqrt(sum_of_squares(np.diff(self._route, axis=0)))
        self._rest = np.append(np.cumsum(steps[::-1])[::-1], 0.0)
        super().__init__(config, robot)
        self._balls = None
        if section.balls is not None:
            moving = config.ground == "moving"
            self._balls = RollingBalls(section.balls, self.terrain, robot, self.model, moving)

    def _check_place(self, config: CourseConfig, name: str) -> None:
        (left, right), (near, far) = (getattr(config, f"{name}_{axis}") for axis in "xy")
        what = f"the {name}, x {left:g} to {right:g} m and y {near:g} to {far:g} m,"
        low, high = self._section.bounds
        if left < -_SIDE or right > _SIDE or near < low or far > high:
            raise FieldError(
                f"{name}_x",
                f"{what} is off the course: section {config.section} is x {-_SIDE:g} to {_SIDE:g} "
                f"m and y {low:g} to {high:g} m",
            )
        for shape in (*self.terrain.boxes, *self.terrain.spheres):
            (x, y, _), (wide, long) = shape.middle, shape.reach
            beside = (
                left - _BODY > x + wide
                or right + _BODY < x - wide
                or near - _BODY > y + long
                or far + _BODY < y - long
            )
            if shape.kind in ("wall", "stone") and not beside:
                raise FieldError(
                    f"{name}_x",
                    f"{what} is within {_BODY:g} m of a {shape.kind}, x {x - wide:g} to "
                    f"{x + wide:g} m and y {y - long:g} to {y + long:g} m",
                )

    def _add_ground(self, spec: mujoco.MjSpec, parts: list[str], moving: bool) -> None:
        if moving:
            MovingScene.add(spec, self.terrain, parts, _PART)
        else:
            self.terrain.add_static(spec, parts)
        if self._section.balls is not None:
            self._section.balls.add(spec, self.terrain, self.robot, moving)

    def _mover(self, model: mujoco.MjModel, parts: list[str]) -> MovingScene:
        return MovingScene(self.terrain, model, parts, _PART)

    def buffers(self) -> Mapping[str, Buffer]:
        """Those of ``pose_goal``, the next place of the route, and what has scored."""
        return {
            **super().buffers(),
            "reached": Buffer((len(self._points),), dtype=np.bool_),
            "next_place": Buffer(dtype=np.int64),
            "touched": Buffer(dtype=np.bool_),  # a ball
        }

    def reset(self, v: View, rng: RowRandom) -> None:
        """As ``pose_goal``; the balls begin to roll."""
        super().reset(v, rng)
        if self._balls is not None:
            self._balls.start(v, rng)

    def act(self, v: View, action: np.ndarray) -> None:
        """As ``pose_goal``; the ground moves to where legs and balls are."""
        super().act(v, action)
        if self._balls is not None:
            self._balls.place_ground(v)

    def _goal_area(self) -> tuple[tuple[float, float], tuple[float, float]]:
        low, high = self._section.bounds
        return (_BODY - _SIDE, _SIDE - _BODY), (low + _BODY, high - _BODY)

    def _place(self, v: View, rng: RowRandom) -> None:
        """At the section's beginning, looking along the course within ``start_heading``."""
        config = self.config
        v.qpos[:, 0], v.qpos[:, 1] = rng.uniform(*config.start_x), rng.uniform(*config.start_y)
        turned = rng.uniform(-config.start_heading, config.start_heading)
        v.qpos[:, 3:7] = rotations.from_yaw(_ALONG + turned)
        v.next_place = self._behind(v)
        self._stand(v)

    def terminated(self, v: View) -> np.ndarray:
        """Fallen, or off the course."""
        return super().terminated(v) | self._off(v)

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Those of ``pose_goal``, and what the course counts."""
        # The part whose points are lost.
        lost = np.where(self.terminated(v), self._part(v.qpos[:, 1]), -1)
        kept = self._reached(v) & (self._zone_part != lost[:, None])
        points = np.where(kept, self._points, 0.0).sum(axis=1)
        total = self._points.sum()
        if self._balls is not None:
            touched = self._touched(v, self._balls) & (lost != len(self._section.ends))
            points += self._balls.balls.points * touched
            total += self._balls.balls.points
        left = self._way(v, v.qpos[:, :2]) / np.maximum(v.straight, _LEAST_LENGTH)
        return super().measure(v) | {
            "fall": super().terminated(v).astype(float),
            "left": self._off(v).astype(float),
            "covered": np.maximum(1.0 - left, 0.0),
            "course_score": points / total,
        }

    def advance(self, v: View, rng: RowRandom) -> None:
        """As ``pose_goal``; remember what has scored, and lead to the next place of the route."""
        v.reached = self._reached(v)
        if self._balls is not None:
            v.touched = self._touched(v, self._balls)
        if len(self._route):
            place = self._target(v)[:, :2]
            passed = sum_of_squares(place - v.qpos[:, :2]) < _PASSED**2
            v.next_place += passed & (v.next_place < len(self._route))
            v.next_place = np.maximum(v.next_place, self._behind(v))
        super().advance(v, rng)

    def _behind(self, v: View) -> np.ndarray:
        """(n,) number of the route's places that lie behind the robot, along the course."""
        return (self._route[:, 1] < v.qpos[:, 1:2]).sum(axis=1)

    def _floor(self, place: np.ndarray) -> float:
        return float(self.terrain.height(place))

    @cached_property
    def _joint_mirror(self) -> Reflection | None:
        return super()._joint_mirror if self._section.symmetric else None

    def _target(self, v: View) -> np.ndarray:
        if not len(self._route):
            return v.goal
        on_route = v.next_place < len(self._route)
        place = self._route[np.minimum(v.next_place, len(self._route) - 1)]
        pose = np.concatenate([place, np.full((v.n, 1), _ALONG)], axis=1)
        return np.where(on_route[:, None], pose, v.goal)

    def _progress(self, v: View) -> np.ndarray:
        return self._way(v, v.last_place) - self._way(v, v.qpos[:, :2])

    def _way(self, v: View, places: np.ndarray) -> np.ndarray:
        """(n,) length of the way along the route from ``places`` (n, 2) to the goal (m)."""
        way = np.sqrt(sum_of_squares(self._target(v)[:, :2] - places))
        if len(self._route):
            index = np.minimum(v.next_place, len(self._route) - 1)
            last = np.sqrt(sum_of_squares(v.goal[:, :2] - self._route[-1]))
            way += np.where(v.next_place < len(self._route), self._rest[index] + last, 0.0)
        return way

    def _straight(self, v: View) -> np.ndarray:
        return self._way(v, v.qpos[:, :2])

    def _off(self, v: View) -> np.ndarray:
        """(n,) bool: the robot's base is beyond the section, or has fallen beside it."""
        x, y, z = v.qpos[:, :3].T
        low, high = self._section.bounds
        return (abs(x) > _SIDE) | (y < low) | (y > high) | (z < VOID / 4)

    def _part(self, y: np.ndarray) -> np.ndarray:
        """(n,) number of the part of the course at places along it, (n,) (m)."""
        return np.searchsorted(self._section.ends, y, side="right")

    def _reached(self, v: View) -> np.ndarray:
        """(n, zones) bool: the robot is, or was, in the zone."""
        place = v.qpos[:, None, :2]
        inside = ((place >= self._zone_low) & (place <= self._zone_high)).all(axis=-1)
        return v.reached | inside

    def _touched(self, v: View, balls: RollingBalls) -> np.ndarray:
        """(n,) bool: a foot or the trunk touches a ball, or has."""
        return v.touched | balls.touch(v)

    def _scan(self, v: View) -> np.ndarray:
        """(n, points) heights of ground and balls around the base (m)."""
        heights = super()._scan(v)
        if self._balls is None:
            return heights
        tops = self._balls.tops(v, self._turned(v, self._scan_points))
        tops -= (v.qpos[:, 2:3] - self.stand_height).astype(np.float32)
        return np.maximum(heights, np.clip(tops, -1.0, 1.0))
