# SPDX-License-Identifier: Apache-2.0
"""Terrain: the generators, and heights, normals and blocks at any place."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motrix_gym import terrain
from motrix_gym.terrain import CELL, KINDS, PER_CELL, RISES, TERRAINS, TILE, TILE_CELLS, Terrain

NODES = TILE_CELLS * PER_CELL


def random_blocks(seed, levels=2, kinds=2):
    """A field whose blocks have few different heights, so that many neighbours are level."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 4, (levels * TILE_CELLS, kinds * TILE_CELLS)) * 0.1
    return Terrain(blocks, np.zeros((levels * NODES + 1, kinds * NODES + 1)))


def random_places(ground, count=2000, seed=0):
    width, depth = ground.size
    return np.random.default_rng(seed).uniform([0, 0], [width, depth], (count, 2))


@pytest.mark.parametrize("name", TERRAINS)
def test_a_seed_gives_one_field(name):
    terrain.generate.cache_clear()
    first = terrain.generate(name, 3, 5)
    terrain.generate.cache_clear()
    again = terrain.generate(name, 3, 5)
    assert first is not again
    assert (first.blocks == again.blocks).all()
    places = random_places(first)
    assert (first.height(places) == again.height(places)).all()


@pytest.mark.parametrize("name", ["noise", "waves", "obstacles", "boxes", "terraces", "rough"])
def test_another_seed_gives_another_field(name):
    places = random_places(terrain.generate(name, 3, 5))
    one, other = (terrain.generate(name, 3, seed).height(places) for seed in (5, 6))
    assert (one != other).mean() > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_ends_level_at_height_0(kind):
    ground = terrain.generate(kind, 2, 0)
    edge = np.linspace(0, TILE, 50)
    for inset in (0.0, 0.3, 0.59):
        for line in (inset, TILE - inset):
            for places in (
                np.stack([edge, np.full(50, line)], 1),
                np.stack([np.full(50, line), edge], 1),
            ):
                assert ground.height(places + [TILE, 0]) == pytest.approx(np.zeros(50), abs=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flat"])
def test_harder_levels_are_higher(kind):
    ground = terrain.generate(kind, 4, 0)
    heights = ground.height(
        ground.centre(np.arange(4), np.zeros(4, int))[:, None]
        + np.random.default_rng(0).uniform(-TILE / 2, TILE / 2, (4, 4000, 2))
    )
    spread = np.ptp(heights, axis=1)
    assert (np.diff(spread) > 0).all()
    low, high = KINDS[kind].low, KINDS[kind].high
    assert ground.measures[:, 0] == pytest.approx(np.linspace(low, high, 4))


@pytest.mark.parametrize(("kind", "sign"), [("stairs_up", -1), ("stairs_down", 1)])
def test_stairs_have_ten_equal_rises_with_treads_of_30_cm(kind, sign):
    ground = terrain.generate(kind, 1, 0, (0.17, 0.17))
    middle = TILE / 2
    x = middle + (np.arange(TILE_CELLS // 2 + 1)) * CELL  # the middle of each block
    profile = ground.height(np.stack([x, np.full(len(x), middle)], 1))
    steps = np.diff(profile)
    rises = steps[steps != 0]
    assert len(rises) == RISES == 10
    assert rises == pytest.approx(np.full(10, -sign * 0.17))
    assert np.flatnonzero(steps).tolist() == list(range(2, 12))  # one after the other
    assert profile[-1] == 0


def test_slopes_have_their_angle():
    ground = terrain.generate("slope_down", 1, 0, (0.3, 0.3))
    x = np.array([TILE / 2 + 1.5, TILE / 2 + 2.5])
    high, low = ground.height(np.stack([x, np.full(2, TILE / 2 + 0.01)], 1))
    assert high - low == pytest.approx(np.tan(0.3))
    assert ground.normal(np.array([x[0], TILE / 2 + 0.01])) == pytest.approx(
        np.array([np.sin(0.3), 0, np.cos(0.3)])
    )


@pytest.mark.parametrize("name", ["noise", "waves", "slopes", "rough"])
def test_normals_are_those_of_the_heights(name):
    ground = terrain.generate(name, 2, 0)
    places, step = random_places(ground), 1e-6
    slopes = [
        (ground.surface(places + shift)[0] - ground.surface(places - shift)[0]) / (2 * step)
        for shift in np.eye(2) * step
    ]
    expected = np.stack([-slopes[0], -slopes[1], np.ones(len(places))], 1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    # At a few places the difference reaches across the edge of a triangle.
    close = np.abs(ground.normal(places) - expected).max(axis=1) < 1e-6
    assert close.mean() > 0.99


@pytest.mark.parametrize("name", TERRAINS)
def test_nearest_is_close_and_exact_on_blocks(name):
    ground = terrain.generate(name, 2, 0)
    places = random_places(ground)
    error = np.abs(ground.nearest(places) - ground.height(places))
    if ground.smooth is None:
        assert error.max() < 1e-6  # single precision
    normal = ground.normal(places)
    steepest = np.max(np.sqrt(1 - normal[:, 2] ** 2) / normal[:, 2])
    # 2.5 cm along each axis; a triangle further on may be a little steeper.
    assert error.max() < 1e-6 + 0.025 * np.sqrt(2) * 1.5 * steepest
    assert ground.nearest(places.astype(np.float32)).dtype == np.float32


def test_beyond_the_field_is_the_height_of_its_edge():
    ground = random_blocks(0)
    width, depth = ground.size
    inside = np.array([[0.1, 3.0], [width - 0.1, 3.0], [3.0, 0.1], [3.0, depth - 0.1]])
    outside = np.array([[-9.0, 3.0], [width + 9, 3.0], [3.0, -1e9], [3.0, 1e300]])
    for read in (ground.height, ground.nearest):
        assert (read(outside) == read(inside)).all()
    _, around = ground.corner(outside)
    assert (around[0, 2:] == around[0, :2]).all()


@given(st.integers(0, 2**32 - 1))
def test_the_blocks_around_a_corner_are_all_within_15_cm(seed):
    ground = random_blocks(seed % 7)
    rng = np.random.default_rng(seed)
    width, depth = ground.size
    places = rng.uniform([-1, -1], [width + 1, depth + 1], (50, 2))
    corner, around = ground.corner(places)
    assert np.abs(corner - places).max() <= CELL / 2 + 1e-9
    near = places + rng.uniform(-CELL / 2, CELL / 2, (50, 2))
    side = (near >= corner).astype(int)
    expected = around[np.arange(50), side[:, 0] * 2 + side[:, 1]]
    assert (ground.height(near) == expected).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: terrain.generate("stars", 3, 0), "no terrain 'stars'.*did you mean 'stairs'"),
        (lambda: terrain.generate("stairs", 0, 0), "levels must be 1 to 64, got 0"),
        (lambda: terrain.generate("stairs", 65, 0), "levels must be 1 to 64, got 65"),
        (
            lambda: terrain.generate("stairs", 2, 0, (0.5, 1.5)),
            "neighbouring blocks differ by 1.5 m; at most 1 m is allowed",
        ),
        (lambda: Terrain(np.zeros((5, 27)), np.zeros((16, 82))), r"27 blocks.*got \(5, 27\)"),
        (lambda: Terrain(np.zeros((27, 27)), np.zeros((9, 9))), r"must have \(82, 82\) nodes"),
        (
            lambda: Terrain(np.full((27, 27), np.nan), np.zeros((82, 82))),
            "heights of a terrain must be finite",
        ),
        (
            lambda: terrain.generate("stairs", 3, 0).centre(np.array(3), np.array(0)),
            "a level must be from 0 to 2, got",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_documents_have_the_range_of_each_kind():
    page = (Path(__file__).parents[1] / "docs" / "terrain.md").read_text()
    for kind in KINDS.values():
        assert f"| `{kind.name}` | {kind.low:g} | {kind.high:.3g} | {kind.meaning} |\n" in page


def test_places_may_be_whole_numbers():
    ground = terrain.generate("stairs", 2, seed=0)
    places = np.array([[3, 4], [8, 9], [12, 12]])
    for look_up in (ground.height, ground.nearest):
        assert look_up(places) == pytest.approx(look_up(places.astype(float)))
    assert len(set(ground.height(places))) > 1
