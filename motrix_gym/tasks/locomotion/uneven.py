# SPDX-License-Identifier: Apache-2.0
"""What tasks of legged robots on uneven ground share; the base of ``rough`` and of a course.

What is different from flat ground:

- the observation ends with a height scan: the heights of the ground at points around the robot,
  turned with its heading, relative to where the ground would be if it stood on level ground (m).
  Without ``height_scan`` the scan is a privileged channel: a value function may see it, a policy
  does not;
- heights in rewards are those above the ground beneath;
- the episode terminates when the base tilts too far, or the trunk touches the ground.
"""

from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.observation import Channel
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import choice, flag, interval, number, whole
from motrix_gym.symmetry import Reflection
from motrix_gym.tasks.locomotion import terms
from motrix_gym.tasks.locomotion.legged import LeggedConfig, LeggedTask
from motrix_gym.tasks.locomotion.robot import LeggedRobot, at_home
from motrix_gym.view import View


@dataclass(frozen=True, kw_only=True)
class UnevenConfig(LeggedConfig):
    """Settings of all tasks on uneven ground."""

    ground: str = choice("moving", "moving", "static")
    """How the ground is simulated: "static" is the whole field at once, slower, to check with."""
    height_scan: bool = flag(True)
    """Whether a policy sees the height scan; if not, it is a privileged channel."""
    scan_forward: tuple[float, float] = interval(-0.8, 0.8)
    """Where the scan begins and ends, from the base, along its heading (m)."""
    scan_sideways: float = number(0.5, least=0)
    """How far the scan reaches to the left and to the right (m)."""
    scan_spacing: float = number(0.1, least=0.02)
    """Distance between neighbouring points of the scan (m)."""
    scan_noise: float = number(0.02, least=0)
    """Half-width of the scan's noise (m)."""
    scan_delay: int = whole(0, least=0, most=50)
    """Steps by which the scan is old."""
    swing_band: float = number(0.06, least=0)
    """How much higher than ``swing_height`` a foot may swing (m)."""


class Heights(Protocol):
    """The height of the ground at every place."""

    def height(self, places: np.ndarray) -> np.ndarray:
        """(...) height (m) at ``places`` (..., 2)."""
        ...

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """(...) float32 height (m) of a sample next to ``places`` (..., 2): fast."""
        ...


class Mover(Protocol):
    """Ground that goes with the robot's parts."""

    @property
    def per_world(self) -> tuple[str, ...]:
        """The model fields that ``place`` writes."""
        ...

    def place(self, v: View, places: np.ndarray) -> None:
        """Move it to ``places`` (n, parts, 2) (m), and give its contacts the parts' friction."""
        ...


# Where a swinging foot has to clear the ground, from the foot, along the direction of motion (m).
_AHEAD = np.array([-0.03, 0.0, 0.14])


