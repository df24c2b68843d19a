# SPDX-License-Identifier: Apache-2.0
"""Velocity tracking on rough ground: slopes, bumps, obstacles, stairs.

The task is ``velocity``'s. The ground is a field of tiles (``motrix_gym.terrain``); an episode
starts in the middle of one. What is different:

- the observation ends with a height scan: the heights of the ground at points around the robot,
  turned with its heading, relative to where the ground would be if it stood on level ground (m).
  Without ``height_scan`` the scan is a privileged channel: a value function may see it, a policy
  does not;
- heights in rewards are those above the ground beneath;
- the episode terminates when the base tilts too far, or the trunk touches the ground.

Levels and kinds of ground are drawn evenly. In a training, the setting ``curriculum`` lets the
level rise with success instead (the module ``curriculum``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from motrix_gym import rotations, terrain
from motrix_gym.commands import VelocityCommands
from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import choice, flag, interval, number, weights, whole
from motrix_gym.symmetry import Reflection
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.locomotion import terms
from motrix_gym.tasks.locomotion.curriculum import Curriculum
from motrix_gym.tasks.locomotion.ground import MovingGround, add_static
from motrix_gym.tasks.locomotion.robot import LeggedRobot, at_home
from motrix_gym.tasks.locomotion.velocity import FLAT, VelocityConfig, VelocityTracking
from motrix_gym.view import View


@dataclass(frozen=True, kw_only=True)
class RoughConfig(VelocityConfig):
    """Settings of velocity tracking on rough ground."""

    commands: VelocityCommands = VelocityCommands(
        forward=(-0.8, 1.0), lateral=(-0.4, 0.4), turn=(-0.8, 0.8)
    )
    terrain: str = choice("rough", *terrain.TERRAINS)
    """The kinds of ground of the field."""
    terrain_levels: int = whole(10, least=1, most=64)
    """Levels of difficulty, from the lowest to the highest measure of each kind."""
    terrain_measure: tuple[float, float] | None = interval(None, None, least=0)
    """Measure of the ground at the easiest and at the hardest level (m, or rad for slopes), for
    all kinds; None is each kind's own range."""
    terrain_seed: int = whole(1000, least=0)
    """Seed of the ground. Trainings use others than evaluations."""
    curriculum: bool = flag(False)
    """Whether the level follows success, instead of being drawn evenly."""
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
    start_spread: float = number(0.4, least=0, most=0.7)
    """Half-width of the start's places around the middle of a tile, along x and y (m)."""
    reward_weights: Mapping[str, float] = weights(
        **{
            **FLAT.reward_weights,
            "gait": 0.6,
            "vertical_velocity": -0.5,
            "roll_pitch_rate": -0.03,
            "orientation": -1.0,
            "base_height": -8.0,
            "pose": -0.05,
            "torque": -1e-4,
        }
    )


ROUGH = RoughConfig()

# Where a swinging foot has to clear the ground, from the foot, along the direction of motion (m).
_AHEAD = np.array([-0.03, 0.0, 0.14])
_HIGH = 0.02  # a sole that touches something this high above the ground below hit a wall (m)


