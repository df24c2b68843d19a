# SPDX-License-Identifier: Apache-2.0
"""A Franka Panda takes a cube from a table and holds it at a goal in the air.

Observation (54): the robot's part (40, ``panda``), then

    place of the cube from the grip, in the frame of the hand (3, m),
    turn of the cube in the hand (2): cosine and sine of four times the angle about the hand's
    axis between the cube's faces and the pads, the same for all poses of a cube that look alike,
    place of the cube (3, m, world), its velocity (3, m/s, world),
    the goal from the cube (3, m, world)

Privileged (5): whether each pad touches the cube (2), and the cube's mass (kg), friction and
edge (m). Action (8): ``panda``.

The cube is *held* if both pads touch it, its middle is within 1.8 cm of the grip, the gripper is
told to close further than it can, and no pad is on the table. Without the last two, a policy
learns to press a finger on the table and to drag the cube along.

Rewards: nearness of the grip to the cube with the hand straight down, closing the gripper around
it, a pad on the table; and of a held cube: holding, height, nearness to the goal, and being at the
goal. So the reward of a cube that is not held is small. The episode terminates when the cube
leaves the table; it is truncated after 250 steps (5 s).

Start: arm near home, cube at rest on the table, 20 cm by 50 cm around (0.5, 0) m, turned by up to
45 degrees; goal 25 to 50 cm above that area. Success, at the end of the episode: the cube has been
within 5 cm of the goal for 0.5 s.

Source: MotrixLab's franka-lift-cube has the scene, the ranges and the goal. Rewards and actions
are our own.

v0: first version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.buffer import Buffer
from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import FieldError, interval, number, weights
from motrix_gym.success import SuccessRule
from motrix_gym.task import Metric
from motrix_gym.tasks.manipulation.panda import (
    OPEN,
    VECTOR,
    Panda,
    PandaConfig,
    grip_force,
    in_reach,
)
from motrix_gym.view import View

_TABLE_X, _TABLE_Y = (-0.3, 0.9), (-0.37, 0.37)  # the table's edges (m)
_BETWEEN_PADS = 0.018  # distance of a held cube's middle from the grip, at most (m)
_SQUEEZE = 0.003  # by which the gripper's target is less than the opening when it closes (m)
_HIGH = 0.06  # height above the table from which there is no more reward for height (m)
_LIFTED = 0.10  # height above the table from which a cube counts as lifted (m)
_FAR = 0.6  # distance from the goal at which its reward begins (m)


@dataclass(frozen=True, kw_only=True)
class FrankaLiftConfig(PandaConfig):
    """Settings of lifting a cube."""

    cube_x: tuple[float, float] = interval(0.4, 0.6)
    """Where the cube starts, from the robot forward (m)."""
    cube_y: tuple[float, float] = interval(-0.25, 0.25)
    """And to the left (m)."""
    cube_turn: float = number(np.pi / 4, least=0, most=np.pi)
    """Half-width of the cube's turns about the vertical (rad)."""
    cube_size: tuple[float, float] = interval(0.04, 0.04, above=0)
    """Range of the cube's edge, drawn per episode (m)."""
    cube_mass: tuple[float, float] = interval(0.064, 0.064, above=0)
    """Range of the cube's mass, drawn per episode (kg)."""
    cube_friction: tuple[float, float] = interval(1.0, 1.0, least=0)
    """Range of the cube's sliding friction, drawn per episode."""
    goal_x: tuple[float, float] = interval(0.4, 0.6)
    """Where the goal is, forward (m)."""
    goal_y: tuple[float, float] = interval(-0.25, 0.25)
    """And to the left (m)."""
    goal_z: tuple[float, float] = interval(0.25, 0.5)
    """And above the table (m)."""
    goal_distance: float = number(0.05, above=0)
    """Distance from the goal within which the cube is at the goal (m)."""
    reward_weights: Mapping[str, float] = weights(
        reach=0.2,
        close=0.1,
        table=-0.2,
        grasp=0.15,
        lift=0.3,
        approach=2.5,
        at_goal=1.0,
        action_rate=-0.002,
        joint_velocity=-0.002,
    )

    def __post_init__(self) -> None:
        """Check that the cube can be grasped and brought to the goal.

        Raises:
            FieldError: (a ValueError) a start or goal is out of reach, or the cube is too large.
        """
        super().__post_init__()
        if self.cube_size[1] >= 2 * OPEN:
            size, opens = self.cube_size[1], 2 * OPEN
            raise FieldError(
                "cube_size", f"cube_size: a cube of {size} m; the gripper opens to {opens} m"
            )
        low = (self.cube_size[0] / 2,) * 2
        for what, ranges in (
            ("cube", (self.cube_x, self.cube_y, low)),
            ("goal", (self.goal_x, self.goal_y, self.goal_z)),
        ):
            x, y, z = ranges
            nearest = min(max(0.0, y[0]), y[1])
            for place in product(x, (*y, nearest), z):
                if place[2] < low[0] or not in_reach(np.array(place)):
                    place = tuple(map(float, place))
                    raise FieldError(
                        f"{what}_x",
                        f"{what}_x, {what}_y: the {what} may be at {place} m, which is out of the "
                        "robot's reach",
                    )


