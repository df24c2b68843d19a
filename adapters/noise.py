# SPDX-License-Identifier: Apache-2.0
"""Noise of actions that is correlated in time and has the same distribution in every step."""

import math
from typing import Any


def correlated(fresh: Any, last: Any, correlation: float) -> Any:
    """Returns standard normal noise that follows `last`, arrays of any library.

    Args:
        fresh: Independent standard normal noise.
        last: The noise of the step before, of the same shape.
        correlation: Of each entry with that of the step before, from 0 to 1.
    """
    return correlation * last + math.sqrt(1.0 - correlation**2) * fresh
