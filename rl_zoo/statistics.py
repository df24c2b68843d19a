# SPDX-License-Identifier: Apache-2.0
"""Figures over episodes: their mean, its interval, and what that says of a goal."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from motrix_gym import Goal

RESAMPLES = 2000  # of the bootstrap
Z = 1.959964  # the normal distribution's 97.5 % quantile
MET, ON_AVERAGE, NOT_MET = "met", "met on average", "not met"  # what a goal's verdict may be


class Summary(NamedTuple):
    """A figure over the episodes: mean, interquartile mean, interval, minimum and maximum.

    `low` to `high` is a 95 % interval of the mean.
    """

    mean: float
    iqm: float
    low: float
    high: float
    min: float
    max: float

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON; what is not finite becomes None."""
        return {name: x if math.isfinite(x) else None for name, x in self._asdict().items()}


def summarise(values: np.ndarray, rate: bool = False) -> Summary:
    """Returns the summary of a figure, (episodes,).

    The interval is of the percentile bootstrap. For a rate, whose values are 0 or 1, it is
    Wilson's, since all bootstrap samples of 0 falls in 100 episodes have 0 falls. A single episode
    has no interval: it is from minus to plus infinity.
    """
    if rate:
        low, high = wilson(int(values.sum()), len(values))
    elif len(values) == 1:
        low, high = -math.inf, math.inf
    else:
        generator, n = np.random.default_rng(0), len(values)
        means = [values[generator.integers(n, size=n)].mean() for _ in range(RESAMPLES)]
        low, high = np.percentile(means, [2.5, 97.5])
    numbers = values.mean(), interquartile_mean(values), low, high, values.min(), values.max()
    return Summary(*map(float, numbers))


def wilson(count: int, n: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a rate of which `count` of n episodes were found.

    With p = count / n and z = 1.96 it is (p + z² / 2n ± z sqrt(p (1 - p) / n + z² / 4n²)) /
    (1 + z² / n): E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22, 1927. Of 0 in n, it reaches
    3.84 / (n + 3.84).
    """
    p, part = count / n, Z**2 / n
    half = Z * math.sqrt(p * (1 - p) / n + part / (4 * n))
    low, high = ((p + part / 2 + sign * half) / (1 + part) for sign in (-1, 1))
    return max(low, 0.0) if count else 0.0, min(high, 1.0) if count < n else 1.0


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean of the middle half along the last axis, a quarter cut off at each end.

    The quarter is rounded down, as by scipy.stats.trim_mean.
    """
    cut, n = values.shape[-1] // 4, values.shape[-1]
    return np.sort(values, axis=-1)[..., cut : n - cut].mean(axis=-1)


def verdict(goal: "Goal", summary: Summary, faults: int = 0) -> str:
    """Returns how a goal is met.

    MET: by all of the interval of its figure's mean. ON_AVERAGE: by the mean alone. NOT_MET: not
    even so, or `faults` episodes ended in a diverged simulation.
    """
    if faults or not goal.met(summary.mean):
        return NOT_MET
    return MET if goal.met(summary.low) and goal.met(summary.high) else ON_AVERAGE