class UnevenGround(LeggedTask):
    """A task of a legged robot on uneven ground.

    A subclass sets ``terrain`` before it calls ``__init__``, and says with ``_add_ground`` and
    ``_mover`` what is simulated.

    Attributes:
        terrain: the heights.
    """

    config: UnevenConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    terrain: Heights
    without_constants = ("geom_pos", "geom_quat")

    def __init__(self, config: UnevenConfig, robot: LeggedRobot):
        """Compile the model, and look up what the functions need.

        Raises:
            ValueError: if the robot or the terrain cannot work, saying why.
        """
        super().__init__(config, robot)
        model = self.model
        shins = [f"{foot}_shin" for foot in robot.feet]
        self._shin_sites = [model.site(shin).id for shin in shins]
        self._ground = None
        if config.ground == "moving":
            self._ground = self._mover(model, [*robot.feet, *shins])
            self.per_world = self._ground.per_world
        data = at_home(model)
        sites = [*self.foot_sites, *self._shin_sites]
        self._parts_at_home = data.site_xpos[sites, :2] - data.qpos[:2]
        reach = 1.5 * float(abs(self._parts_at_home[: len(robot.feet), 0]).max())
        along = np.linspace(-reach, reach, 5)
        self._along = np.stack([along, np.zeros(5)], axis=1)  # points beneath the robot (m)
        self._trunk_points = _bottom(model, robot.trunk)
        scan = _scan_grid(config)
        self._scan_shape, self._scan_points = scan.shape[:2], scan.reshape(-1, 2)

    def build_model(self) -> mujoco.MjModel:
        """The robot's, with shins that meet the ground, and the ground."""
        spec, shins = self.robot.with_shins()
        floor, trunk = spec.geom("floor"), spec.geom(self.robot.trunk)
        floor.contype = floor.conaffinity = 0
        moving, parts = self.config.ground == "moving", [*self.robot.feet, *shins]
        if moving:
            trunk.contype = trunk.conaffinity = 0  # the episode ends where it would touch
        else:
            spec.delete(floor)
            parts.append(self.robot.trunk)
        self._add_ground(spec, parts, moving)
        return self.robot.checked(spec.compile())

    def build_picture_model(self) -> mujoco.MjModel:
        """The robot on the whole terrain."""
        spec, _ = self.robot.with_shins()
        spec.delete(spec.geom("floor"))
        self._add_ground(spec, [], moving=False)
        return spec.compile()

    def _add_ground(self, spec: mujoco.MjSpec, parts: list[str], moving: bool) -> None:
        """Add the ground that the geoms ``parts`` meet: for ``_mover``, or all of it."""
        raise NotImplementedError

    def _mover(self, model: mujoco.MjModel, parts: list[str]) -> Mover:
        """What moves the ground that ``_add_ground`` has added for the geoms ``parts``."""
        raise NotImplementedError

    def observation_channels(self) -> list[Channel]:
        """What the task on flat ground lists, and the height scan."""
        config, points = self.config, len(self._scan_points)
        image = np.arange(points).reshape(self._scan_shape)[:, ::-1].ravel()
        scan = Channel(
            "height_scan",
            "m",
            points,
            self._scan,
            noise=config.scan_noise,
            delay=config.scan_delay,
            mirror=self._joint_mirror and Reflection(tuple(map(int, image)), (1.0,) * points),
            privileged=not config.height_scan,
        )
        return [*super().observation_channels(), scan]

    def _stand(self, v: View) -> None:
        """Lift the view's rows to where they stand above what is highest beneath their feet."""
        parts = self._turned(v, self._parts_at_home)
        feet = parts[:, : len(self.robot.feet)]
        v.qpos[:, 2] = self.stand_height + self.terrain.height(feet).max(axis=1)
        if self._ground is not None:
            self._ground.place(v, parts)

    def act(self, v: View, action: np.ndarray) -> None:
        """As on flat ground; the ground moves to where the legs are."""
        super().act(v, action)
        if self._ground is not None:
            self._ground.place(v, v.site_xpos[:, [*self.foot_sites, *self._shin_sites], :2])

    def terminated(self, v: View) -> np.ndarray:
        """Fallen: tilted beyond ``max_tilt``, or the trunk touches the ground."""
        return super().terminated(v) | v.cached(self._trunk_touches)

    def _trunk_touches(self, v: View) -> np.ndarray:
        """(n,) bool: a point of the trunk's underside is below the ground."""
        points = rotations.rotate(v.qpos[:, None, 3:7], self._trunk_points) + v.qpos[:, None, :3]
        return (points[..., 2] < self.terrain.height(points[..., :2])).max(axis=1)

    def _soles(self, v: View) -> np.ndarray:
        feet = v.site_xpos[:, self.foot_sites]
        return super()._soles(v) - self.terrain.height(feet[:, :, :2])

    def _swing_height_error(self, v: View, swing: np.ndarray) -> np.ndarray:
        """As on flat ground, above what is highest from just behind to a step ahead of the foot."""
        command = v.command[:, :2]
        way = command / np.maximum(np.sqrt(sum_of_squares(command)), 0.1)[:, None]
        step = self._turned(v, way[:, None], origin=False)[:, 0]
        feet = v.site_xpos[:, self.foot_sites]
        crossed = feet[:, :, None, :2] + _AHEAD[:, None] * step[:, None, None]
        clearance = super()._soles(v) - self.terrain.nearest(crossed).max(axis=2)
        config = self.config
        return terms.swing_clearance(clearance, swing, config.swing_height, config.swing_band)

    def _base_height(self, v: View) -> np.ndarray:
        below = self._turned(v, self._along)
        return super()._base_height(v) - self.terrain.nearest(below).mean(axis=1)

    def _turned(self, v: View, points: np.ndarray, origin: bool = True) -> np.ndarray:
        """(n, k, 2) places in the world of points (k, 2) or (n, k, 2) in the heading's frame."""
        # As complex numbers x + iy, which a product turns.
        kind = np.result_type(points.dtype, np.complex64)
        places = points.view(kind)[..., 0] * v.cached(_heading).astype(kind)[:, None]
        if origin:
            places += (v.qpos[:, 0] + 1j * v.qpos[:, 1]).astype(kind)[:, None]
        return places[..., None].view(points.dtype)

    def _scan(self, v: View) -> np.ndarray:
        """(n, points) heights of the ground around the base (m)."""
        heights = self.terrain.nearest(self._turned(v, self._scan_points))
        heights -= (v.qpos[:, 2:3] - self.stand_height).astype(np.float32)
        return np.clip(heights, -1.0, 1.0, out=heights)


def _heading(v: View) -> np.ndarray:
    """(n,) complex: the direction of the base's heading, as cosine + i sine."""
    yaw = rotations.yaw(v.qpos[:, 3:7])
    return np.cos(yaw) + 1j * np.sin(yaw)


def _bottom(model: mujoco.MjModel, trunk: str) -> np.ndarray:
    """(k, 3) points of the trunk's underside, in the base's frame (m)."""
    geom = model.geom(trunk)
    middle, half = model.geom_aabb[geom.id].reshape(2, 3)
    x, y = np.meshgrid(np.linspace(-1, 1, 4), [-1.0, 1.0])
    corners = np.stack([x.ravel(), y.ravel(), np.full(x.size, -1.0)], axis=1)
    return geom.pos + rotations.rotate(geom.quat, middle + half * corners)


def _scan_grid(config: UnevenConfig) -> np.ndarray:
    """(rows, columns, 2) float32 points of the scan, in the heading's frame (m).

    Rows lead forward, and each from right to left.
    """
    low, high = config.scan_forward
    spacing, side = config.scan_spacing, config.scan_sideways
    forward = np.linspace(low, high, max(1, round((high - low) / spacing) + 1))
    sideways = np.linspace(-side, side, max(1, round(2 * side / spacing) + 1))
    return np.stack(np.meshgrid(forward, sideways, indexing="ij"), axis=-1).astype(np.float32)
