# SPDX-License-Identifier: Apache-2.0
"""Running moments: exact over many samples, with mirror images, and from a policy."""

import numpy as np
import pytest

from adapters.moments import STD_EPSILON, Moments


def groups(samples: np.ndarray) -> dict:
    """Moments of (groups, size, obs) samples as `fold` takes them, in the float32 of a device."""
    return {
        "means": samples.mean(axis=1, dtype=np.float32),
        "variances": samples.var(axis=1, dtype=np.float32),
        "size": samples.shape[1],
    }


def test_folding_in_parts_gives_the_moments_of_all_samples():
    samples = np.random.default_rng(0).normal([5.0, -300.0], [0.1, 20.0], (12, 50, 2))
    samples = samples.astype(np.float32)
    moments = Moments((2,))
    for part in np.split(samples, [1, 5]):
        moments.fold(**groups(part))
    everything = samples.reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(moments.mean, everything.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, everything.var(axis=0), rtol=1e-4)
    assert moments.count == 600


def test_nothing_is_lost_after_a_hundred_million_samples():
    moments = Moments(())
    moments.restore({"mean": np.zeros(()), "variance": np.ones(()), "count": np.array(2.0**53 - 1)})
    moments.fold(np.ones(1, np.float32), np.ones(1, np.float32), size=1)
    assert moments.count == 2.0**53
    moments.restore({"mean": np.zeros(()), "variance": np.ones(()), "count": np.array(1e8)})
    for _ in range(1000):
        moments.fold(np.ones(1, np.float32), np.ones(1, np.float32), size=1)
    assert moments.mean == pytest.approx(1000 / (1e8 + 1000), rel=1e-9)


def test_the_first_fold_replaces_the_warm_up():
    moments = Moments((2,))
    moments.warm_up(np.array([[1.0, 5.0], [3.0, 5.0]]), least_std=0.5)
    np.testing.assert_allclose(moments.scale.mean, [2.0, 5.0])
    np.testing.assert_allclose(moments.scale.std, np.array([1.0, 0.5]) + STD_EPSILON, rtol=1e-6)
    moments.fold(np.full((1, 2), 7.0), np.full((1, 2), 4.0), size=3)
    np.testing.assert_array_equal(moments.mean, [7.0, 7.0])
    np.testing.assert_array_equal(moments.variance, [4.0, 4.0])
    moments.warm_up(np.zeros((2, 2)))
    np.testing.assert_array_equal(moments.mean, [7.0, 7.0])


def test_entries_that_start_anew_take_the_moments_of_their_samples_alone():
    moments = Moments((2,))
    moments.start_from(np.array([1.0, 0.0]), np.array([2.0, 1.0]), np.array([1e6, 0.0]))
    moments.warm_up(np.array([[9.0, 3.0], [9.0, 5.0]]))
    np.testing.assert_array_equal(moments.mean, [1.0, 4.0])
    moments.fold(np.full((1, 2), 7.0), np.full((1, 2), 4.0), size=10)
    assert moments.mean[1] == 7.0 and moments.variance[1] == 4.0
    assert moments.mean[0] == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_array_equal(moments.count, [1e6 + 10, 10])


def test_a_scale_is_bounded_and_inverts():
    moments = Moments((), clip=5.0)
    moments.fold(np.array([2.0]), np.array([9.0]), size=4)
    scale = moments.scale
    np.testing.assert_allclose(
        scale.denormalize(scale.normalize(np.array([-1.0, 2.0]))), [-1, 2], 1e-5
    )
    np.testing.assert_array_equal(scale.normalize(np.array([-99.0, 99.0])), [-5.0, 5.0])


def test_disabled_moments_stay_the_identity():
    moments = Moments((1,), enabled=False, clip=5.0)
    moments.warm_up(np.array([[4.0], [8.0]]))
    moments.fold(np.array([[4.0]]), np.array([[8.0]]), size=9)
    x = np.array([[123.25]], np.float32)
    np.testing.assert_array_equal(moments.scale.normalize(x), x)
    np.testing.assert_array_equal(moments.scale.denormalize(x), x)


def test_a_constant_is_not_blown_up():
    moments = Moments((1,))
    constant = np.full((3, 100, 1), 9.81, np.float32)
    moments.fold(**groups(constant))
    assert np.abs(moments.scale.normalize(constant)).max() < 0.1
