# SPDX-License-Identifier: Apache-2.0
"""Terrain: the height of the ground at every place, as arrays, from seeded generators.

A field is a grid of square tiles, levels along x and kinds of ground along y, from easy to hard.
Around it the ground goes on at the height of its edge. A height is the sum of two parts:

- blocks: square cells of constant height, between them vertical walls: stairs, terraces, trenches;
- a smooth surface over finer cells, each split into two triangles: hills, waves and slopes.

Where neighbouring blocks differ in height, the smooth part is level. Heights, normals and what lies
around a place are read from the arrays for many places at once, without a physics engine.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from motrix_gym.names import did_you_mean, shown

CELL = 0.3
"""Side of a block (m); also the depth of a stair's tread."""
TILE_CELLS = 27
"""Blocks along a tile's side."""
TILE = CELL * TILE_CELLS
"""Side of a tile (m)."""
PER_CELL = 3
"""Cells of the smooth part along a block's side."""
MAX_STEP = 1.0
"""Largest difference in height between neighbouring blocks (m)."""

_SAMPLES = 6  # samples for `nearest` along a block's side
_BORDER = 2  # blocks at a tile's border that are level, at height 0
_PLATFORM = 2  # blocks between a tile's middle block and the platform's edge
_LARGEST_GRID = 64  # tiles along a side

