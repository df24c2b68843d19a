# SPDX-License-Identifier: Apache-2.0
"""Random streams: what row i draws depends on its seed and its earlier draws alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motrix_gym.random import RandomStreams

SEEDS = st.integers(0, 2**64 - 1)
MASK = 2**64 - 1


def streams(seeds):
    made = RandomStreams(len(seeds))
    made.seed(seeds)
    return made


def splitmix(z):
    """SplitMix64's output function, in Python's integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(SEEDS, st.integers(1, 5))
def test_the_numbers_are_those_of_the_definition(seed, count):
    golden = 0x9E3779B97F4A7C15
    key = splitmix((splitmix((seed + golden) & MASK) + golden) & MASK)
    words = [splitmix((key + k * golden) & MASK) for k in range(count)]
    drawn = streams([seed]).rows().uniform(size=count)
    assert drawn[0].tolist() == [(word >> 11) * 2.0**-53 for word in words]


def test_golden_values():
    """Episodes of today must be those of tomorrow."""
    assert splitmix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # the generator's published start
    drawn = streams([0, 1]).rows().uniform(size=2)
    assert drawn.tolist() == GOLDEN


GOLDEN = [
    [0.7054856102290845, 0.13870941014555427],
    [0.6559681971235741, 0.6935121390102292],
]


@given(st.lists(SEEDS, min_size=2, max_size=6, unique=True), st.integers(0, 5))
def test_a_row_does_not_see_the_others(seeds, row):
    row %= len(seeds)
    many, one = streams(seeds), streams([seeds[row]])
    expected = [one.rows().uniform(-1, 2, 3), one.rows().normal(size=2), one.rows().integers(0, 9)]
    others = np.delete(np.arange(len(seeds)), row)
    got = []
    for draw in (
        lambda r: r.uniform(-1, 2, 3),
        lambda r: r.normal(size=2),
        lambda r: r.integers(0, 9),
    ):
        many.rows(others).uniform(size=7)
        got.append(draw(many.rows(np.array([row]))))
    for a, b in zip(got, expected, strict=True):
        assert np.array_equal(a, b)


@given(SEEDS, st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_drawing_in_pieces_gives_the_same_numbers(seed, pieces):
    whole = streams([seed]).rows().uniform(size=sum(pieces))
    stream = streams([seed])
    parts = [stream.rows().uniform(size=n) for n in pieces]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    assert stream.count.tolist() == [sum(pieces)]


def test_seeding_some_rows_leaves_the_others_as_they_are():
    some, plain = streams([1, 2, 3]), streams([1, 2, 3])
    some.rows().uniform(size=5)
    plain.rows().uniform(size=5)
    some.seed([9], [1])
    a, b, new = some.rows().uniform(), plain.rows().uniform(), streams([9]).rows().uniform()
    assert np.array_equal(a, [b[0], new[0], b[2]])


def test_selected_rows_count_within_the_view():
    many = streams(range(10))
    chosen = many.rows(np.array([2, 5, 7])).select(np.array([0, 2]))
    assert np.array_equal(chosen.uniform(), streams([2, 7]).rows().uniform())
    assert np.flatnonzero(many.count).tolist() == [2, 7]
    whole = many.rows().select(np.array([4]))
    assert np.array_equal(whole.uniform(), streams([4]).rows().uniform())


@pytest.mark.parametrize("size", [(), 1, 3, (2, 3), (4, 1, 2)])
def test_shapes(size):
    shape = (5, *((size,) if isinstance(size, int) else size))
    rng = streams(range(5)).rows()
    assert rng.uniform(size=size).shape == shape
    assert rng.normal(size=size).shape == shape
    assert rng.integers(0, 3, size).shape == shape
    assert rng.integers(0, 3, size).dtype == np.int64


def test_bounds_broadcast():
    low, high = np.array([0.0, 10.0, -5.0]), np.array([1.0, 20.0, -4.0])
    drawn = streams(range(1000)).rows().uniform(low, high, 3)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    assert np.allclose(drawn.mean(0), (low + high) / 2, atol=0.05 * (high - low))
    per_row = streams(range(4)).rows().uniform(np.arange(4.0), np.arange(4.0) + 0.5)
    assert np.array_equal(np.floor(per_row), np.arange(4))


def test_uniform_fills_its_range_evenly():
    drawn = np.sort(streams(range(200)).rows().uniform(size=500).ravel())
    # Kolmogorov-Smirnov distance; beyond 1.95 / sqrt(n) with probability 0.001.
    distance = abs(drawn - np.arange(1, drawn.size + 1) / drawn.size).max()
    assert distance < 1.95 / np.sqrt(drawn.size)


def test_uniform32_fills_its_range_evenly():
    drawn = streams(range(200)).rows().uniform32(501)
    assert drawn.dtype == np.float32
    assert drawn.shape == (200, 501)
    assert drawn.min() >= -1
    assert drawn.max() < 1
    unit = np.sort((drawn.ravel() + 1) / 2)
    distance = abs(unit - np.arange(1, unit.size + 1) / unit.size).max()
    assert distance < 1.95 / np.sqrt(unit.size)


def test_uniform32_uses_both_halves_of_its_words():
    stream = streams([3])
    drawn = stream.rows().uniform32(5)
    assert stream.count.tolist() == [3]
    assert len(np.unique(drawn)) == 5


def test_normal_is_normal():
    drawn = streams(range(400)).rows().normal(2.0, 3.0, 500)
    unit = (drawn.ravel() - 2) / 3
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert np.mean(unit**power) == pytest.approx(moment, abs=0.06)
    assert 3.9 < abs(unit).max() < 6.5
    assert np.isfinite(unit).all()


def test_integers_take_each_value_alike():
    drawn = streams(range(300)).rows().integers(-2, 3, 100)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert np.allclose(counts / drawn.size, 0.2, atol=0.01)


def test_integers_of_no_value_raise():
    with pytest.raises(ValueError, match="low=3, high=3"):
        streams([0]).rows().integers(3, 3)


def test_neighbouring_seeds_and_draws_are_unrelated():
    drawn = streams(range(400)).rows().uniform(size=400) - 0.5
    spread = 1 / 12 / np.sqrt(drawn.size)
    assert abs(np.mean(drawn[1:] * drawn[:-1])) < 4 * spread
    assert abs(np.mean(drawn[:, 1:] * drawn[:, :-1])) < 4 * spread
    assert abs(np.mean(drawn[1:, 1:] * drawn[:-1, :-1])) < 4 * spread
    assert np.std(drawn.mean(1)) == pytest.approx(np.sqrt(1 / 12 / 400), rel=0.15)


def test_seeds_beyond_64_bits_are_taken():
    drawn = streams([2**64 + 5, 5, 2**64 - 1]).rows().uniform()
    assert drawn[0] == drawn[1] != drawn[2]
