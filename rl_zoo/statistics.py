# SPDX-License-Identifier: Apache-2.0
"""Figures over episodes: their mean, its 95 % interval, and whether a goal is met."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from motrix_gym import Goal

RESAMPLES = 2000  # of the bootstrap
BATCH = 100_000  # numbers that a bootstrap draws at a time, which bounds its memory
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

    The interval is a percentile bootstrap's. For a rate, whose values are 0 or 1, it is Wilson's
    score interval: with 0 falls in 100 episodes, every bootstrap sample would have 0 falls. For a
    single episode it is from minus to plus infinity.
    """
    from scipy import stats

    if rate:
        low, high = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
    elif len(values) == 1:
        low, high = -math.inf, math.inf
    else:
        low, high = bootstrap(values, np.mean, RESAMPLES)
    numbers = values.mean(), interquartile_mean(values), low, high, values.min(), values.max()
    return Summary(*map(float, numbers))


def bootstrap(values: np.ndarray, statistic: Any, resamples: int) -> tuple[float, float]:
    """Returns the 95 % percentile interval of a statistic of two or more values.

    Args:
        values: (n,) independent draws.
        statistic: A function of an array and an `axis`.
        resamples: Number of samples that are drawn, always the same ones.
    """
    from scipy import stats

    found = stats.bootstrap(
        (values,),
        statistic,
        n_resamples=resamples,
        batch=max(BATCH // len(values), 1),
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = found.confidence_interval
    return float(low), float(high)


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns the mean of the middle half; the quarter cut off at each end is rounded down."""
    from scipy import stats

    return stats.trim_mean(values, 0.25, axis=axis)


def verdict(goal: "Goal", summary: Summary, faults: int = 0) -> str:
    """Returns whether a goal is met.

    MET: the whole interval of its figure's mean meets it. ON_AVERAGE: the mean meets it, and the
    interval does not. NOT_MET: the mean does not, or `faults` episodes ended in a diverged
    simulation.
    """
    if faults or not goal.met(summary.mean):
        return NOT_MET
    return MET if goal.met(summary.low) and goal.met(summary.high) else ON_AVERAGE