# (blocks (27, 27), smooth nodes (82, 82)) of a tile, in m.
Tile = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind of ground.

    Attributes:
        name: its name.
        low: the measure of the ground at the easiest level (m, or rad for slopes).
        high: the same at the hardest level.
        meaning: what the measure is.
        make: gives a tile, from a random generator and a measure.
    """

    name: str
    low: float
    high: float
    meaning: str
    make: Callable[[np.random.Generator, float], Tile]


class Terrain:
    """A field of tiles.

    Attributes:
        blocks: (27 levels, 27 kinds) heights of the blocks (m).
        smooth: heights of the smooth part's nodes (m), (81 levels + 1, 81 kinds + 1), or None if
            they are all 0.
        kinds: the kind of each column of tiles, along y.
        measures: (levels, kinds) the measure of each tile: a rise, an amplitude (m), a slope (rad).
    """

    def __init__(self, blocks: np.ndarray, smooth: np.ndarray, kinds: tuple[Kind, ...] = ()):
        """Make the field of the heights.

        Args:
            blocks: as the attribute; sides are whole numbers of tiles.
            smooth: as the attribute, all 0 allowed.
            kinds: as the attribute.

        Raises:
            ValueError: if the arrays are not of a field, hold what is not finite, or neighbouring
                blocks differ by more than 1 m.
        """
        rows, columns = blocks.shape
        if rows % TILE_CELLS or columns % TILE_CELLS or not blocks.size:
            raise ValueError(f"a field has {TILE_CELLS} blocks per tile's side, got {blocks.shape}")
        nodes = (rows * PER_CELL + 1, columns * PER_CELL + 1)
        if smooth.shape != nodes:
            raise ValueError(f"the smooth part must have {nodes} nodes, got {smooth.shape}")
        if not (np.isfinite(blocks).all() and np.isfinite(smooth).all()):
            raise ValueError("the heights of a terrain must be finite")
        steps = [np.abs(np.diff(blocks, axis=axis)).max(initial=0.0) for axis in (0, 1)]
        if max(steps) > MAX_STEP:
            raise ValueError(
                f"neighbouring blocks differ by {max(steps):.3g} m; at most {MAX_STEP:g} m is "
                "allowed"
            )
        self.blocks = blocks
        self.smooth = smooth if smooth.any() else None
        self.kinds = kinds
        self.levels, self.columns = rows // TILE_CELLS, columns // TILE_CELLS
        levels = np.linspace(0.0, 1.0, self.levels)
        self.measures = np.array([[_measure(k, level) for k in kinds] for level in levels])

    @property
    def size(self) -> tuple[float, float]:
        """Extent along x and y (m); the field begins at (0, 0)."""
        return self.blocks.shape[0] * CELL, self.blocks.shape[1] * CELL

    def centre(self, level: np.ndarray, column: np.ndarray) -> np.ndarray:
        """(..., 2) middle of tiles (m).

        Args:
            level: (...) whole numbers from 0.
            column: (...) whole numbers from 0, of the kinds.

        Raises:
            ValueError: if a tile is beyond the grid.
        """
        for name, given, count in (("level", level, self.levels), ("kind", column, self.columns)):
            if np.any((np.asarray(given) < 0) | (np.asarray(given) >= count)):
                raise ValueError(f"a {name} must be from 0 to {count - 1}, got {shown(given)}")
        return (np.stack([level, column], axis=-1) + 0.5) * TILE

    def height(self, places: np.ndarray) -> np.ndarray:
        """(...) height of the ground (m) at ``places`` (..., 2); beyond the field the edge's."""
        blocks = _at(self.blocks, places, 1 / CELL)
        if self.smooth is None:
            return blocks
        h00, middle, h11, u, v = _triangle(self.smooth, places, PER_CELL / CELL)
        return blocks + h00 + (middle - h00) * np.maximum(u, v) + (h11 - middle) * np.minimum(u, v)

    def normal(self, places: np.ndarray) -> np.ndarray:
        """(..., 3) unit normal of the ground at ``places`` (..., 2), vertical walls aside."""
        return self.surface(places)[1]

    def surface(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Height (...) (m) and unit normal (..., 3) of the smooth part at ``places`` (..., 2).

        ``tangent`` has how cells are split.
        """
        if self.smooth is None:
            shape = places.shape[:-1]
            return np.zeros(shape), np.broadcast_to([0.0, 0.0, 1.0], (*shape, 3))
        return tangent(self.smooth, places, PER_CELL, CELL)

    def nearest(self, places: np.ndarray) -> np.ndarray:
        """(...) float32 height (m) of the sample next to ``places`` (..., 2): fast.

        Samples are 5 cm apart. Blocks are exact; slopes are off by up to 3.5 cm times their rise.
        """
        return _at(self._fine, places, _SAMPLES / CELL)

    def corner(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The corner of blocks next to ``places`` (..., 2), and the four blocks around it.

        Within half a block of a place, 0.15 m along x and y each, there are no other blocks.

        Returns:
            The corner's place (..., 2) (m), and the heights (..., 4) of the blocks towards
            (-x, -y), (-x, +y), (+x, -y) and (+x, +y) (m).
        """
        corner = np.round(places * (1.0 / CELL))
        rows, columns = self.blocks.shape
        index = np.clip(corner, 0, (rows, columns)).astype(np.int64)
        i, j = index[..., 0], index[..., 1]
        left, right = np.maximum(i - 1, 0) * columns, np.minimum(i, rows - 1) * columns
        near, far = np.maximum(j - 1, 0), np.minimum(j, columns - 1)
        around = np.stack([left + near, left + far, right + near, right + far], axis=-1)
        return corner * CELL, self.blocks.ravel()[around]

    def tile_blocks(self, level: int, column: int) -> np.ndarray:
        """(27, 27) heights of a tile's blocks (m)."""
        i, j = level * TILE_CELLS, column * TILE_CELLS
        return self.blocks[i : i + TILE_CELLS, j : j + TILE_CELLS]

    def tile_nodes(self, level: int, column: int) -> np.ndarray | None:
        """(82, 82) heights of the nodes of a tile's smooth part (m), or None if all are 0."""
        if self.smooth is None:
            return None
        count = TILE_CELLS * PER_CELL
        i, j = level * count, column * count
        nodes = self.smooth[i : i + count + 1, j : j + count + 1]
        return nodes if nodes.any() else None

    @cached_property
    def _fine(self) -> np.ndarray:
        """Heights at the middle of squares of 5 cm."""
        step = CELL / _SAMPLES
        x, y = ((np.arange(round(side / step)) + 0.5) * step for side in self.size)
        return self.height(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)).astype(np.float32)


