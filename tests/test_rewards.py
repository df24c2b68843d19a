# SPDX-License-Identifier: Apache-2.0
"""Reward kernels against dm_control's definition and its closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motrix_gym.rewards import sum_of_squares, tolerance, tracking

# dm_control's values half way to the margin, with value_at_margin = 0.1.
HALF_WAY = {
    "gaussian": 0.1**0.25,
    "hyperbolic": 1 / np.sqrt(5.5),
    "long_tail": 1 / 3.25,
    "reciprocal": 1 / 5.5,
    "cosine": (1 + np.sqrt(0.1)) / 2,
    "linear": 0.55,
    "quadratic": 0.775,
    "tanh_squared": 1 - (1 - np.sqrt(0.1)) / (1 + np.sqrt(0.1)),
}
# And at twice the margin.
TWICE = {
    "gaussian": 1e-4,
    "hyperbolic": 1 / 199,
    "long_tail": 1 / 37,
    "reciprocal": 1 / 19,
    "cosine": 0.0,
    "linear": 0.0,
    "quadratic": 0.0,
    "tanh_squared": 1 - (2 * np.sqrt(0.9) / 1.9) ** 2,
}
REACHING_ZERO = ("cosine", "linear", "quadratic")

kinds = st.sampled_from(sorted(HALF_WAY))
numbers = st.floats(-1e3, 1e3)


@pytest.mark.parametrize("kind", HALF_WAY)
def test_values_are_dm_controls(kind):
    x = np.array([-4.0, -2.0, -1.0, 0.0, 3.0, 4.0, 5.0, 7.0])  # bounds [0, 3], margin 2
    expected = [TWICE[kind], 0.1, HALF_WAY[kind], 1, 1, HALF_WAY[kind], 0.1, TWICE[kind]]
    got = tolerance(x, (0.0, 3.0), 2.0, kind)
    assert got == pytest.approx(np.array(expected), rel=1e-9, abs=1e-12)


def test_defaults_are_dm_controls():
    assert tolerance(np.array([0.0, 1e-9])).tolist() == [1.0, 0.0]
    assert tolerance(np.array([0.25]), margin=0.5) == pytest.approx(HALF_WAY["gaussian"])


@given(kinds, numbers, st.floats(0, 100), st.floats(0.01, 100), st.floats(0.001, 0.999))
def test_one_inside_and_the_chosen_value_at_the_margin(kind, lower, width, margin, value):
    bounds = (lower, lower + width)
    inside = np.array([lower, lower + width, lower + width / 2])
    assert tolerance(inside, bounds, margin, kind, value).tolist() == [1, 1, 1]
    edges = np.array([bounds[0] - margin, bounds[1] + margin])
    got = tolerance(edges, bounds, margin, kind, value)
    assert got == pytest.approx(value, abs=1e-6 + 1e-9 * abs(lower) / margin)


@given(kinds, st.lists(st.floats(0, 50), min_size=2, max_size=8), st.floats(0.01, 100))
def test_falls_with_the_distance_within_zero_and_one(kind, distances, margin):
    x = np.sort(distances)
    got = tolerance(x, (0, 0), margin, kind)
    assert ((got >= 0) & (got <= 1)).all()
    assert (np.diff(got) <= 1e-12).all()
    assert np.array_equal(got, tolerance(-x, (0, 0), margin, kind))


@pytest.mark.parametrize("kind", HALF_WAY)
def test_infinite_bounds_are_one_sided(kind):
    x = np.array([-1e6, 0.0, 1.0, 1.5, 2.0])
    got = tolerance(x, (1.0, np.inf), 1.0, kind)
    assert got[2:].tolist() == [1, 1, 1]
    assert got[1] == pytest.approx(0.1)
    assert tolerance(-x, (-np.inf, -1.0), 1.0, kind).tolist() == got.tolist()


def test_no_margin_is_a_hard_edge():
    got = tolerance(np.array([[-1.0, 0.0], [0.5, 1.5]]), (0.0, 1.0))
    assert got.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("kind", REACHING_ZERO)
def test_zero_at_the_margin_where_the_shape_reaches_it(kind):
    got = tolerance(np.array([0.0, 1.0, 2.0]), (0, 0), 1.0, kind, 0.0)
    assert got == pytest.approx([1, 0, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"bounds": (1, 0)}, r"lower <= upper, got \(1, 0\)"),
        ({"margin": -1}, "margin must be >= 0, got -1"),
        ({"margin": 1, "sigmoid": "round"}, "unknown sigmoid 'round': choose from gaussian"),
        ({"margin": 1, "value_at_margin": 1}, r"in \(0, 1\) for gaussian, got 1"),
        ({"margin": 1, "value_at_margin": 0}, r"in \(0, 1\) for gaussian, got 0"),
        ({"margin": 1, "value_at_margin": 1, "sigmoid": "linear"}, r"in \[0, 1\) for linear"),
        ({"margin": 1, "value_at_margin": -0.1, "sigmoid": "cosine"}, r"in \[0, 1\) for cosine"),
    ],
)
def test_impossible_arguments_raise(kwargs, message):
    with pytest.raises(ValueError, match=message):
        tolerance(np.zeros(2), **kwargs)


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0.1, 10))
def test_tracking_is_a_gaussian_of_the_distance(x, y, scale):
    got = tracking(np.array([[x, y], [0.0, 0.0]]), scale)
    assert got[0] == pytest.approx(np.exp(-(x * x + y * y) / scale**2))
    assert got[1] == 1


def test_tracking_is_one_over_e_at_its_scale():
    assert tracking(np.array([[0.3, 0.4]]), 0.5) == pytest.approx(np.exp(-1))


def test_a_sum_of_squares_does_not_depend_on_the_other_rows():
    x = np.random.default_rng(0).normal(size=(64, 18))
    transposed = x[:, np.array([0, 3, 6, 9])]  # its rows are not contiguous
    for rows in (x, x[:, 6:], x[:, 3:5], transposed):
        together = sum_of_squares(rows)
        alone = [sum_of_squares(rows[i : i + 1])[0] for i in range(len(rows))]
        assert (together == alone).all()
        assert together == pytest.approx(np.linalg.norm(rows, axis=-1) ** 2)
