# SPDX-License-Identifier: Apache-2.0
"""The ground of a terrain as a robot's model meets it, in two ways.

Moving ground: each part of the robot that may touch the ground has a plane and three boxes of its
own, which are moved to it before each control step. They stand for the four blocks that meet at
the corner next to the part: the plane has the height of the lowest, and each box the place and
the height of another one. All other blocks are at least 0.15 m away along x or y, further than a
part moves in a control step. So contacts are those of the whole terrain, at about the cost of flat
ground. On a smooth surface the plane is tangent to it.

Static ground: the whole terrain as boxes and a height field. It is slower. It shows the terrain in
pictures, and the moving ground is checked against it.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import mujoco
import numpy as np

from motrix_gym.terrain import CELL, TILE, Terrain
from motrix_gym.view import View

_BOXES = 3  # of a part, beside its plane
_HALF = 0.5  # half of a box's side (m): more than a part can move in a control step
_FAR_BELOW = -100.0  # where a box lies that is not needed (m)
FRICTION = (0.6, 0.005, 0.0001)
_UNDERGROUND = 1.0  # how deep static ground goes below its lowest place (m)
_SURROUNDINGS = 20.0  # width of the level ground around the field (m)
_BLOCK_RGBA = ((0.52, 0.50, 0.47, 1.0), (0.43, 0.42, 0.40, 1.0))  # in turn, to show the steps
SURFACE_RGBA = (0.45, 0.50, 0.42, 1.0)


class MovingGround:
    """Ground that goes with some geoms of a robot.

    Attributes:
        per_world: the model fields that ``place`` writes.
    """

    def __init__(self, terrain: Terrain, model: mujoco.MjModel, parts: Sequence[str]):
        """Look up what is to be moved.

        Args:
            terrain: the terrain.
            model: a model that ``add`` has prepared.
            parts: names of the geoms that it has prepared.
        """
        self._terrain = terrain
        self._geoms = [model.geom(part).id for part in parts]
        self._first = model.geom(_name(0, 0)).id
        names = [_name(part, index) for part in range(len(parts)) for index in range(1 + _BOXES)]
        self._pairs = [model.pair(name).id for name in names]
        self._geom_of_pair = np.repeat(self._geoms, 1 + _BOXES)
        turned = () if terrain.smooth is None else ("geom_quat",)
        self.per_world = ("geom_friction", "geom_pos", "pair_friction", *turned)

    @staticmethod
    def add(spec: mujoco.MjSpec, terrain: Terrain, parts: Sequence[str]) -> None:
        """Add a plane and three boxes for each of some geoms, which meet nothing else from now on.

        Args:
            spec: the robot's model; the midphase of collisions is switched off, since its bounding
                volumes do not follow moved geoms.
            terrain: the terrain.
            parts: names of the geoms.
        """
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
        turns = terrain.smooth is not None
        for number, part in enumerate(parts):
            geom = spec.geom(part)
            geom.contype = geom.conaffinity = 0
            for index in range(1 + _BOXES):
                plane, name = index == 0, _name(number, index)
                # Of a geom compiled at 0, or upright, MuJoCo never reads place, or turn, again.
                add_shape_for(
                    spec,
                    part,
                    name,
                    type=mujoco.mjtGeom.mjGEOM_PLANE if plane else mujoco.mjtGeom.mjGEOM_BOX,
                    size=[0, 0, 1] if plane else [_HALF] * 3,
                    pos=[0, 0, 0.01 if plane else _FAR_BELOW],
                    quat=[1, 0.01, 0, 0] if plane and turns else [1, 0, 0, 0],
                )

    def place(self, v: View, places: np.ndarray) -> None:
        """Move the ground to the parts, and give its contacts the parts' sliding friction.

        Args:
            v: the view whose model fields are written.
            places: (n, parts, 2) where the parts are (m).
        """
        slide = v.geom_friction[:, self._geom_of_pair, 0]
        v.pair_friction[:, self._pairs, 0] = v.pair_friction[:, self._pairs, 1] = slide
        terrain = self._terrain
        corner, around = terrain.corner(places)
        lowest = around.argmin(-1)
        rows, across = np.arange(v.n)[:, None], np.arange(len(self._geoms))

        def height(other: int) -> np.ndarray:
            return around[rows, across, lowest ^ other]

        # From the lowest block: its neighbours along x and y, and the one opposite.
        base, along_x, along_y, opposite = (height(other) for other in (0, 2, 1, 3))
        x, y = corner[..., 0], corner[..., 1]
        to_x = np.where(lowest & 2, _HALF, -_HALF)  # from the corner to the lowest block
        to_y = np.where(lowest & 1, _HALF, -_HALF)
        last = self._first + len(self._geoms) * (1 + _BOXES)
        plane, box_x, box_y, box_both = (
            v.geom_pos[:, self._first + index : last : 1 + _BOXES] for index in range(1 + _BOXES)
        )
        surface: np.ndarray | float = 0.0
        if terrain.smooth is not None:
            surface, normal = terrain.surface(places)
            v.geom_quat[:, self._first : last : 1 + _BOXES] = tilt(normal)
        plane[..., :2] = places
        plane[..., 2] = base + surface
        # Beside the lowest, a box reaches under an opposite block that is as high or higher, so
        # that no edge lies between two that are level.
        box_x[..., 0] = x - to_x
        box_x[..., 1] = np.where(opposite >= along_x, y, y + to_y)
        box_x[..., 2] = _middle(along_x + surface, along_x > base)
        box_y[..., 0] = np.where(opposite >= along_y, x, x + to_x)
        box_y[..., 1] = y - to_y
        box_y[..., 2] = _middle(along_y + surface, along_y > base)
        box_both[..., 0] = x - to_x
        box_both[..., 1] = y - to_y
        alone = (opposite > base) & (opposite != along_x) & (opposite != along_y)
        box_both[..., 2] = _middle(opposite + surface, alone)


def add_shape_for(spec: mujoco.MjSpec, part: str, name: str, **shape: Any) -> None:
    """Add a shape that one geom alone meets, with that geom's softness of contacts.

    Args:
        spec: the model.
        part: the geom's name.
        name: of the shape, and of its pair with the geom.
        **shape: its type, size, place and turn, as ``MjsBody.add_geom`` has them.
    """
    spec.worldbody.add_geom(name=name, contype=0, conaffinity=0, group=4, **shape)
    geom = spec.geom(part)
    # Pairs that are named cost less than a search for those that may touch.
    spec.add_pair(
        name=name,
        geomname1=name,
        geomname2=part,
        condim=3,
        solref=geom.solref,
        solimp=geom.solimp,
    )


def _name(part: int, index: int) -> str:
    return f"ground{part}_{'plane' if index == 0 else f'box{index}'}"


def _middle(height: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """z of the middle (m) of boxes with the top at a height; of those not needed, far below."""
    return np.where(needed, height - _HALF, _FAR_BELOW)


def tilt(normal: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions of the shortest turn from z to ``normal`` (..., 3), unit, z > 0."""
    x, y, z = np.moveaxis(normal, -1, 0)
    quat = np.stack([1.0 + z, -y, x, np.zeros_like(z)], axis=-1)
    return quat / np.sqrt(np.square(quat).sum(-1, keepdims=True))


