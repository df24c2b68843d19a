# SPDX-License-Identifier: Apache-2.0
"""Bounce a table-tennis ball to a given height, on a paddle that an arm of six joints holds.

Home is the arm's start pose. Positions are relative to the middle of the paddle's top at home,
which is 0.28 m above the floor; x points away from the arm, z up. The ball's apex is the height to
which its present speed takes it, z + v_z^2 / 2g, and its landing place is where it falls back to
z = 0; both stay the same during a flight.

Observation (35): ball position (3, m) and velocity (3, m/s), paddle position (3, m) and normal
(3), joint angles (6, rad), velocities (6, rad/s) and targets (6, rad), with angles and targets
relative to home, target height of the ball (m), apex minus target height (m), where the ball lands
(x and y in m) and when (s).
Action (6): the speeds of the joints' targets, +-1 rad/s; targets stay within 0.3 rad of home.
Reward: height, a Gaussian of apex minus target height (1/e at 0.15 m), times centre, a Gaussian of
the landing place's distance from the vertical axis through the paddle's home (1/e at 0.1 m); a
tenth as much for a paddle at home and level; and small penalties for the actions and the joints'
velocities.
The episode terminates when the ball is dropped: 0.15 m below home or 0.4 m from the axis. It is
truncated after 1000 steps (20 s).
Start: arm at home within +-0.01 (rad, rad/s), ball 0.35 to 0.45 m up, x and y within +-0.02 m,
rising or falling with at most 0.2 m/s; target height 0.25 to 0.55 m.

Source: MotrixLab's ``bounce_ball``, with the target height of its later version. One thing differs,
the action. MotrixLab adds it to the measured joint angle, at most 0.0008 rad in 0.01 s, so the part
of a target that the arm has not reached yet is lost. Here it is added to the last target.

v0: first version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from motrix_gym.observation import Channel, Read, read_together
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares, tracking
from motrix_gym.settings import interval, number, weights
from motrix_gym.task import Buffer, Metric, Task, TaskConfig
from motrix_gym.view import View

_JOINTS = tuple(f"joint{i}" for i in range(1, 7))
_START_HEIGHT = 0.40
# A bounce: the ball falls faster than _FALLING and then rises, to an apex at least _RISE above
# where it rests on the paddle at home.
_FALLING = -0.5  # m/s
_RISE = 0.05  # m


@dataclass(frozen=True, kw_only=True)
class BounceBallConfig(TaskConfig):
    """Settings of the ball bouncing."""

    control_timestep: float = 0.02
    physics_timestep: float = number(0.001, above=0, most=0.002)
    """Seconds of one physics step; ball and paddle touch for 0.008 s."""
    target_heights: tuple[float, float] = interval(0.25, 0.55, above=0)
    """Lowest and highest target of the ball's middle above the paddle's home (m)."""
    target_speed: float = number(1.0, above=0)
    """How fast a joint's target moves at action 1 (rad/s)."""
    target_range: float = number(0.3, above=0)
    """Largest distance of a joint's target from home (rad)."""
    height_scale: float = number(0.15, above=0)
    """Error of the apex at which the height reward is 1/e (m)."""
    centre_scale: float = number(0.1, above=0)
    """Distance of the landing place from the axis at which the centre reward is 1/e (m)."""
    drop_depth: float = number(0.15, above=0)
    """How far below the paddle's home the ball is dropped (m)."""
    drop_radius: float = number(0.4, above=0)
    """How far from the axis the ball is dropped (m)."""
    reward_weights: Mapping[str, float] = weights(
        bounce_height=1.0, paddle_home=0.1, action=-0.02, joint_velocity=-0.001
    )


BOUNCE = BounceBallConfig()


