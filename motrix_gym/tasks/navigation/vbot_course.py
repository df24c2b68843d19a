# SPDX-License-Identifier: Apache-2.0
"""The course of MotrixArena S1, a competition, in numbers: its ground, and what scores.

It runs along y, between x = -5 and 5 m. Boxes and spheres are those of the competition's collision
models. The heights of the bumps and the places of the zones are not published, and are our own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from motrix_gym.tasks.navigation.balls import Balls
from motrix_gym.tasks.navigation.scene import Box, Bumps, Scene, Sphere

_SIDE = 5.0  # half of the course's width (m)
_PLATFORM = 1.2941  # height of the platforms (m)
_FIELD = (10.0, 3.0)  # extent of a field of bumps along x and y (m)
_STONE = 0.75  # radius of the stones and of the golden spheres (m)
_CELL = 0.0625  # distance between its nodes (m)
_SPACING = (16, 12)  # cells along x and y between the heights that are drawn


Route = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Zone:
    """A place that scores once.

    Attributes:
        low: its lowest x and y (m).
        high: its highest.
        points: the competition's.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    points: float


@dataclass(frozen=True)
class Section:
    """A part of the course.

    Attributes:
        scene: makes its ground, by the seed of the bumps.
        zones: what scores on the way, celebrations aside.
        bounds: lowest and highest y beyond which a robot has left the course (m).
        ends: y where each of its parts but the last ends (m). A fall loses the points of the part
            in which it happens.
        balls: that roll there.
        routes: places that a robot is led through on its way to the goal, by lane (m).
        symmetric: whether left and right are mirror images.
    """

    scene: Callable[[int], Scene]
    zones: tuple[Zone, ...]
    bounds: tuple[float, float]
    ends: tuple[float, ...] = ()
    balls: Balls | None = None
    routes: Mapping[str, Route] = field(default_factory=dict[str, Route])
    symmetric: bool = True