def tangent(
    nodes: np.ndarray, places: np.ndarray, cells: int, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Height (...) (m) and unit normal (..., 3) of a surface of triangles at ``places`` (..., 2).

    Cells are split as MuJoCo splits those of a height field: from (0, 0) to (1, 1).

    Args:
        nodes: (rows, columns) heights (m), the first at place (0, 0); rows lead along x.
        places: (m); beyond the nodes the height is that of the edge.
        cells: number of cells that are as wide as ``width``.
        width: (m).
    """
    h00, middle, h11, u, v = _triangle(nodes, places, cells / width)
    first, second = middle - h00, h11 - middle  # along the two sides of the triangle
    right = u >= v
    slope_x, slope_y = np.where(right, first, second), np.where(right, second, first)
    height = h00 + slope_x * u + slope_y * v
    normal = np.stack([-slope_x, -slope_y, np.full_like(slope_x, width / cells)], axis=-1)
    return height, normal / np.sqrt(np.square(normal).sum(-1, keepdims=True))


def _triangle(nodes: np.ndarray, places: np.ndarray, scale: float) -> tuple[np.ndarray, ...]:
    """Heights of the nodes of the triangles at ``places``, and where in their cells these are.

    Returns:
        Heights at (0, 0), at (1, 0) or (0, 1), and at (1, 1) of a cell (m), and the place in
        the cell, two shares u and v; the triangle has (1, 0) if u >= v. Each is (...).
    """
    rows, columns = nodes.shape
    u = np.clip(places[..., 0] * scale, 0.0, rows - 1.0)
    v = np.clip(places[..., 1] * scale, 0.0, columns - 1.0)
    i = np.minimum(u.astype(np.int32), np.int32(rows - 2))
    j = np.minimum(v.astype(np.int32), np.int32(columns - 2))
    u -= i
    v -= j
    i *= np.int32(columns)
    i += j
    flat = nodes.ravel()
    middle = i + np.where(u >= v, np.int32(columns), np.int32(1))
    return flat.take(i), flat.take(middle), flat.take(i + np.int32(columns + 1)), u, v


def kinds(name: str) -> tuple[Kind, ...]:
    """The kinds of ground of a terrain: one of ``TERRAINS``.

    Raises:
        ValueError: if there is none of that name, with the nearest one.
    """
    if name not in TERRAINS:
        raise ValueError(
            f"no terrain {shown(name)}{did_you_mean(name, TERRAINS)}; there are "
            f"{', '.join(TERRAINS)}"
        )
    return tuple(KINDS[kind] for kind in TERRAINS[name])


@lru_cache(maxsize=8)
def generate(
    name: str, levels: int, seed: int, measure: tuple[float, float] | None = None
) -> Terrain:
    """The field of a terrain, always the same for the same arguments.

    Args:
        name: one of ``TERRAINS``.
        levels: number of levels, 1 to 64; the measure goes up evenly from the first to the last.
        seed: of what is drawn.
        measure: (low, high) in place of what the kinds say.

    Raises:
        ValueError: if there is no such terrain, the grid is too large, or neighbouring blocks
            would differ by more than 1 m.
    """
    if not 1 <= levels <= _LARGEST_GRID:
        raise ValueError(f"levels must be 1 to {_LARGEST_GRID}, got {levels}")
    columns = kinds(name)
    if measure is not None:
        low, high = measure
        columns = tuple(replace(kind, low=low, high=high) for kind in columns)
    blocks = np.zeros((levels * TILE_CELLS, len(columns) * TILE_CELLS))
    nodes = TILE_CELLS * PER_CELL
    smooth = np.zeros((levels * nodes + 1, len(columns) * nodes + 1))
    for i, level in enumerate(np.linspace(0.0, 1.0, levels)):
        for j, kind in enumerate(columns):
            rng = np.random.default_rng((seed, i, j))
            tile, surface = kind.make(rng, _measure(kind, float(level)))
            blocks[i * TILE_CELLS :, j * TILE_CELLS :][:TILE_CELLS, :TILE_CELLS] = tile
            smooth[i * nodes :, j * nodes :][: nodes + 1, : nodes + 1] += surface
    return Terrain(blocks, smooth, columns)


def _measure(kind: Kind, level: float) -> float:
    return kind.low + level * (kind.high - kind.low)


def _at(cells: np.ndarray, places: np.ndarray, scale: float) -> np.ndarray:
    """(...) values of the cells, ``1 / scale`` wide, that hold ``places`` (..., 2).

    Beyond the field they are the edge's.
    """
    rows, columns = cells.shape
    i = np.clip(places[..., 0] * scale, 0, rows - 1).astype(np.int32)
    j = np.clip(places[..., 1] * scale, 0, columns - 1).astype(np.int32)
    i *= np.int32(columns)
    i += j
    return cells.ravel().take(i)


# The generators. Distances to a tile's middle count in blocks, d = 0 for the middle block.

_MIDDLE = TILE_CELLS // 2
_LEVEL_SURFACE = np.zeros((TILE_CELLS * PER_CELL + 1,) * 2)
_LEVEL_BLOCKS = np.zeros((TILE_CELLS,) * 2)
RISES = _MIDDLE - _BORDER - _PLATFORM + 1
"""Rises of a flight of stairs, from the platform to the border."""


def _ring() -> np.ndarray:
    """(27, 27) distance of each block from the middle, along the axis where it is larger."""
    away = np.abs(np.arange(TILE_CELLS) - _MIDDLE)
    return np.maximum(away[:, None], away[None, :])


def _node_places() -> tuple[np.ndarray, np.ndarray]:
    """Places of a tile's smooth nodes, from its middle (m), along x and along y."""
    line = (np.arange(TILE_CELLS * PER_CELL + 1) / PER_CELL) * CELL - TILE / 2
    return np.meshgrid(line, line, indexing="ij")


def _inside() -> np.ndarray:
    """(82, 82) 0 at a tile's level border, rising to 1 over two blocks, for each smooth node."""
    x, y = _node_places()
    edge = TILE / 2 - _BORDER * CELL - np.maximum(abs(x), abs(y))
    return np.clip(edge / (2 * CELL), 0.0, 1.0)


def _flat(rng: np.random.Generator, measure: float) -> Tile:
    return _LEVEL_BLOCKS, _LEVEL_SURFACE


def _noise(rng: np.random.Generator, height: float) -> Tile:
    """Bumps: values drawn 0.5 m apart, with cubic interpolation between them."""
    coarse = rng.uniform(-1.0, 1.0, (20, 20))
    x, y = _node_places()
    u, v = (x + TILE / 2) / 0.5, (y + TILE / 2) / 0.5
    i, j = np.minimum(u.astype(int), 18), np.minimum(v.astype(int), 18)
    s, t = _smoothstep(u - i), _smoothstep(v - j)
    low = coarse[i, j] * (1 - t) + coarse[i, j + 1] * t
    high = coarse[i + 1, j] * (1 - t) + coarse[i + 1, j + 1] * t
    return _LEVEL_BLOCKS, 0.5 * height * (low * (1 - s) + high * s) * _inside()


def _smoothstep(x: np.ndarray) -> np.ndarray:
    return x * x * (3.0 - 2.0 * x)


def _waves(rng: np.random.Generator, height: float) -> Tile:
    x, y = _node_places()
    phase = rng.uniform(0.0, 2 * np.pi, 2)
    turns = 2 * np.pi / 1.8  # a wave is 1.8 m long
    surface = 0.25 * height * (np.sin(turns * x + phase[0]) + np.sin(turns * y + phase[1]))
    return _LEVEL_BLOCKS, surface * _inside()


def _slope(angle: float) -> np.ndarray:
    """A pyramid with straight sides and a platform on top."""
    x, y = _node_places()
    away = np.maximum(abs(x), abs(y))
    top = TILE / 2 - _BORDER * CELL
    return np.tan(angle) * np.clip(top - away, 0.0, top - (_PLATFORM + 0.5) * CELL)


def _slope_down(rng: np.random.Generator, angle: float) -> Tile:
    return _LEVEL_BLOCKS, _slope(angle)


def _slope_up(rng: np.random.Generator, angle: float) -> Tile:
    return _LEVEL_BLOCKS, -_slope(angle)


def _stairs_down(rng: np.random.Generator, rise: float) -> Tile:
    """A pyramid of steps, which a robot that starts on top walks down."""
    height = np.clip(_MIDDLE - _BORDER + 1 - _ring(), 0, RISES)
    return rise * height, _LEVEL_SURFACE


def _stairs_up(rng: np.random.Generator, rise: float) -> Tile:
    """A pit with steps, which a robot that starts at the bottom walks up."""
    return -_stairs_down(rng, rise)[0], _LEVEL_SURFACE


def _terraces(rng: np.random.Generator, step: float) -> Tile:
    """Bumps cut into steps."""
    _, surface = _noise(rng, 2.0)
    middle = surface[1::PER_CELL, 1::PER_CELL][:TILE_CELLS, :TILE_CELLS]
    return step * np.round(1.5 * middle), _LEVEL_SURFACE


def _obstacles(rng: np.random.Generator, height: float) -> Tile:
    """Rectangles, some of them holes, around a platform."""
    blocks = np.zeros((TILE_CELLS, TILE_CELLS))
    for _ in range(30):
        i, j = rng.integers(_BORDER, TILE_CELLS - _BORDER - 1, 2)
        long, wide = rng.integers(1, 5, 2)
        blocks[i : i + long, j : j + wide] = height * rng.choice([-0.5, 0.5, 1.0])
    return np.where(_tested(), blocks, 0.0), _LEVEL_SURFACE


def _boxes(rng: np.random.Generator, height: float) -> Tile:
    """Every block at a height of its own."""
    blocks = rng.uniform(-0.5 * height, 0.5 * height, (TILE_CELLS, TILE_CELLS))
    return np.where(_tested(), blocks, 0.0), _LEVEL_SURFACE


def _gaps(rng: np.random.Generator, depth: float) -> Tile:
    """Trenches around the platform, one block wide."""
    ring = _ring()
    trench = _tested() & ((ring - _PLATFORM) % 3 == 2)
    return np.where(trench, -depth, 0.0), _LEVEL_SURFACE


def _tested() -> np.ndarray:
    """(27, 27) whether a block belongs neither to the border nor to the platform."""
    ring = _ring()
    return (ring > _PLATFORM) & (ring <= _MIDDLE - _BORDER)


_SLOPE = np.deg2rad(20.0)
KINDS = {
    kind.name: kind
    for kind in (
        Kind("flat", 0.0, 0.0, "nothing", _flat),
        Kind("noise", 0.01, 0.10, "height of the bumps, from lowest to highest (m)", _noise),
        Kind("waves", 0.02, 0.15, "height of the waves, from lowest to highest (m)", _waves),
        Kind("slope_up", 0.05, _SLOPE, "slope (rad)", _slope_up),
        Kind("slope_down", 0.05, _SLOPE, "slope (rad)", _slope_down),
        Kind("terraces", 0.01, 0.07, "height of a step (m)", _terraces),
        Kind("stairs_up", 0.03, 0.20, "rise of a step (m)", _stairs_up),
        Kind("stairs_down", 0.03, 0.20, "rise of a step (m)", _stairs_down),
        Kind("obstacles", 0.01, 0.10, "largest height of the obstacles (m)", _obstacles),
        Kind("boxes", 0.01, 0.10, "range of the blocks' heights (m)", _boxes),
        Kind("gaps", 0.02, 0.20, "depth of the trenches (m)", _gaps),
    )
}
TERRAINS = {
    **{name: (name,) for name in KINDS},
    "slopes": ("slope_up", "slope_down"),
    "stairs": ("stairs_up", "stairs_down"),
    "rough": ("noise", "waves", "slope_up", "slope_down", "obstacles", "boxes"),
}
