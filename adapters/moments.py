# SPDX-License-Identifier: Apache-2.0
"""Running mean and variance in NumPy, and the scale that they give to a normaliser."""

import math
from typing import Any, NamedTuple

import numpy as np

from motrix_gym import Reflection

STD_EPSILON = 1e-4  # added to the std, so that a constant entry is not divided by zero


class Scale(NamedTuple):
    """A normaliser with fixed statistics, float32, for arrays of NumPy or JAX.

    Attributes:
        mean: Subtracted from a sample.
        std: Divides it.
        clip: Bound on the normalised sample; inf for none.
    """

    mean: np.ndarray
    std: np.ndarray
    clip: np.float32

    def normalize(self, x: Any) -> Any:
        """Returns (x - mean) / std within the bound."""
        return ((x - self.mean) / self.std).clip(-self.clip, self.clip)

    def denormalize(self, x: Any) -> Any:
        """Returns mean + std * x."""
        return self.mean + self.std * x


class Moments:
    """Mean and variance over all samples so far, in float64: exact after any number of them.

    Args:
        shape: Shape of one sample.
        enabled: Whether to normalise; if not, the scale is and stays the identity.
        clip: Bound on normalised samples.
        reflection: Counts every sample's mirror image too. So the normalised mirror image is the
            mirror image of the normalised sample.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        enabled: bool = True,
        clip: float = math.inf,
        reflection: Reflection | None = None,
    ):
        self.mean, self.variance, self.count = np.zeros(shape), np.ones(shape), np.zeros(())
        self.enabled, self.reflection = enabled, reflection
        self.clip = clip if enabled else math.inf

    @property
    def scale(self) -> Scale:
        """The scale as it is now, in arrays that later samples leave alone."""
        std = np.sqrt(self.variance) + (STD_EPSILON if self.enabled else 0.0)
        return Scale(self.mean.astype(np.float32), std.astype(np.float32), np.float32(self.clip))

    def warm_up(self, samples: np.ndarray, least_std: float = 0.0) -> None:
        """Uses the scale of some samples (n, *shape) until the first `fold`, which replaces it.

        Entries of which samples were counted before keep their scale.
        """
        if self.enabled:
            if self.reflection:
                samples = np.concatenate([samples, self.reflection(samples)])
            variance = samples.var(axis=0, dtype=np.float64).clip(least_std**2)
            self.mean = np.where(self.count, self.mean, samples.mean(axis=0, dtype=np.float64))
            self.variance = np.where(self.count, self.variance, variance)

    def start_from(self, mean: np.ndarray, std: np.ndarray, count: np.ndarray) -> None:
        """Takes a scale's mean and std (*shape), as if samples had given them.

        Args:
            mean: Mean of each entry.
            std: Standard deviation of each entry.
            count: The number of samples, () or of each entry (*shape).
        """
        if self.enabled:
            self.mean, self.count = mean.astype(np.float64), count
            self.variance = (std.astype(np.float64) - STD_EPSILON).clip(0.0) ** 2

    def fold(self, means: np.ndarray, variances: np.ndarray, size: int) -> None:
        """Takes in g groups of `size` samples each.

        Args:
            means: (g, *shape) mean of each group.
            variances: (g, *shape) variance of each group.
            size: Samples of a group.
        """
        if not self.enabled:
            return
        means = means.astype(np.float64)
        if self.reflection:
            means = np.concatenate([means, self.reflection(means)])
            variances = np.concatenate([variances, abs(self.reflection(variances))])
        variance = variances.mean(axis=0, dtype=np.float64) + means.var(axis=0)
        self.count = self.count + float(size * len(means))
        share = size * len(means) / self.count
        difference = means.mean(axis=0) - self.mean
        self.mean = self.mean + share * difference
        spread = share * (1.0 - share) * difference**2
        self.variance = (1.0 - share) * self.variance + share * variance + spread

    def state(self) -> dict[str, np.ndarray]:
        """Returns the accumulators."""
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a `state()`."""
        self.mean, self.variance, self.count = (np.array(state[name]) for name in self.state())