def bumps(rng: np.random.Generator, middle_y: float, low: float, height: float) -> Bumps:
    """A field of bumps that is level, and lowest, at its ends in y.

    Heights are drawn 1 m apart along x and 0.75 m along y, with cubic interpolation between them.
    Left and right are mirror images.

    Args:
        rng: what draws.
        middle_y: of the field (m).
        low: its lowest height (m).
        height: from its lowest to its highest place (m).
    """
    counts = [round(side / _CELL) // n + 1 for side, n in zip(_FIELD, _SPACING, strict=True)]
    drawn = rng.uniform(0.0, 1.0, counts)
    drawn = np.maximum(drawn, drawn[::-1])
    drawn[:, [0, -1]] = 0.0
    nodes = _between(_between(drawn, _SPACING[0]).T, _SPACING[1]).T
    nodes = height * (nodes - nodes.min()) / np.ptp(nodes)
    return Bumps((-_SIDE, middle_y - _FIELD[1] / 2), low, nodes, _CELL)


def _between(heights: np.ndarray, spacing: int) -> np.ndarray:
    """(spacing (rows - 1) + 1, columns) cubic interpolation of heights (rows, columns)."""
    place = np.arange(spacing * (len(heights) - 1) + 1) / spacing
    low = np.minimum(place.astype(int), len(heights) - 2)
    share = (place - low)[:, None]
    return heights[low] + (heights[low + 1] - heights[low]) * share * share * (3.0 - 2.0 * share)


@lru_cache(maxsize=4)
def _section_011(seed: int) -> Scene:
    """A start pad, bumps, a ramp of 15 degrees, and a platform, between walls."""
    half_wall = 1.2266
    return Scene(
        boxes=[
            Box("floor", (0, -2.5, -0.25), (_SIDE, 1.0, 0.25)),
            Box("floor", (0, 1.75, -0.25), (_SIDE, 0.25, 0.25)),
            Box("floor", (0, 4.47952, 0.40557), (_SIDE, 2.5, 0.25), np.radians(15)),
            Box("floor", (0, 7.82963, 1.0441), (_SIDE, 1.0, 0.25)),
            Box("wall", (0, -3.75, half_wall), (_SIDE, 0.25, half_wall)),
            *(
                Box("wall", (side * 5.25, 2.41481, half_wall), (0.25, 6.41481, half_wall))
                for side in (-1, 1)
            ),
        ],
        bumps=[bumps(np.random.default_rng((seed, 1)), 0.0, 0.0, 0.277056)],
    )


# Of the planks of the first half of the bridge: y, height of the top (m). The others are images.
_PLANKS = (
    (15.31294, 2.80399),
    (15.53897, 2.76748),
    (15.76541, 2.73109),
    (15.99264, 2.7007),
    (16.22042, 2.67565),
    (16.44854, 2.65426),
    (16.67696, 2.63659),
    (16.90558, 2.62238),
    (17.13435, 2.61086),
    (17.36324, 2.60291),
    (17.59219, 2.59713),
)
_MIDDLE = 17.82963  # of the second section, along y (m)
_VALLEY = np.radians(23)


@lru_cache(maxsize=4)
def _section_012(seed: int) -> Scene:
    """Waves, and two lanes: steep stairs with a hanging bridge, and low ones with a valley."""
    bottom, head, landing = _PLATFORM, 2.7941, 2.2941
    steps = [
        Box("step", (x, y, bottom + rise * (k + 0.5)), (half, 0.1, rise / 2))
        for x, half, rise in ((-3.0, 2.0, 0.15), (2.0, 3.0, 0.10))
        for k in range(10)
        for y in (12.42963 + 0.2 * k, 23.22963 - 0.2 * k)
    ]
    planks = [(_MIDDLE, 2.59465), *_PLANKS, *((2 * _MIDDLE - y, top) for y, top in _PLANKS)]
    run = (landing - bottom) / np.tan(_VALLEY)  # of a side of the valley, along y (m)
    thick, first = 0.1, 14.57963
    sides = [
        Box(
            "floor",
            (
                2.0,
                _MIDDLE + sign * (_MIDDLE - first - run / 2 + thick * np.sin(_VALLEY)),
                (bottom + landing) / 2 - thick * np.cos(_VALLEY),
            ),
            (3.0, run / 2 / np.cos(_VALLEY), thick),
            sign * _VALLEY,
        )
        for sign in (-1, 1)
    ]
    return Scene(
        boxes=[
            Box("floor", (0, 7.82963, 1.0441), (_SIDE, 1.0, 0.25)),
            Box("floor", (0, 12.07963, 1.0441), (_SIDE, 0.25, 0.25)),
            Box("floor", (0, 24.32963, 1.1941), (_SIDE, 1.0, 0.1)),
            *(Box("wall", (x, 24.32963, 1.8941), (0.25, 1.0, 0.6)) for x in (-5.25, 5.25)),
            *steps,
            # The left lane.
            *(Box("floor", (-3, y, head - 0.5), (2.0, 0.3, 0.5)) for y in (14.62963, 21.02963)),
            *(Box("floor", (-3, y, head - 0.5), (1.6, 0.2, 0.5)) for y in (15.12963, 20.52963)),
            *(Box("step", (-3, y, top - 0.09), (1.31939, 0.1145, 0.09)) for y, top in planks),
            *(
                Box("wall", (x, _MIDDLE, 2.8572), (0.03, 2.53, 0.29053))
                for x in (-1.68061, -4.31939)
            ),
            # The right lane.
            *(Box("floor", (2, y, landing - 0.1), (3.0, 0.125, 0.1)) for y in (14.45463, 21.20463)),
            *sides,
            Box("floor", (2, _MIDDLE, bottom - 0.1), (3.0, _MIDDLE - first - run, 0.1)),
        ],
        spheres=[
            Sphere((x, y, z), _STONE)
            for x, y, z in (
                (3.5, 15.83991, 1.2),
                (0.35945, 15.83991, 1.2),
                (2.0, 17.8296, 0.8),
                (3.5, 19.7162, 1.2),
                (0.35945, 19.7162, 1.2),
            )
        ],
        bumps=[_waves(10.3296, bottom, 0.1)],
    )


def _waves(middle_y: float, low: float, height: float) -> Bumps:
    """Three waves along y, level and lowest at their ends; the arguments are those of ``bumps``."""
    columns, rows = (round(side / _CELL) + 1 for side in _FIELD)
    wave = 0.5 * height * (1.0 - np.cos(2 * np.pi * 3 * np.arange(rows) / (rows - 1)))
    return Bumps((-_SIDE, middle_y - _FIELD[1] / 2), low, np.tile(wave, (columns, 1)), _CELL)


@lru_cache(maxsize=4)
def _section_013(seed: int) -> Scene:
    """A platform with balls, a wedge, hollows, and a last platform with golden spheres."""
    middle_y, low, height = 29.32962, 1.343, 0.148681
    hills = bumps(np.random.default_rng((seed, 3)), middle_y, low, height)
    hollows = Bumps(hills.corner, low, height - hills.nodes, hills.cell)
    return Scene(
        boxes=[
            Box("floor", (0, 26.32962, 1.0441), (_SIDE, 1.0, 0.25)),
            Box("floor", (0, 27.57962, 0.5441), (_SIDE, 0.25, 0.75)),
            Box("floor", (0, 27.61677, 1.30125), (_SIDE, 0.26926, 0.1), np.radians(21.7735)),
            Box("floor", (0, 27.87962, 1.2441), (_SIDE, 0.05, 0.25)),
            Box("floor", (0, 32.32962, 0.9941), (_SIDE, 1.5, 0.5)),
            Box("wall", (0, 34.32963, 2.06394), (_SIDE, 0.5, 1.26985)),
            *(
                Box("wall", (side * x, y, 2.06394), (1.0, half, 1.26984))
                for side in (-1, 1)
                for x, y, half in ((5.95565, 27.84492, 2.5153), (5.51991, 32.09492, 1.73471))
            ),
        ],
        spheres=[Sphere((x, 31.22964, 0.8441), _STONE) for x in (-3.0, 0.0, 3.0)],
        bumps=[hollows],
    )


_PARTS = {
    "011": Section(
        _section_011,
        zones=(
            *(Zone((x - 0.75, -0.75), (x + 0.75, 0.75), 4.0) for x in (-3.0, 0.0, 3.0)),
            *(Zone((x - 0.75, 3.7), (x + 0.75, 5.2), 2.0) for x in (-3.0, 0.0, 3.0)),
        ),
        bounds=(-3.5, 8.82963),
    ),
    "012": Section(
        _section_012,
        zones=(
            Zone((-_SIDE, 11.82962), (_SIDE, 12.32963), 10.0),
            Zone((-_SIDE, 14.32963), (_SIDE, 14.92963), 5.0),
            Zone((-_SIDE, 20.32963), (-1.0, 21.32963), 10.0),
            Zone((-1.0, 21.07963), (_SIDE, 21.32963), 5.0),
            *(
                Zone((x - 0.4, y - 0.4), (x + 0.4, y + 0.4), 3.0)
                for x, y in (
                    (3.5, 15.83991),
                    (0.35945, 15.83991),
                    (2.0, 17.8296),
                    (3.5, 19.7162),
                    (0.35945, 19.7162),
                )
            ),
            Zone((-_SIDE, 23.32963), (_SIDE, 25.32963), 5.0),
        ),
        bounds=(6.82963, 25.32963),
        routes={
            # Between the stones.
            "valley": ((1.9, 12.0), (1.9, 15.8), (0.7, 17.8), (1.9, 19.7), (1.9, 23.5)),
            "bridge": ((-3.0, 12.0), (-3.0, 15.0), (-3.0, 20.7), (-3.0, 23.5)),
        },
        symmetric=False,
    ),
    "013": Section(
        _section_013,
        zones=(
            Zone((-_SIDE, 27.82962), (_SIDE, 33.82962), 10.0),
            Zone((-_SIDE, 30.82962), (_SIDE, 33.82962), 5.0),
        ),
        bounds=(25.32962, 33.82962),
        balls=Balls((-3.0, 0.0, 3.0), 1.0, 26.9, 0.375, 1.0, (0.2, 0.8), 5.0),
    ),
}


@lru_cache(maxsize=4)
def _section_002(seed: int) -> Scene:
    """All three, one after the other."""
    scenes = [part.scene(seed) for part in _PARTS.values()]
    boxes = dict.fromkeys(box for each in scenes for box in each.boxes)  # two share a platform
    spheres, fields = (
        [shape for each in scenes for shape in getattr(each, kind)] for kind in ("spheres", "bumps")
    )
    return Scene([*boxes], spheres, fields)


SECTIONS = {
    **_PARTS,
    "002": Section(
        _section_002,
        zones=tuple(zone for part in _PARTS.values() for zone in part.zones),
        bounds=(_PARTS["011"].bounds[0], _PARTS["013"].bounds[1]),
        ends=(_PARTS["011"].bounds[1], _PARTS["012"].bounds[1]),
        balls=_PARTS["013"].balls,
        routes={
            lane: ((0.0, 7.5), *route, (0.0, 25.0)) for lane, route in _PARTS["012"].routes.items()
        },
        symmetric=False,
    ),
}
