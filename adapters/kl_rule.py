# SPDX-License-Identifier: Apache-2.0
"""The KL-adaptive learning rate, by the rule of skrl's `KLAdaptiveLR`."""

from typing import Any

import numpy as np

KL_FACTOR = 2.0  # the rate moves where the divergence is this many times above or below
RATE_FACTOR = 1.5  # by which it moves


def adapted_rate(
    rate: Any, divergence: Any, threshold: float, lowest: float, highest: Any, xp: Any = np
) -> Any:
    """Returns the learning rate after an epoch.

    It falls if the policy moved too far from the one that acted, and rises if it hardly moved.

    Args:
        rate: The learning rate before.
        divergence: Mean KL divergence of the epoch; if it is NaN, the rate stays.
        threshold: The divergence to aim at.
        lowest: Floor of the rate.
        highest: Ceiling of the rate.
        xp: The library of the arrays: `numpy`, or `jax.numpy` in compiled code.
    """
    lower = xp.maximum(rate / RATE_FACTOR, lowest)
    higher = xp.minimum(rate * RATE_FACTOR, highest)
    rate = xp.where(divergence < threshold / KL_FACTOR, higher, rate)
    return xp.where(divergence > threshold * KL_FACTOR, lower, rate)
