# SPDX-License-Identifier: Apache-2.0
"""Balls that roll across a course: free bodies, which the robot's parts may push.

They meet each other, the trunk, feet and shins of the robot, and the ground: all of it, or shapes
of their own that go with them (``scene``).
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.tasks.locomotion.robot import HOME, LeggedRobot
from motrix_gym.tasks.navigation.scene import MovingScene, Scene
from motrix_gym.view import View

_TOUCH = 0.01  # distance within which a ball counts as touched (m)
_RGBA = (0.85, 0.30, 0.25, 1.0)
_FRICTION = (0.8, 0.005, 0.0001)


@dataclass(frozen=True)
class Balls:
    """Balls in numbers.

    Attributes:
        x: where each starts, along x (m).
        spread: half-width of the starts around that, along x (m).
        y: where they start (m).
        radius: (m).
        mass: of a shell (kg).
        speed: lowest and highest, at the start, to either side (m/s).
        points: the competition's, for one that was touched.
    """

    x: tuple[float, ...]
    spread: float
    y: float
    radius: float
    mass: float
    speed: tuple[float, float]
    points: float

    @property
    def names(self) -> list[str]:
        """Of their bodies, joints and geoms."""
        return [f"ball{i}" for i in range(len(self.x))]

    def add(self, spec: mujoco.MjSpec, scene: Scene, robot: LeggedRobot, moving: bool) -> None:
        """Add them to a robot's model.

        Args:
            spec: the model.
            scene: the ground.
            robot: the robot.
            moving: whether they bring shapes of the ground with them.
        """
        inertia = self.mass * self.radius**2 * 2 / 3
        shins = [f"{foot}_shin" for foot in robot.feet]
        parts = [robot.trunk, *robot.feet, *shins]
        home = spec.key(HOME)
        for name, x in zip(self.names, self.x, strict=True):
            place = [x, self.y, self.radius]
            body = spec.worldbody.add_body(
                name=name, pos=place, mass=self.mass, ipos=[0, 0, 0], inertia=[inertia] * 3
            )
            body.explicitinertial = True
            body.add_freejoint(name=name)
            body.add_geom(
                name=name,
                size=[self.radius, 0, 0],
                mass=0,
                condim=3,
                contype=0,
                conaffinity=0 if moving else 1,
                priority=1,
                friction=_FRICTION,
                rgba=_RGBA,
            )
            for part in parts:
                spec.add_pair(name=f"{name}_{part}", geomname1=name, geomname2=part, condim=3)
            home.qpos = [*home.qpos, *place, 1, 0, 0, 0]
            parts.append(name)
        if moving:
            MovingScene.add(spec, scene, self.names, self.radius)


class RollingBalls:
    """Balls in a model, which ``Balls.add`` has prepared.

    Attributes:
        balls: the numbers.
        qpos: where each has its place in ``qpos``.
        qvel: where each has its velocity in ``qvel``.
    """

    def __init__(
        self, balls: Balls, scene: Scene, robot: LeggedRobot, model: mujoco.MjModel, moving: bool
    ):
        """Look up what the functions need; the arguments are those of ``Balls.add``."""
        self.balls, self._scene = balls, scene
        joints = [model.joint(name) for name in balls.names]
        self.qpos = [int(joint.qposadr[0]) for joint in joints]
        self.qvel = [int(joint.dofadr[0]) for joint in joints]
        self._ground = MovingScene(scene, model, balls.names, balls.radius) if moving else None
        trunk = model.geom(robot.trunk)
        self._trunk_middle, self._trunk_half = trunk.pos, trunk.size
        self._feet = [model.site(foot).id for foot in robot.feet]
        self._foot_radius = np.array([model.geom(foot).size[0] for foot in robot.feet])

    def start(self, v: View, rng: RowRandom) -> None:
        """Put them where they start, and let them roll to the left or to the right."""
        balls = self.balls
        for qpos, qvel, x in zip(self.qpos, self.qvel, balls.x, strict=True):
            v.qpos[:, qpos] = x + rng.uniform(-balls.spread, balls.spread)
            place = v.qpos[:, qpos : qpos + 2]
            v.qpos[:, qpos + 2] = self._scene.height(place) + balls.radius
            speed = rng.uniform(*balls.speed) * np.sign(rng.uniform(-1.0, 1.0))
            v.qvel[:, qvel], v.qvel[:, qvel + 4] = speed, speed / balls.radius
        self.place_ground(v)

    def place_ground(self, v: View) -> None:
        """Move the ground to where they are."""
        if self._ground is not None:
            places = [v.qpos[:, qpos : qpos + 2] for qpos in self.qpos]
            self._ground.place(v, np.stack(places, axis=1))

    def touch(self, v: View) -> np.ndarray:
        """(n,) bool: a foot or the trunk touches one of them."""
        touched, feet = np.zeros(v.n, bool), v.site_xpos[:, self._feet]
        for qpos in self.qpos:
            middle = v.qpos[:, qpos : qpos + 3]
            local = rotations.rotate_inverse(v.qpos[:, 3:7], middle - v.qpos[:, :3])
            away = np.maximum(abs(local - self._trunk_middle) - self._trunk_half, 0.0)
            foot = np.sqrt(sum_of_squares(feet - middle[:, None])) - self._foot_radius
            nearest = np.minimum(np.sqrt(sum_of_squares(away)), foot.min(axis=1))
            touched |= nearest < self.balls.radius + _TOUCH
        return touched

    def tops(self, v: View, places: np.ndarray) -> np.ndarray:
        """(n, k) float32 height (m) of the balls at ``places`` (n, k, 2), -inf beside them."""
        highest = np.full(places.shape[:2], -np.inf, np.float32)
        for qpos in self.qpos:
            middle = v.qpos[:, None, qpos : qpos + 3].astype(np.float32)
            rest = self.balls.radius**2 - sum_of_squares(places - middle[..., :2])
            top = middle[..., 2] + np.sqrt(np.maximum(rest, 0.0))
            np.maximum(highest, top, out=highest, where=rest > 0)
        return highest
