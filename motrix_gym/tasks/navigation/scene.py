# SPDX-License-Identifier: Apache-2.0
"""A course's ground: boxes, spheres and a field of bumps, as a robot's model meets it in two ways.

Static ground is all of it. Moving ground gives each part of the robot that may touch it copies of
the few shapes within reach, and a plane that is tangent to the bumps beneath; before each control
step these are moved to the part. So contacts are those of the whole scene, while a scene of a
hundred boxes costs as much as one of five.

The heights of the ground are read from an array, without physics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import mujoco
import numpy as np

from motrix_gym.tasks.locomotion.ground import FRICTION, SURFACE_RGBA, add_shape_for, tilt
from motrix_gym.terrain import tangent
from motrix_gym.view import View

VOID = -2.0
"""Height that is read where there is no ground (m)."""

_CELL = 0.1  # side of the squares that know which shapes are within reach (m)
_MOTION = 0.1  # that a part makes in a control step, at most (m)
_SAMPLE = 0.025  # distance between the heights that are kept (m)
_MARGIN = 1.0  # around the scene, within which heights are kept (m)
_NOWHERE = (0.0, 0.0, -100.0)  # where a shape lies that is not needed (m)
_LARGEST = 20.0  # no box is larger: the bound within which MuJoCo looks for contacts (m)
_UNDERGROUND = 0.5  # how deep the bumps go below their lowest place (m)
_COLOURS = {
    "floor": (0.52, 0.50, 0.47, 1.0),
    "step": (0.58, 0.55, 0.50, 1.0),
    "wall": (0.36, 0.42, 0.50, 0.25),  # seen through: the camera may be behind one
    "stone": (0.85, 0.68, 0.20, 1.0),
}


@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        kind: what it is: a "floor" and a "step" are walked on, a "wall" is not.
        middle: x, y, z (m).
        half: half-sizes along its own axes (m).
        slope: its turn about x (rad): positive rises along y.
    """

    kind: str
    middle: tuple[float, float, float]
    half: tuple[float, float, float]
    slope: float = 0.0

    @property
    def quat(self) -> tuple[float, float, float, float]:
        """The turn as a quaternion."""
        return (np.cos(self.slope / 2), np.sin(self.slope / 2), 0.0, 0.0)

    @property
    def reach(self) -> tuple[float, float]:
        """Half-sizes of its shadow from above, along x and y (m)."""
        across, up = self.half[1], self.half[2]
        return self.half[0], across * np.cos(self.slope) + up * abs(np.sin(self.slope))

    def top(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(...) height of its upper side (m), -inf beside it."""
        sine, cosine = np.sin(self.slope), np.cos(self.slope)
        y = y - self.middle[1]
        along = (y + self.half[2] * sine) / cosine
        inside = (abs(x - self.middle[0]) <= self.half[0]) & (abs(along) <= self.half[1])
        return np.where(inside, self.middle[2] + along * sine + self.half[2] * cosine, -np.inf)


@dataclass(frozen=True)
class Sphere:
    """A sphere that does not move.

    Attributes:
        middle: x, y, z (m).
        radius: (m).
    """

    middle: tuple[float, float, float]
    radius: float
    kind: str = "stone"

    @property
    def reach(self) -> tuple[float, float]:
        """As of ``Box``."""
        return self.radius, self.radius

    def top(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """As of ``Box``."""
        rest = self.radius**2 - (x - self.middle[0]) ** 2 - (y - self.middle[1]) ** 2
        return np.where(rest >= 0, self.middle[2] + np.sqrt(np.maximum(rest, 0.0)), -np.inf)


@dataclass(frozen=True)
class Bumps:
    """A field of bumps: a surface of triangles, level at its border.

    Attributes:
        corner: its lowest x and y (m).
        low: height of its lowest place (m).
        nodes: (rows, columns) heights above that (m), ``cell`` apart; rows lead along x.
        cell: distance between nodes (m).
    """

    corner: tuple[float, float]
    low: float
    nodes: np.ndarray
    cell: float

    @property
    def size(self) -> np.ndarray:
        """(2,) extent along x and y (m)."""
        return (np.array(self.nodes.shape) - 1) * self.cell

    def holds(self, places: np.ndarray) -> np.ndarray:
        """(...) bool: whether ``places`` (..., 2) are on it."""
        local = places - self.corner
        return ((local >= 0) & (local <= self.size)).min(axis=-1)

    def surface(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Height (...) (m) and normal (..., 3) at ``places`` (..., 2), beyond it of its edge."""
        height, normal = tangent(self.nodes, places - self.corner, 1, self.cell)
        return self.low + height, normal


class Scene:
    """All shapes of a course's ground.

    Attributes:
        boxes: they.
        spheres: of one radius.
        bumps: fields that do not touch each other.
        bounds: x and y that hold all of it: ((low, low), (high, high)) (m).
    """

    def __init__(
        self, boxes: Sequence[Box], spheres: Sequence[Sphere] = (), bumps: Sequence[Bumps] = ()
    ):
        """Collect the shapes."""
        self.boxes, self.spheres, self.bumps = tuple(boxes), tuple(spheres), tuple(bumps)
        middles = np.array([box.middle[:2] for box in self.boxes])
        reaches = np.array([box.reach for box in self.boxes])
        self.bounds = (middles - reaches).min(axis=0), (middles + reaches).max(axis=0)
        self._origin = self.bounds[0] - _MARGIN

    def height(self, places: np.ndarray) -> np.ndarray:
        """(...) height of the ground (m) at ``places`` (..., 2), of the sample next to it.

        Where nothing is, ``VOID``.
        """
        return self._at(self._heights, places, 1 / _SAMPLE)

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """(...) float32, as ``height``."""
        return self._at(self._heights, places, 1 / _SAMPLE)

    def top(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(...) exact height of what is highest (m), or ``VOID``."""
        height = np.full(np.broadcast(x, y).shape, VOID)
        for shape in (*self.boxes, *self.spheres):
            height = np.maximum(height, shape.top(x, y))
        for bumps in self.bumps:
            places = np.stack(np.broadcast_arrays(x, y), axis=-1)
            on = bumps.holds(places)
            height[on] = np.maximum(height[on], bumps.surface(places[on])[0])
        return height

    def shapes_near(self, shapes: Sequence[Box | Sphere], reach: float) -> np.ndarray:
        """(cells, cells, k) numbers of the shapes within reach of each square, -1 for none."""
        x, y = self._grid(_CELL)
        near = np.stack(
            [
                (abs(x - shape.middle[0]) <= shape.reach[0] + reach + _CELL / 2)
                & (abs(y - shape.middle[1]) <= shape.reach[1] + reach + _CELL / 2)
                for shape in shapes
            ],
            axis=-1,
        )
        order = np.argsort(~near, axis=-1, kind="stable")[..., : near.sum(-1).max()]
        return np.where(np.take_along_axis(near, order, axis=-1), order, -1)

    def cells(self, places: np.ndarray) -> np.ndarray:
        """(..., 2) the square of ``shapes_near`` that holds each of ``places`` (..., 2)."""
        return np.clip((places - self._origin) * (1 / _CELL), 0, self._last_cell).astype(np.intp)

    @cached_property
    def _last_cell(self) -> np.ndarray:
        return np.array(self._grid(_CELL)[0].shape) - 1

    def _grid(self, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Middles of squares that cover the scene with a margin (m), along x and along y."""
        ends = np.transpose([self._origin, self.bounds[1]]).tolist()
        x, y = (np.arange(low + step / 2, high + _MARGIN, step) for low, high in ends)
        along_x, along_y = np.meshgrid(x, y, indexing="ij")
        return along_x, along_y

    @cached_property
    def _heights(self) -> np.ndarray:
        return self.top(*self._grid(_SAMPLE)).astype(np.float32)

    def _at(self, cells: np.ndarray, places: np.ndarray, scale: float) -> np.ndarray:
        rows, columns = cells.shape
        x, y = self._origin
        i = np.clip((places[..., 0] - x) * scale, 0, rows - 1).astype(np.int32)
        j = np.clip((places[..., 1] - y) * scale, 0, columns - 1).astype(np.int32)
        i *= np.int32(columns)
        i += j
        return cells.ravel().take(i)

    def add_static(self, spec: mujoco.MjSpec, parts: Sequence[str]) -> None:
        """Add all shapes to a model.

        Args:
            spec: the robot's model.
            parts: names of the geoms that meet them.
        """
        for part in parts:
            geom = spec.geom(part)
            geom.contype, geom.conaffinity = 0, 1
        shared = {"contype": 1, "conaffinity": 0, "condim": 3, "friction": FRICTION}
        add = spec.worldbody.add_geom
        for box in self.boxes:
            colour = _COLOURS[box.kind]
            kind = mujoco.mjtGeom.mjGEOM_BOX
            add(type=kind, pos=box.middle, size=box.half, quat=box.quat, rgba=colour, **shared)
        for sphere in self.spheres:
            colour = _COLOURS[sphere.kind]
            size = [sphere.radius, 0, 0]
            add(pos=sphere.middle, size=size, rgba=colour, **shared)
        for number, bumps in enumerate(self.bumps):
            high = bumps.nodes.max()
            rows, columns = bumps.nodes.T.shape  # MuJoCo's rows run along y
            spec.add_hfield(
                name=f"bumps{number}",
                size=[*(bumps.size / 2), high, _UNDERGROUND],
                nrow=rows,
                ncol=columns,
                userdata=(bumps.nodes / high).T.ravel(),
            )
            add(
                type=mujoco.mjtGeom.mjGEOM_HFIELD,
                hfieldname=f"bumps{number}",
                pos=[*(bumps.corner + bumps.size / 2), bumps.low],
                rgba=SURFACE_RGBA,
                **shared,
            )


class MovingScene:
    """A scene's shapes that go with some geoms of a model.

    Attributes:
        per_world: the model fields that ``place`` writes.
    """

    def __init__(self, scene: Scene, model: mujoco.MjModel, parts: Sequence[str], size: float):
        """Look up what is to be moved.

        Args:
            scene: the scene.
            model: a model that ``add`` has prepared.
            parts: names of the geoms that it has prepared.
            size: as it was given to ``add``.
        """
        self._scene, self._parts = scene, len(parts)
        self._shapes = _shapes(scene, size)
        names = [_name(part, i) for part in parts for i in range(self._shapes.count)]
        self._pairs = [model.pair(name).id for name in names]
        self._geom_of_pair = np.repeat([model.geom(p).id for p in parts], self._shapes.count)
        self._first = model.geom(names[0]).id
        self.per_world = ("geom_friction", "geom_pos", "geom_quat", "geom_size", "pair_friction")

    @staticmethod
    def add(spec: mujoco.MjSpec, scene: Scene, parts: Sequence[str], size: float) -> None:
        """Add shapes for each of some geoms, which meet no others from now on.

        Args:
            spec: the model; the midphase of collisions is switched off, since its bounding volumes
                do not follow moved geoms.
            scene: the scene.
            parts: names of the geoms.
            size: how far a part reaches from its middle (m).
        """
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
        kinds = _shapes(scene, size).kinds
        for part in parts:
            geom = spec.geom(part)
            geom.contype = geom.conaffinity = 0
            for index, (kind, largest) in enumerate(kinds):
                name = _name(part, index)
                # Of a geom compiled upright, MuJoCo never reads the turn again.
                add_shape_for(
                    spec,
                    part,
                    name,
                    type=kind,
                    size=largest,
                    pos=_NOWHERE,
                    quat=[1, 0.01, 0, 0],
                )

    def place(self, v: View, places: np.ndarray) -> None:
        """Move the shapes to the parts, and give their contacts the parts' sliding friction.

        Args:
            v: the view whose model fields are written.
            places: (n, parts, 2) where the parts are (m).
        """
        slide = v.geom_friction[:, self._geom_of_pair, 0]
        v.pair_friction[:, self._pairs, 0] = v.pair_friction[:, self._pairs, 1] = slide
        shapes = self._shapes
        shape = (v.n, self._parts, shapes.count)
        fields = (v.geom_pos, v.geom_quat, v.geom_size)
        last = self._first + self._parts * shapes.count
        pos, quat, size = (x[:, self._first : last].reshape(*shape, x.shape[-1]) for x in fields)
        cells = self._scene.cells(places)
        first = 0
        for table, data in shapes.tables:
            near = table[cells[..., 0], cells[..., 1]]
            here = slice(first, first + near.shape[-1])
            values = data[near]
            pos[:, :, here], quat[:, :, here] = values[..., :3], values[..., 3:7]
            size[:, :, here] = values[..., 7:]
            first = here.stop
        if self._scene.bumps:
            pos[:, :, first, :2], pos[:, :, first, 2] = places, _NOWHERE[2]
            for bumps in self._scene.bumps:
                height, normal = bumps.surface(places)
                on = bumps.holds(places)
                pos[:, :, first, 2] = np.where(on, height, pos[:, :, first, 2])
                quat[:, :, first] = np.where(on[..., None], tilt(normal), quat[:, :, first])


class _Shapes:
    """What each part has: boxes, spheres and a plane.

    Attributes:
        tables: for boxes and for spheres, the numbers of those near each square of the scene
            (cells, cells, k), and their place, turn and size (shapes + 1, 10), of which the last
            is of one that is not needed.
        kinds: type and size of each of a part's shapes.
        count: their number.
    """

    def __init__(self, scene: Scene, size: float):
        self.tables: list[tuple[np.ndarray, np.ndarray]] = []
        self.kinds: list[tuple[mujoco.mjtGeom, list[float]]] = []
        nowhere = [*_NOWHERE, 1.0, 0.0, 0.0, 0.0]
        for shapes, kind, largest in (
            (scene.boxes, mujoco.mjtGeom.mjGEOM_BOX, [_LARGEST] * 3),
            (scene.spheres, mujoco.mjtGeom.mjGEOM_SPHERE, [_LARGEST, 0.0, 0.0]),
        ):
            if not shapes:
                continue
            table = scene.shapes_near(shapes, size + _MOTION)
            rows = [[*shape.middle, *_turn_and_size(shape)] for shape in shapes]
            self.tables.append((table, np.array([*rows, [*nowhere, 1.0, 1.0, 1.0]])))
            self.kinds += [(kind, largest)] * table.shape[-1]
        if scene.bumps:
            self.kinds.append((mujoco.mjtGeom.mjGEOM_PLANE, [0, 0, 1]))
        self.count = len(self.kinds)


_shapes = lru_cache(maxsize=16)(_Shapes)  # a scene does not change


def _turn_and_size(shape: Box | Sphere) -> tuple[float, ...]:
    if isinstance(shape, Box):
        return (*shape.quat, *shape.half)
    return (1.0, 0.0, 0.0, 0.0, shape.radius, 0.0, 0.0)


def _name(part: str, index: int) -> str:
    return f"{part}_ground{index}"