LIFT = FrankaLiftConfig()


class FrankaLift(Panda):
    """Lift a cube to a goal.

    The module's docstring has the numbers.
    """

    config: FrankaLiftConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    model_file = Path(__file__).with_suffix(".xml")
    camera = "front"
    success_rule = SuccessRule("end", seconds=0.5)
    per_world = (
        "body_mass",
        "body_inertia",
        "geom_friction",
        "geom_size",
        "geom_rbound",
        "geom_aabb",
    )
    contacts = {
        "left_touch": ("left_pad", "cube"),
        "right_touch": ("right_pad", "cube"),
        "left_on_table": ("left_pad", "table"),
        "right_on_table": ("right_pad", "table"),
    }
    metrics = {
        "distance": Metric("m", "last", "distance of the cube from the goal"),
        "grasped": Metric("1", "max", "whether the cube was held", rate=True),
        "lifted": Metric("1", "max", "whether the cube was held 10 cm above the table", rate=True),
    }
    randomized: Mapping[str, Any] = {
        "cube_size": (0.036, 0.044),
        "cube_mass": (0.04, 0.12),
        "cube_friction": (0.5, 1.2),
        "randomization.gains": (0.9, 1.1),
        "randomization.damping": (0.8, 1.25),
        "randomization.action_delay": (0, 1),
    }
    changes = {
        **{f"cube of {100 * x:g} cm": {"cube_size": (x, x)} for x in (0.03, 0.036, 0.044, 0.05)},
        **{f"cube of {1000 * x:g} g": {"cube_mass": (x, x)} for x in (0.03, 0.1, 0.15, 0.2)},
        **{f"friction {x:g}": {"cube_friction": (x, x)} for x in (0.4, 0.6, 0.8, 1.2)},
        **{f"gains {x - 1:+.0%}": {"randomization.gains": (x, x)} for x in (0.8, 1.2)},
        **{f"damping {x - 1:+.0%}": {"randomization.damping": (x, x)} for x in (0.7, 1.3)},
        **{f"delay of {n} steps": {"randomization.action_delay": (n, n)} for n in (1, 2)},
    }

    def __init__(self, config: FrankaLiftConfig):
        """Compile the model and look up what the functions need.

        Raises:
            FieldError: (a ValueError) the friction is too little for the cube's weight.
        """
        super().__init__(config)
        self._body, self._geom = self.model.body("cube").id, self.model.geom("cube").id
        self._start = self.model.jnt_qposadr[self.model.joint("cube").id]
        friction = config.cube_friction[0] * config.randomization.friction[0]
        holds = friction * grip_force(self.model, config.cube_size[0] / 2)
        mass = config.cube_mass[1] * config.randomization.mass[1]
        weight = -float(self.model.opt.gravity[2]) * mass
        if holds <= weight:
            raise FieldError(
                "cube_friction",
                f"cube_friction: at {friction:g} the gripper holds {holds:.2g} N, and a cube of "
                f"{mass:g} kg weighs {weight:.2g} N",
            )

    def observation_channels(self) -> list[Channel]:
        """What the module's docstring lists."""
        return [
            *self.robot_channels(),
            Channel(
                "cube_in_hand",
                "m",
                3,
                lambda v: v.cached(self._cube_in_hand),
                mirror=self.hand_mirror,
            ),
            Channel("cube_turn", "1", 2, self._cube_turn, mirror=(1, -1)),
            Channel("cube_position", "m", 3, self._cube, mirror=VECTOR),
            Channel(
                "cube_velocity", "m/s", 3, lambda v: v.joint("cube").qvel[:, :3], mirror=VECTOR
            ),
            Channel("goal_from_cube", "m", 3, lambda v: v.goal - self._cube(v), mirror=VECTOR),
            Channel("touch", "1", 2, lambda v: v.cached(self._touch), privileged=True),
            Channel("cube_mass", "kg", 1, lambda v: v.body_mass[:, self._body], privileged=True),
            Channel("cube_friction", "1", 1, self._friction, privileged=True),
            Channel("cube_size", "m", 1, lambda v: 2 * self._half(v), privileged=True),
        ]

    def buffers(self) -> Mapping[str, Buffer]:
        """The robot's, and the goal (m)."""
        return {**super().buffers(), "goal": Buffer((3,))}

    def reset(self, v: View, rng: RowRandom) -> None:
        """A new cube, at rest on the table, and a new goal."""
        super().reset(v, rng)
        config = self.config
        half = 0.5 * rng.uniform(*config.cube_size)
        mass = rng.uniform(*config.cube_mass)
        v.body_mass[:, self._body] = mass
        v.body_inertia[:, self._body] = (mass * (2 / 3) * half**2)[:, None]
        v.geom_friction[:, self._geom, 0] = rng.uniform(*config.cube_friction)
        v.geom_size[:, self._geom] = half[:, None]
        v.geom_rbound[:, self._geom] = np.sqrt(3.0) * half
        v.geom_aabb[:, self._geom, 3:] = half[:, None]
        cube = v.joint("cube").qpos
        x, y = rng.uniform(*config.cube_x), rng.uniform(*config.cube_y)
        cube[:, :3] = np.stack([x, y, half], axis=1)
        cube[:, 3:] = rotations.from_yaw(rng.uniform(-config.cube_turn, config.cube_turn))
        low, high = np.transpose([config.goal_x, config.goal_y, config.goal_z])
        v.goal = rng.uniform(low, high, 3)

    def terminated(self, v: View) -> np.ndarray:
        """The cube has left the table."""
        x, y = self._cube(v)[:, :2].T
        inside_x = (x > _TABLE_X[0]) & (x < _TABLE_X[1])
        return ~(inside_x & (y > _TABLE_Y[0]) & (y < _TABLE_Y[1]))

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Every term, unweighted."""
        distance, to_goal = v.cached(self._distance), v.cached(self._to_goal)
        held = v.cached(self._held)
        down = np.clip(-self.hand(v)[:, 2, 2], 0.0, 1.0)
        lifted = held * np.clip(self._height(v) / _HIGH, 0.0, 1.0)
        near = self.config.goal_distance
        return {
            "reach": (1 - 0.5 * np.tanh(5 * distance) - 0.5 * np.tanh(25 * distance)) * down,
            "close": (distance < _BETWEEN_PADS) * (1 - v.ctrl[:, 7] / OPEN),
            "table": v.cached(self._on_table).astype(float),
            "grasp": held.astype(float),
            "lift": lifted,
            "approach": lifted * np.clip(1 - to_goal / _FAR, 0.0, 1.0),
            "at_goal": held * (to_goal < near) * (1 - 0.5 * to_goal / near),
            "action_rate": sum_of_squares(v.action - v.last_action),
            "joint_velocity": sum_of_squares(v.qvel[:, :7]),
        }

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Where the cube is, and whether it is held."""
        held = v.cached(self._held)
        return {
            "distance": v.cached(self._to_goal),
            "grasped": held.astype(float),
            "lifted": (held & (self._height(v) > _LIFTED)).astype(float),
        }

    def success(self, v: View) -> np.ndarray:
        """(n,) bool: the cube is at the goal."""
        return v.cached(self._to_goal) < self.config.goal_distance

    def draw(self, scene: Any, v: View) -> None:
        """The goal, as a ball in which the cube's middle has to be."""
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            int(mujoco.mjtGeom.mjGEOM_SPHERE),
            np.full(3, self.config.goal_distance),
            v.goal[0],
            np.eye(3).ravel(),
            np.array([0.2, 0.8, 0.35, 0.35], np.float32),
        )
        scene.ngeom += 1

    # Quantities.

    def _cube(self, v: View) -> np.ndarray:
        """(n, 3) place of the cube's middle (m)."""
        return v.joint("cube").qpos[:, :3]

    def _half(self, v: View) -> np.ndarray:
        """(n,) half of the cube's edge (m)."""
        return v.geom_size[:, self._geom, 0]

    def _friction(self, v: View) -> np.ndarray:
        return v.geom_friction[:, self._geom, 0]

    def _height(self, v: View) -> np.ndarray:
        """(n,) of the cube's middle above its place on the table (m)."""
        return self._cube(v)[:, 2] - self._half(v)

    def _cube_in_hand(self, v: View) -> np.ndarray:
        """(n, 3) the cube from the grip, in the hand's frame (m)."""
        return np.einsum("nij,ni->nj", self.hand(v), self._cube(v) - self.grip(v))

    def _cube_turn(self, v: View) -> np.ndarray:
        """(n, 2) cosine and sine of four times the cube's turn about the hand's axis.

        The fourth powers of the cube's axes, as complex numbers in the plane of the hand, add up to
        the same for all 24 poses of a cube that look alike.
        """
        axes = rotations.rotation_matrix(v.joint("cube").qpos[:, 3:])
        x, y = np.einsum("nik,nij->knj", self.hand(v)[:, :, :2], axes)
        turn = 0.5 * ((x + 1j * y) ** 4).sum(axis=1)
        return np.stack([turn.real, turn.imag], axis=1)

    def _distance(self, v: View) -> np.ndarray:
        """(n,) distance of the cube from the grip (m)."""
        return np.sqrt(sum_of_squares(v.cached(self._cube_in_hand)))

    def _to_goal(self, v: View) -> np.ndarray:
        """(n,) distance of the cube from the goal (m)."""
        return np.sqrt(sum_of_squares(v.goal - self._cube(v)))

    def _touch(self, v: View) -> np.ndarray:
        """(n, 2) bool: left and right pad touch the cube."""
        return np.stack([v.sensor(f"{side}_touch").any(axis=1) for side in ("left", "right")], 1)

    def _on_table(self, v: View) -> np.ndarray:
        """(n,) bool: a pad touches the table."""
        return (v.sensor("left_on_table") != 0).any(1) | (v.sensor("right_on_table") != 0).any(1)

    def _held(self, v: View) -> np.ndarray:
        """(n,) bool: as the module's docstring says."""
        between = v.cached(self._touch).all(axis=1) & (v.cached(self._distance) < _BETWEEN_PADS)
        closes = v.ctrl[:, 7] < self.gripper_opening(v) - _SQUEEZE
        return between & closes & ~v.cached(self._on_table)
