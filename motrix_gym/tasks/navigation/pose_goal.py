# SPDX-License-Identifier: Apache-2.0
"""Walk to a pose, a place and a heading, and stand there: for any legged robot, on flat ground.

The goal must be reached by the end of the episode and held for its last second. Reaching it does
not end the episode, and leaving it loses it.

Observation: that of ``locomotion.legged``, in which the command is a guide: the velocity that
leads straight to the goal. So a policy that walks by commands can begin a training. Then, in the
frame of the robot's heading,

    goal position (2, m), goal heading (2: cosine and sine of its angle from the robot's),
    time left (1, s)

Action: that of ``legged``. With a ``lower_level``, a policy that walks by commands, the action is
the command (3: vx, vy, wz), in which 1 and -1 are the guide's limits; the command that is observed
is then the last one, and there is no guide.

Rewards: those of ``legged`` for gait and effort, and

    at_goal    in the last ``reward_time`` of an episode, 1 / (1 + the squared error of the pose),
               place and heading each in units of its tolerance
    progress   distance that the robot came closer to the goal (m): what an episode can earn is
               bounded by the distance at its start, and walking to and fro earns nothing
    waiting    1 for standing still far from the goal, a penalty

So hovering near the goal does not pay, and the robot may choose its way and its speed, as long as
it is in time. Nothing rewards following the guide. The episode terminates when the base tilts
beyond ``max_tilt``, and is truncated after ``time_limit``.

Source: position rewards at an episode's end, and the penalty for waiting, are those of Rudin et
al., "Advanced skills by learning locomotion and local navigation end-to-end", 2022.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.commands import Command
from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import interval, number, text, weights, whole
from motrix_gym.success import SuccessRule
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.locomotion.legged import LeggedConfig, LeggedTask
from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.navigation.lower_level import load_lower_level
from motrix_gym.view import View

# The guide. Its limits are those of the commands that walking policies are trained with.
_SLOWEST = np.array([-1.0, -0.6, -1.0])  # forward, to the left (m/s), turn to the left (rad/s)
_FASTEST = np.array([1.5, 0.6, 1.0])
_GAIN = 2.0  # velocity per error (1/s)
_FACING = 1.0  # distance beyond which the robot turns to where it walks (m)
_SMALL = 0.1  # m/s, rad/s: a command to a lower level that is below this in all is to stand
_ARRIVED = np.array([0.12, 0.1])  # errors of place (m) and heading (rad) at which it stands still

_FAR, _STILL = 0.5, 0.2  # waiting: distance (m) above, and speed (m/s) below
_LEAST_LENGTH = 1.0  # of the straight way, by which the path's length is divided (m)
_GOAL_RGBA = np.array([0.1, 0.75, 0.35, 0.6], np.float32)


@dataclass(frozen=True, kw_only=True)
class PoseGoalConfig(LeggedConfig):
    """Settings of walking to a pose."""

    max_episode_steps: int | None = whole(500, least=1)
    time_limit: float = number(10.0, above=0)
    """Time for reaching the goal (s): as long as an episode."""
    goal_x: tuple[float, float] = interval(-5.0, 5.0)
    """Range of the goal's x (m); without a course of its own, the robot starts at 0."""
    goal_y: tuple[float, float] = interval(-5.0, 5.0)
    """Range of the goal's y (m)."""
    goal_heading: tuple[float, float] = interval(-np.pi, np.pi)
    """Range of the goal's heading, from x (rad)."""
    place_tolerance: float = number(0.3, above=0)
    """Distance from the goal within which the robot is there (m)."""
    heading_tolerance: float = number(np.pi / 12, above=0)
    """Angle from the goal's heading within which the robot is there (rad)."""
    reward_time: float = number(2.0, above=0)
    """How long before the time limit being at the goal begins to be rewarded (s)."""
    lower_level: str | None = text()
    """Folder of a policy that walks this robot by commands, which are the actions then."""
    reward_weights: Mapping[str, float] = weights(
        at_goal=2.0, progress=30.0, waiting=-0.5, **LeggedConfig().reward_weights
    )


FLAT = PoseGoalConfig()


