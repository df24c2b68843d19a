# SPDX-License-Identifier: Apache-2.0
"""Velocity tracking on rough ground: slopes, bumps, obstacles, stairs.

The task is ``velocity``'s on ``uneven`` ground: a field of tiles (``motrix_gym.terrain``). An
episode starts in the middle of one. The observation ends with a height scan.

Levels and kinds of ground are drawn evenly. In a training, the setting ``curriculum`` lets the
level rise with success instead (the module ``curriculum``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from motrix_gym import rotations, terrain
from motrix_gym.commands import Choice, VelocityCommands
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import choice, flag, interval, number, weights, whole
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.locomotion.curriculum import Curriculum
from motrix_gym.tasks.locomotion.ground import MovingGround, add_static
from motrix_gym.tasks.locomotion.robot import LeggedRobot
from motrix_gym.tasks.locomotion.uneven import UnevenConfig, UnevenGround
from motrix_gym.tasks.locomotion.velocity import FLAT, VelocityConfig, VelocityTracking
from motrix_gym.terrain import Terrain
from motrix_gym.view import View


@dataclass(frozen=True, kw_only=True)
class RoughConfig(UnevenConfig, VelocityConfig):
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

_HIGH = 0.02  # a sole that touches something this high above the ground below hit a wall (m)


class RoughTracking(UnevenGround, VelocityTracking):
    """Track velocity commands on rough ground with a legged robot.

    Attributes:
        terrain: the field.
    """

    config: RoughConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    terrain: Terrain
    metrics = {
        **VelocityTracking.metrics,
        "level": Metric("1", "last", "level of the tile on which the episode began"),
        "kind": Metric("1", "last", "kind of ground of that tile"),
        "measure": Metric("m or rad", "last", "measure of that tile: rise, height or slope"),
        "progress": Metric("1", "last", "distance walked over the distance asked for"),
        "stumble": Metric("1", "mean", "share of steps with a foot against a wall"),
    }

    def __init__(self, config: RoughConfig, robot: LeggedRobot):
        """Generate the terrain, compile the model, and look up what the functions need.

        Raises:
            ValueError: if the robot or the terrain cannot work, saying why.
        """
        self.terrain = terrain.generate(  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
            config.terrain,
            config.terrain_levels,
            config.terrain_seed,
            config.terrain_measure and tuple(config.terrain_measure),
        )
        super().__init__(config, robot)
        words = tuple(kind.name for kind in self.terrain.kinds)
        self.metrics = {**self.metrics, "kind": replace(self.metrics["kind"], words=words)}
        tiles = self._level_choice(), Choice("kind of ground", words)
        self.choices = [choice for choice in tiles if len(set(choice.options)) > 1]
        self._curriculum = Curriculum(*tiles, config.curriculum)

    def _level_choice(self) -> Choice:
        """The levels, by their measure if all kinds of ground have the same, else by number."""
        measures, meanings = self.terrain.measures, {kind.meaning for kind in self.terrain.kinds}
        if len(meanings) == 1 and (measures == measures[:, :1]).all():
            return Choice(meanings.pop(), tuple(f"{measure:.3g}" for measure in measures[:, 0]))
        return Choice("level", tuple(str(level + 1) for level in range(self.terrain.levels)))

    def _add_ground(self, spec: mujoco.MjSpec, parts: list[str], moving: bool) -> None:
        (MovingGround.add if moving else add_static)(spec, self.terrain, parts)

    def _mover(self, model: mujoco.MjModel, parts: list[str]) -> MovingGround:
        return MovingGround(self.terrain, model, parts)

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
        self._stand(v)

    def _start_yaw(self, rng: RowRandom) -> np.ndarray:
        """(n,) headings at the start (rad)."""
        return rng.uniform(-np.pi, np.pi)

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