class BounceBall(Task):
    """Bounce a table-tennis ball to a given height.

    The module's docstring has the numbers.
    """

    config: BounceBallConfig
    model_file = Path(__file__).with_suffix(".xml")
    camera = "side"
    derived = ("site_xpos", "site_xmat")
    derived_up_to_date = True
    metrics = {
        "bounces": Metric("1", "last", "bounces so far that rise 5 cm and more"),
        "height_error": Metric("m", "mean", "distance of the ball's apex from the target height"),
        "horizontal_error": Metric("m", "mean", "distance of the ball from the axis"),
        "dropped": Metric("1", "last", "whether the ball was dropped", rate=True),
    }

    def __init__(self, config: BounceBallConfig):
        """Compile the model and read its home pose."""
        super().__init__(config)
        home = self.model.key("home")
        self._home_joints, self._home_qpos = home.ctrl.copy(), home.qpos.copy()
        data = mujoco.MjData(self.model)
        mujoco.mj_resetDataKeyframe(self.model, data, home.id)
        mujoco.mj_forward(self.model, data)
        self._home = data.site("paddle").xpos.copy()
        self._gravity = -self.model.opt.gravity[2]
        self._bounce_apex = self.model.geom("ball").size[0] + _RISE

    def observation_channels(self) -> list[Channel]:
        """Ball, paddle, joints, the target height, and the ball's predicted apex and landing."""

        def joints(what: str, unit: str, read: Read) -> list[Channel]:
            return read_together(read, [Channel(f"{joint}_{what}", unit) for joint in _JOINTS])

        return [
            Channel("ball_position", "m", 3, self._ball),
            Channel("ball_velocity", "m/s", 3, lambda v: v.joint("ball").qvel[:, :3]),
            Channel("paddle_position", "m", 3, self._paddle),
            Channel("paddle_normal", "1", 3, lambda v: v.site("paddle").xmat[:, 2::3]),
            *joints("angle", "rad", lambda v: v.qpos[:, :6] - self._home_joints),
            *joints("velocity", "rad/s", lambda v: v.qvel[:, :6]),
            *joints("target", "rad", lambda v: v.joint_target),
            Channel("target_height", "m", 1, lambda v: v.target_height),
            Channel("apex_error", "m", 1, lambda v: v.cached(self._apex) - v.target_height),
            Channel("landing_place", "m", 2, lambda v: v.cached(self._landing)[0]),
            Channel("landing_time", "s", 1, lambda v: v.cached(self._landing)[1]),
        ]

    def action_channels(self) -> list[Channel]:
        """The speeds of the joints' targets."""
        return [Channel(f"{joint}_target_speed", "target_speed rad/s") for joint in _JOINTS]

    def buffers(self) -> dict[str, Buffer]:
        """The action, joint targets relative to home, target height, and the bounces so far."""
        return {
            "action": Buffer((6,)),
            "joint_target": Buffer((6,)),
            "target_height": Buffer(),
            "falling": Buffer(dtype=np.bool_, initial=False),
            "bounces": Buffer(),
        }

    def reset(self, v: View, rng: RowRandom) -> None:
        """Arm at home, ball above it, a new target height."""
        v.qpos = self._home_qpos
        v.qpos[:, :6] += rng.uniform(-0.01, 0.01, 6)
        v.qvel[:, :6] = rng.uniform(-0.01, 0.01, 6)
        v.ctrl = self._home_joints
        spread = np.array([0.02, 0.02, 0.05])
        v.joint("ball").qpos[:, :3] = self._home + [0, 0, _START_HEIGHT]
        v.joint("ball").qpos[:, :3] += rng.uniform(-spread, spread, 3)
        v.joint("ball").qvel[:, 2] = rng.uniform(-0.2, 0.2)
        v.target_height = rng.uniform(*self.config.target_heights)

    def act(self, v: View, action: np.ndarray) -> None:
        """Move the joints' targets, within their range."""
        change, limit = self.config.target_speed * self.dt * action, self.config.target_range
        v.action = action
        v.joint_target = np.clip(v.joint_target + change, -limit, limit)
        v.ctrl = self._home_joints + v.joint_target

    def terminated(self, v: View) -> np.ndarray:
        """The ball is dropped."""
        ball = self._ball(v)
        away = sum_of_squares(ball[:, :2]) > self.config.drop_radius**2
        return away | (ball[:, 2] < -self.config.drop_depth)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Height at the centre, a paddle at home, and penalties."""
        config = self.config
        place, _ = v.cached(self._landing)
        height = tracking((v.cached(self._apex) - v.target_height)[:, None], config.height_scale)
        level = tracking(v.site("paddle").xmat[:, 2:6:3], 0.3)
        return {
            "bounce_height": height * tracking(place, config.centre_scale),
            "paddle_home": tracking(self._paddle(v), 0.1) * level,
            "action": sum_of_squares(v.action),
            "joint_velocity": sum_of_squares(v.qvel[:, :6]),
        }

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Bounces, errors, and whether the ball is dropped."""
        return {
            "bounces": v.bounces + self._bounced(v),
            "height_error": abs(v.cached(self._apex) - v.target_height),
            "horizontal_error": np.sqrt(sum_of_squares(self._ball(v)[:, :2])),
            "dropped": self.terminated(v).astype(float),
        }

    def advance(self, v: View, rng: RowRandom) -> None:
        """Count bounces."""
        bounced = self._bounced(v)
        v.bounces += bounced
        v.falling = (v.falling & ~bounced) | (v.joint("ball").qvel[:, 2] < _FALLING)

    def _ball(self, v: View) -> np.ndarray:
        """(n, 3) the ball's middle, relative to the paddle's home (m)."""
        return v.joint("ball").qpos[:, :3] - self._home

    def _paddle(self, v: View) -> np.ndarray:
        """(n, 3) the middle of the paddle's top, relative to its home (m)."""
        return v.site("paddle").xpos - self._home

    def _apex(self, v: View) -> np.ndarray:
        """(n,) height to which the ball's speed takes it, above the paddle's home (m)."""
        return self._ball(v)[:, 2] + v.joint("ball").qvel[:, 2] ** 2 / (2 * self._gravity)

    def _landing(self, v: View) -> tuple[np.ndarray, np.ndarray]:
        """(n, 2) where the ball falls to the paddle's home height (m), and (n,) when (s)."""
        speed = v.joint("ball").qvel[:, 2]
        below = np.maximum(v.cached(self._apex), 0) * (2 * self._gravity)
        time = np.maximum(speed + np.sqrt(below), 0) / self._gravity
        place = self._ball(v)[:, :2] + v.joint("ball").qvel[:, :2] * time[:, None]
        return place, time

    def _bounced(self, v: View) -> np.ndarray:
        """(n,) bool: rising now, high enough, after a fall."""
        rising = v.joint("ball").qvel[:, 2] > 0
        return v.falling & rising & (v.cached(self._apex) >= self._bounce_apex)