class PoseGoal(LeggedTask):
    """Walk to a pose with a legged robot, and stand there.

    The module's docstring has the observation and the rewards.
    """

    config: PoseGoalConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    success_rule = SuccessRule("end", 1.0)
    metrics = {
        "distance": Metric("m", "last", "distance from the goal"),
        "heading_error": Metric("rad", "last", "angle from the goal's heading"),
        "time_to_goal": Metric("s", "last", "time of arrival; the time limit if it is not there"),
        "path_ratio": Metric("1", "last", "length of the path over the straight way or 1 m"),
        **LeggedTask.metrics,
    }

    def __init__(self, config: PoseGoalConfig, robot: LeggedRobot):
        """Compile the robot's model, and read the lower level.

        Raises:
            ValueError: if the robot cannot work, or the lower level does not walk it, saying why.
        """
        super().__init__(config, robot)
        self._lower = None
        if config.lower_level is not None:
            self._lower = load_lower_level(
                config.lower_level,
                super().observation_channels(),
                super().action_channels(),
                super().deployment(),
            )
        self._tolerance = np.array([config.place_tolerance, config.heading_tolerance])
        names = ("goal x", "m"), ("goal y", "m"), ("goal heading", "rad")
        ranges = (*self._goal_area(), (-np.pi, np.pi))
        self.commands = [
            Command(name, unit, low, high, "goal", index)
            for index, ((name, unit), (low, high)) in enumerate(zip(names, ranges, strict=True))
            if low < high
        ]

    def _goal_area(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Ranges of x and of y in which a person may put the goal (m)."""
        return self.config.goal_x, self.config.goal_y

    def observation_channels(self) -> list[Channel]:
        """What the module's docstring lists."""
        image = (1.0, -1.0) if self._joint_mirror else None
        return [
            *super().observation_channels(),
            Channel("goal_position", "m", 2, lambda v: v.cached(self._goal)[0], mirror=image),
            Channel("goal_heading", "1", 2, self._direction, mirror=image),
            Channel("time_left", "s", 1, self._time_left, mirror=image and (1.0,)),
        ]

    def action_channels(self) -> list[Channel]:
        """Those of ``legged``, or the command for the lower level."""
        if self._lower is None:
            return super().action_channels()
        mirrored = self._joint_mirror is not None
        return [
            Channel("forward", "1.5 m/s; backward 1 m/s", mirror="forward" if mirrored else None),
            Channel("left", "0.6 m/s", mirror="-left" if mirrored else None),
            Channel("turn", "1 rad/s", mirror="-turn" if mirrored else None),
        ]

    def act(self, v: View, action: np.ndarray) -> None:
        """As ``legged``, or as the lower level does for the command."""
        if self._lower is not None:
            command = np.where(action > 0, action * _FASTEST, -action * _SLOWEST)
            still = np.abs(command).max(axis=1, keepdims=True) < _SMALL
            v.command = np.where(still, 0.0, command)
            action = self._lower(self.observe(v)[:, : self._lower.observation_size])
        super().act(v, action)

    def deployment(self) -> dict[str, Any]:
        """As ``LeggedTask.deployment``, with the goal, and the guide or the lower level."""
        about, lower = super().deployment(), self._lower is not None
        about["observation"] |= {
            "command": {
                "frame": "heading",
                "value": "the last command to the lower level" if lower else "the guide's velocity",
            },
            "goal_position": {"frame": "heading", "value": "goal - place, x and y"},
            "goal_heading": {"value": "cos(angle), sin(angle) from the robot's to the goal's"},
            "time_left": {"value": "time limit - time, at least 0"},
        }
        limits = {"slowest": _SLOWEST.tolist(), "fastest": _FASTEST.tolist()}
        about["units"] |= dict.fromkeys(limits, "m/s, m/s, rad/s")
        if lower:
            about["lower_level"] = {
                "value": "the joints' action is that of the policy that walks by commands",
                "action": about["action"],
            }
            about["action"] = {
                "value": "command = action * (fastest where action > 0, else -slowest); 0, 0, 0 "
                "where all of it is smaller than small",
                "small": _SMALL,
                **limits,
            }
            about["units"]["small"] = "m/s, m/s, rad/s"
            return about
        about["guide"] = {
            "velocity": "gain * goal_position, shortened until it is within slowest and fastest",
            "turn": "gain * the angle to the goal where it is further than facing, else to the "
            "goal's heading, within slowest and fastest",
            "standing": "0, 0, 0 where the errors of place and heading are below arrived",
            "gain": _GAIN,
            "facing": _FACING,
            "arrived": _ARRIVED.tolist(),
            **limits,
        }
        about["units"] |= {"gain": "1/s", "facing": "m", "arrived": "m, rad"}
        return about

    def buffers(self) -> Mapping[str, Buffer]:
        """Those of ``legged``, the goal (x, y, heading), and what measures the way to it."""
        return {
            **super().buffers(),
            "goal": Buffer((3,)),
            "elapsed": Buffer(),
            "arrival": Buffer(initial=np.inf),  # when it was reached, if it was not left since
            "straight": Buffer(),
            "path": Buffer(),
            "last_place": Buffer((2,)),
        }

    def reset(self, v: View, rng: RowRandom) -> None:
        """As ``legged``, and a new goal."""
        super().reset(v, rng)
        self._place(v, rng)
        config = self.config
        low, high = np.transpose([config.goal_x, config.goal_y, config.goal_heading])
        v.goal = rng.uniform(low, high, 3)
        v.last_place = v.qpos[:, :2]
        self.obey(v)

    def obey(self, v: View) -> None:
        """Lead to the goal as it is now; at an episode's start, measure the way to it."""
        v.straight = np.where(v.elapsed > 0, v.straight, self._straight(v))
        self._lead(v)

    def _place(self, v: View, rng: RowRandom) -> None:
        """Write where the view's rows start, if not at 0 with any heading."""

    def success(self, v: View) -> np.ndarray:
        """(n,) bool: within the tolerances of the goal, and not fallen."""
        return v.cached(self._there) & ~self.terminated(v)

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Errors, time, length of the path, and falls."""
        errors, limit = v.cached(self._errors), self.config.time_limit
        return {
            "distance": errors[:, 0],
            "heading_error": errors[:, 1],
            "time_to_goal": np.minimum(self._arrival(v), limit),
            "path_ratio": self._path(v) / np.maximum(v.straight, _LEAST_LENGTH),
            **super().measure(v),
        }

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Every term, unweighted."""
        errors, config = v.cached(self._errors), self.config
        late = v.elapsed + self.dt > config.time_limit - config.reward_time
        slow = sum_of_squares(v.qvel[:, :2]) < _STILL**2
        return {
            "at_goal": late / (1.0 + sum_of_squares(errors / self._tolerance)),
            "progress": self._progress(v),
            "waiting": (slow & (errors[:, 0] > _FAR)).astype(float),
            **super().rewards(v),
        }

    def advance(self, v: View, rng: RowRandom) -> None:
        """Run the clocks, and guide the next step."""
        super().advance(v, rng)
        v.arrival, v.path = self._arrival(v), self._path(v)
        v.elapsed += self.dt
        v.last_place = v.qpos[:, :2]
        self._lead(v)

    def draw(self, scene: Any, v: View) -> None:
        """A disc at the goal, as wide as its tolerance, and an arrow to its heading."""
        x, y, heading = v.goal[0]
        tolerance, floor = self.config.place_tolerance, self._floor(v.goal[0, :2])
        disc(scene, (x, y), tolerance, _GOAL_RGBA, floor + 0.004)
        start, end = np.array([x, y, floor + 0.05]), np.array([x, y, floor + 0.05])
        end[:2] += 2 * tolerance * np.array([np.cos(heading), np.sin(heading)])
        arrow = mujoco.mjtGeom.mjGEOM_ARROW
        geom = _new_geom(scene, arrow, np.zeros(3), np.zeros(3), _GOAL_RGBA)
        mujoco.mjv_connector(geom, arrow, 0.05, start, end)

    def _floor(self, place: np.ndarray) -> float:
        """Height of the ground at a place (2,) (m)."""
        return 0.0

    # Quantities, in the frame of the robot's heading unless said otherwise.

    def _target(self, v: View) -> np.ndarray:
        """(n, 3) the pose that the robot sees and is led to: x, y (m), heading (rad)."""
        return v.goal

    def _progress(self, v: View) -> np.ndarray:
        """(n,) by how much the way to the goal got shorter in the step (m)."""
        last = np.sqrt(sum_of_squares(v.goal[:, :2] - v.last_place))
        return last - v.cached(self._errors)[:, 0]

    def _goal(self, v: View) -> tuple[np.ndarray, np.ndarray]:
        """(n, 2) place of the target (m), and (n,) angle to its heading (rad, -pi to pi)."""
        return _seen(self._target(v), v)

    def _errors(self, v: View) -> np.ndarray:
        """(n, 2) distance from the goal (m), and the size of the angle to its heading (rad)."""
        place, angle = _seen(v.goal, v)
        return np.stack([np.sqrt(sum_of_squares(place)), abs(angle)], axis=1)

    def _direction(self, v: View) -> np.ndarray:
        """(n, 2) cosine and sine of the angle to the goal's heading."""
        angle = v.cached(self._goal)[1]
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def _time_left(self, v: View) -> np.ndarray:
        """(n, 1) time until the time limit (s)."""
        return np.maximum(self.config.time_limit - v.elapsed, 0.0)[:, None]

    def _straight(self, v: View) -> np.ndarray:
        """(n,) length of the way to the goal (m)."""
        return self._errors(v)[:, 0]

    def _there(self, v: View) -> np.ndarray:
        """(n,) bool: within the tolerances of place and heading."""
        return (v.cached(self._errors) <= self._tolerance).all(axis=1)

    def _arrival(self, v: View) -> np.ndarray:
        """(n,) time of the arrival, judged after a step and before ``advance`` (s)."""
        return np.where(v.cached(self._there), np.minimum(v.arrival, v.elapsed + self.dt), np.inf)

    def _path(self, v: View) -> np.ndarray:
        """(n,) length of the path, judged after a step and before ``advance`` (m)."""
        return v.path + np.sqrt(sum_of_squares(v.qpos[:, :2] - v.last_place))

    def _lead(self, v: View) -> None:
        """Write the guide's command, unless the action is one."""
        if self._lower is None:
            v.command = self._guide(v)

    def _guide(self, v: View) -> np.ndarray:
        """(n, 3) the velocity that leads straight to the goal: vx, vy (m/s), wz (rad/s)."""
        place, angle = self._goal(v)
        distance = np.sqrt(sum_of_squares(place))
        wanted = _GAIN * place
        limit = np.where(wanted > 0, _FASTEST[:2], -_SLOWEST[:2])
        share = np.minimum(1.0, (limit / np.maximum(abs(wanted), 1e-9)).min(axis=1))
        facing = np.where(distance > _FACING, np.arctan2(place[:, 1], place[:, 0]), angle)
        turn = np.clip(_GAIN * facing, _SLOWEST[2], _FASTEST[2])
        command = np.concatenate([wanted * share[:, None], turn[:, None]], axis=1)
        arrived = (distance < _ARRIVED[0]) & (abs(angle) < _ARRIVED[1])
        return np.where(arrived[:, None], 0.0, command)


def _seen(pose: np.ndarray, v: View) -> tuple[np.ndarray, np.ndarray]:
    """A pose (n, 3) in the frame of the robot's heading.

    Returns:
        (n, 2) its place (m), and (n,) the angle to its heading (rad, -pi to pi).
    """
    yaw = rotations.yaw(v.qpos[:, 3:7])
    x, y = (pose[:, :2] - v.qpos[:, :2]).T
    cos, sin = np.cos(yaw), np.sin(yaw)
    place = np.stack([cos * x + sin * y, cos * y - sin * x], axis=1)
    angle = pose[:, 2] - yaw
    return place, angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def disc(
    scene: Any, place: tuple[float, float], radius: float, rgba: np.ndarray, height: float = 0.004
) -> None:
    """Draw a flat disc on the ground.

    Args:
        scene: the ``mujoco.MjvScene``.
        place: of its middle (m).
        radius: (m).
        rgba: (4,) float32.
        height: of its upper side (m).
    """
    size, middle = np.array([radius, height / 2, 0.0]), np.array([*place, height / 2])
    _new_geom(scene, mujoco.mjtGeom.mjGEOM_CYLINDER, size, middle, rgba)


def _new_geom(scene: Any, kind: Any, size: np.ndarray, place: np.ndarray, rgba: np.ndarray) -> Any:
    geom = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(geom, kind, size, place, np.eye(3).ravel(), rgba)
    scene.ngeom += 1
    return geom
