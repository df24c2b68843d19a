# SPDX-License-Identifier: Apache-2.0
"""Stairs: walk up out of a pit with steps, or down from a pyramid, ten rises each.

The task is ``rough``'s on tiles of stairs, with treads of 30 cm. The robot starts on the platform
in the middle of a tile, facing one of its four sides within ``start_heading``, and is asked to
walk forward. Nothing holds its heading: where it drifts, it crosses the steps at an angle.

Success, once in an episode: all four feet are beyond the last step, the robot has not fallen, and
no shin was inside of a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from motrix_gym.commands import VelocityCommands
from motrix_gym.random import RowRandom
from motrix_gym.settings import choice, interval, number, whole
from motrix_gym.success import SuccessRule
from motrix_gym.task import Buffer, Metric
from motrix_gym.tasks.locomotion.rough import RoughConfig, RoughTracking
from motrix_gym.terrain import CELL, RISES, TERRAINS, TILE_CELLS
from motrix_gym.view import View

_FIRST_EDGE = (TILE_CELLS / 2 - 2 - RISES + 1) * CELL  # of the platform, from a tile's middle (m)
_LAST_EDGE = _FIRST_EDGE + (RISES - 1) * CELL


@dataclass(frozen=True, kw_only=True)
class StairsConfig(RoughConfig):
    """Settings of stairs."""

    commands: VelocityCommands = VelocityCommands(
        forward=(0.4, 0.8), lateral=(0, 0), turn=(0, 0), standing_share=0.0, duration=(20.0, 20.0)
    )
    max_episode_steps: int | None = whole(750, least=1)
    terrain: str = choice("stairs", *TERRAINS)
    terrain_levels: int = whole(8, least=1, most=64)
    terrain_measure: tuple[float, float] | None = interval(0.08, 0.15, least=0)
    scan_forward: tuple[float, float] = interval(-0.4, 0.8)
    scan_sideways: float = number(0.3, least=0)
    start_heading: float = number(0.3, least=0, most=np.pi)
    """Half-width of the start's headings around the direction of a side (rad)."""


STAIRS = StairsConfig()
STAIRS_BLIND = replace(STAIRS, height_scan=False)


class Stairs(RoughTracking):
    """Cross a flight of stairs with a legged robot."""

    config: StairsConfig  # pyright: ignore[reportIncompatibleVariableOverride] (set once)
    success_rule = SuccessRule("once")
    metrics = {
        **RoughTracking.metrics,
        "flight": Metric("1", "max", "share of the flight that was crossed"),
        "shin_inside": Metric("1", "max", "whether a shin was inside of a step", rate=True),
    }

    def buffers(self) -> Mapping[str, Buffer]:
        """Those of ``rough``, and whether a shin was inside of a step."""
        return {**super().buffers(), "shin_was_inside": Buffer(dtype=np.bool_)}

    def _start_yaw(self, rng: RowRandom) -> np.ndarray:
        side, spread = rng.integers(0, 4), self.config.start_heading
        return side * (np.pi / 2) + rng.uniform(-spread, spread)

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Those of ``rough``, and what the stairs ask for."""
        share = (v.cached(self._way_out) - _FIRST_EDGE) / (_LAST_EDGE - _FIRST_EDGE)
        return super().measure(v) | {
            "flight": np.clip(share, 0.0, 1.0),
            "shin_inside": v.cached(self._shin_inside).astype(float),
        }

    def success(self, v: View) -> np.ndarray:
        """(n,) bool: beyond the last step, on the way there without a fall or a shin in a step."""
        v.shin_was_inside |= v.cached(self._shin_inside)
        crossed = v.cached(self._way_out) > _LAST_EDGE
        return crossed & ~v.shin_was_inside & ~self.terminated(v)

    def _way_out(self, v: View) -> np.ndarray:
        """(n,) distance of the last foot from the tile's middle, along x or y (m)."""
        middle = self.terrain.centre(*self._curriculum.tile(v))
        feet = v.site_xpos[:, self.foot_sites, :2] - middle[:, None]
        # Beyond the square of the last step, whatever side of it.
        return np.abs(feet).max(axis=2).min(axis=1)

    def _shin_inside(self, v: View) -> np.ndarray:
        """(n,) bool: a point of a shin's middle line is below the ground."""
        foot, middle = v.site_xpos[:, self.foot_sites], v.site_xpos[:, self._shin_sites]
        along = np.array([0.4, 1.0, 1.6])[:, None]  # from the foot; 2 is the knee
        points = foot[:, :, None] + along * (middle - foot)[:, :, None]
        return (points[..., 2] < self.terrain.height(points[..., :2])).max(axis=(1, 2))
