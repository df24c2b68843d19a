# SPDX-License-Identifier: Apache-2.0
"""Figures over seeds: means, their 95 % intervals, and tests of the difference of two means."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rl_zoo.statistics import bootstrap, interquartile_mean

RESAMPLES = 50_000  # of the bootstrap over seeds, as in rliable


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns the mean and half its 95 % interval (Student's t); None for a single value."""
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return mean, None
    return mean, float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def iqm_and_interval(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Returns the interquartile mean over runs and its 95 % interval; None for a single run.

    As in Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    NeurIPS 2021: the mean of the middle half, and the percentile interval of a bootstrap that draws
    runs with replacement within each task; here, each table row is of one task. Their library,
    rliable, is not used, since it needs pandas, seaborn and arch for these few lines.
    """
    scores = np.array(values, float)
    middle = float(interquartile_mean(scores))
    if len(scores) == 1:
        return middle, None
    return middle, bootstrap(scores, interquartile_mean, RESAMPLES)


def difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float | None]:
    """Returns the difference of two means and half its 95 % interval (Welch).

    The interval is None if either side has a single value, or one that is not finite.
    """
    gap = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) == 1 or not np.isfinite([*ours, *theirs]).all():
        return gap, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of equal values, as of a solved task
        test = stats.ttest_ind(ours, theirs, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return gap, float(high - low) / 2


def equivalence(low: float, high: float, margin: float) -> str:
    """Returns the verdict on the interval, `low` to `high`, of a difference, ours minus theirs.

    "equivalent": the interval is within the margin. "not worse": it is above minus the margin
    (non-inferiority). "worse": it is below zero, and reaches below minus the margin. "not shown to
    be worse": it reaches from below minus the margin to zero or above; more seeds are needed.
    """
    if low >= -margin:
        return "equivalent" if high <= margin else "not worse"
    return "worse" if high < 0 else "not shown to be worse"