def add_static(spec: mujoco.MjSpec, terrain: Terrain, parts: Iterable[str]) -> None:
    """Add a whole terrain to a model: boxes, and a height field for each tile that is smooth.

    Around the field lies level ground at height 0.

    Args:
        spec: the robot's model.
        terrain: the terrain.
        parts: names of the geoms that meet it.
    """
    for part in parts:
        geom = spec.geom(part)
        geom.contype, geom.conaffinity = 0, 1
    add = partial(spec.worldbody.add_geom, contype=1, conaffinity=0, condim=3, friction=FRICTION)
    box = partial(add, type=mujoco.mjtGeom.mjGEOM_BOX)
    bottom = min(terrain.blocks.min(), 0.0) - _UNDERGROUND
    for x, y, width, depth in _surroundings(*terrain.size):
        size = [width / 2, depth / 2, -bottom / 2]
        box(size=size, pos=[x, y, bottom / 2], rgba=_BLOCK_RGBA[0])
    for level, column in np.ndindex(terrain.levels, terrain.columns):
        middle = terrain.centre(np.array(level), np.array(column))
        nodes = terrain.tile_nodes(level, column)
        if nodes is not None:
            low, high = nodes.min(), nodes.max()
            name = f"terrain{level}_{column}"
            # MuJoCo's rows run along y.
            data = ((nodes - low) / (high - low)).T.ravel()
            size = [TILE / 2, TILE / 2, high - low, _UNDERGROUND]
            spec.add_hfield(name=name, size=size, nrow=len(nodes), ncol=len(nodes), userdata=data)
            kind = mujoco.mjtGeom.mjGEOM_HFIELD
            add(type=kind, hfieldname=name, pos=[*middle, low], rgba=SURFACE_RGBA)
            continue
        corner = middle - TILE / 2
        blocks = terrain.tile_blocks(level, column)
        heights = np.unique(blocks)
        for i, j, rows, columns, height in rectangles(blocks):
            half = (height - bottom) / 2
            place = corner + np.array([i + rows / 2, j + columns / 2]) * CELL
            size, pos = [rows * CELL / 2, columns * CELL / 2, half], [*place, height - half]
            box(size=size, pos=pos, rgba=_BLOCK_RGBA[np.searchsorted(heights, height) % 2])


def _surroundings(width: float, depth: float) -> list[tuple[float, float, float, float]]:
    """Four rectangles (middle x, y, extent along x, y) around a field (m)."""
    out = _SURROUNDINGS
    return [
        (-out / 2, depth / 2, out, depth + 2 * out),
        (width + out / 2, depth / 2, out, depth + 2 * out),
        (width / 2, -out / 2, width, out),
        (width / 2, depth + out / 2, width, out),
    ]


def rectangles(blocks: np.ndarray) -> list[tuple[int, int, int, int, float]]:
    """Rectangles (first row, first column, rows, columns, height) that tile a field of blocks.

    Neighbours of equal height are joined, first along columns, then along rows.
    """
    left = np.ones(blocks.shape, bool)
    found: list[tuple[int, int, int, int, float]] = []
    for i, j in np.ndindex(blocks.shape):
        if not left[i, j]:
            continue
        height = blocks[i, j]
        same = left[i, j:] & (blocks[i, j:] == height)
        columns = len(same) if same.all() else int(same.argmin())
        strip = (left[i:, j : j + columns] & (blocks[i:, j : j + columns] == height)).all(axis=1)
        rows = len(strip) if strip.all() else int(strip.argmin())
        left[i : i + rows, j : j + columns] = False
        found.append((i, j, rows, columns, float(height)))
    return found