class RoughTracking(VelocityTracking):
    """Track velocity commands on rough ground with a legged robot.

    Attributes:
        terrain: the field.
    """

    config: RoughConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    metrics = {
        **VelocityTracking.metrics,
        "level": Metric("1", "last", "level of the tile on which the episode began"),
        "kind": Metric("1", "last", "kind of ground of that tile"),
        "measure": Metric("m or rad", "last", "measure of that tile: rise, height or slope"),
        "progress": Metric("1", "last", "distance walked over the distance asked for"),
        "stumble": Metric("1", "mean", "share of steps with a foot against a wall"),
    }
    without_constants = ("geom_pos", "geom_quat")

    def __init__(self, config: RoughConfig, robot: LeggedRobot):
        """Generate the terrain, compile the model, and look up what the functions need.

        Raises:
            ValueError: if the robot or the terrain cannot work, saying why.
        """
        self.terrain = terrain.generate(
            config.terrain,
            config.terrain_levels,
            config.terrain_seed,
            config.terrain_measure and tuple(config.terrain_measure),
        )
        super().__init__(config, robot)
        model = self.model
        shins = [f"{foot}_shin" for foot in robot.feet]
        self._shin_sites = [model.site(shin).id for shin in shins]
        words = tuple(kind.name for kind in self.terrain.kinds)
        self.metrics = {**self.metrics, "kind": replace(self.metrics["kind"], words=words)}
        self._ground = None
        if config.ground == "moving":
            self._ground = MovingGround(self.terrain, model, [*robot.feet, *shins])
            self.per_world = self._ground.per_world
        self._curriculum = Curriculum(self.terrain.levels, self.terrain.columns, config.curriculum)
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
        parts = [*self.robot.feet, *shins]
        if self.config.ground == "moving":
            trunk.contype = trunk.conaffinity = 0  # the episode ends where it would touch
            MovingGround.add(spec, self.terrain, parts)
        else:
            spec.delete(floor)
            add_static(spec, self.terrain, [*parts, self.robot.trunk])
        return self.robot.checked(spec.compile())

    def observation_channels(self) -> list[Channel]:
        """What ``velocity`` lists, and the height scan."""
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

    def buffers(self) -> Mapping[str, Buffer]:
        """Those of ``velocity``, of the curriculum, and distances (m)."""
        distances = {"total_asked": Buffer(), "total_walked": Buffer()}
        return {**super().buffers(), **self._curriculum.buffers(), **distances}

    def reset(self, v: View, rng: RowRandom) -> None:
        """As on flat ground, but in the middle of a tile, above what is highest beneath."""
        super().reset(v, rng)
        level, kind = self._curriculum.start(v, rng)
        spread = self.config.start_spread
        v.qpos[:, :2] = self.terrain.centre(level, kind) + rng.uniform(-spread, spread, 2)
        v.qpos[:, 3:7] = rotations.from_yaw(self._start_yaw(rng))
        parts = self._turned(v, self._parts_at_home)
        feet = parts[:, : len(self.robot.feet)]
        v.qpos[:, 2] = self.stand_height + self.terrain.height(feet).max(axis=1)
        if self._ground is not None:
            self._ground.place(v, parts)

    def _start_yaw(self, rng: RowRandom) -> np.ndarray:
        """(n,) headings at the start (rad)."""
        return rng.uniform(-np.pi, np.pi)

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

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Tracking errors, falls, the tile and the progress."""
        high = v.cached(self._soles) > _HIGH
        return super().measure(v) | {
            "level": v.level,
            "kind": v.kind,
            "measure": self.terrain.measures[self._curriculum.tile(v)],
            "progress": v.total_walked / np.maximum(v.total_asked, 1e-6),
            "stumble": (v.cached(self._contact) & high).any(axis=1).astype(float),
        }

    def advance(self, v: View, rng: RowRandom) -> None:
        """As on flat ground; add up the distances, anew for each command."""
        speed = np.sqrt(sum_of_squares(v.command[:, :2]))
        along = (v.cached(self._linear_velocity)[:, :2] * v.command[:, :2]).sum(axis=1)
        asked, walked = speed * self.dt, along / np.maximum(speed, 1e-6) * self.dt
        v.total_asked += asked
        v.total_walked += walked
        v.asked += asked
        v.walked += walked
        v.fell = self.terminated(v)
        last = v.command_time.copy()
        super().advance(v, rng)
        new = v.command_time > last
        v.asked[new] = v.walked[new] = 0.0

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

    def build_picture_model(self) -> mujoco.MjModel:
        """The robot on the whole terrain."""
        spec, _ = self.robot.with_shins()
        spec.delete(spec.geom("floor"))
        add_static(spec, self.terrain, [])
        return spec.compile()

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


def _scan_grid(config: RoughConfig) -> np.ndarray:
    """(rows, columns, 2) float32 points of the scan, in the heading's frame (m).

    Rows lead forward, and each from right to left.
    """
    low, high = config.scan_forward
    spacing, side = config.scan_spacing, config.scan_sideways
    forward = np.linspace(low, high, max(1, round((high - low) / spacing) + 1))
    sideways = np.linspace(-side, side, max(1, round(2 * side / spacing) + 1))
    return np.stack(np.meshgrid(forward, sideways, indexing="ij"), axis=-1).astype(np.float32)
