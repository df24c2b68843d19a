# SPDX-License-Identifier: Apache-2.0
"""Building blocks of rewards: functions that turn an error or a quantity into 0 to 1."""

from typing import Any

import numpy as np

_SIGMOIDS = (
    "gaussian",
    "hyperbolic",
    "long_tail",
    "reciprocal",
    "cosine",
    "linear",
    "quadratic",
    "tanh_squared",
)


def sum_of_squares(x: np.ndarray) -> np.ndarray:
    """Sum of squares over the last axis: (n, ..., k) -> (n, ...)."""
    x = np.ascontiguousarray(x)  # else the order of the sum could depend on n
    return np.einsum("...i,...i->...", x, x)


def tracking(error: np.ndarray, scale: float) -> np.ndarray:
    """exp(-|error|^2 / scale^2) over the last axis: 1 on target, 1/e at distance ``scale``.

    Args:
        error: (n, k) difference between what is and what is asked for.
        scale: the distance, in the error's unit, at which the reward is 1/e.
    """
    return np.exp(sum_of_squares(error) * (-1.0 / scale**2))


def tolerance(
    x: np.ndarray,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: float = 0.0,
    sigmoid: str = "gaussian",
    value_at_margin: float = 0.1,
) -> np.ndarray:
    """1 where ``x`` lies within ``bounds``, falling towards 0 with the distance outside.

    The definition is dm_control's (Tassa et al., "DeepMind Control Suite", 2018).

    Args:
        x: any shape.
        bounds: inclusive (lower, upper); either may be infinite.
        margin: distance from the bounds at which the value is ``value_at_margin``; 0 gives a
            hard edge.
        sigmoid: the shape of the fall, one of gaussian, hyperbolic, long_tail, reciprocal,
            cosine, linear, quadratic, tanh_squared.
        value_at_margin: in (0, 1); 0 is allowed for cosine, linear and quadratic.

    Raises:
        ValueError: if an argument is outside what is said above.
    """
    lower, upper = bounds
    if lower > upper:
        raise ValueError(f"bounds must have lower <= upper, got {bounds}")
    if margin < 0:
        raise ValueError(f"margin must be >= 0, got {margin}")
    if margin == 0:
        return np.where((lower <= x) & (x <= upper), 1.0, 0.0)
    outside = np.maximum(np.maximum(lower - x, x - upper), 0.0)
    return _sigmoid(outside / margin, value_at_margin, sigmoid)


def _sigmoid(x: Any, value_at_1: float, kind: str) -> np.ndarray:
    """1 at x = 0 and ``value_at_1`` at x = 1, for x >= 0."""
    if kind not in _SIGMOIDS:
        raise ValueError(f"unknown sigmoid {kind!r}: choose from {', '.join(_SIGMOIDS)}")
    reaches_zero = kind in ("cosine", "linear", "quadratic")
    if not (0 <= value_at_1 < 1 if reaches_zero else 0 < value_at_1 < 1):
        interval = "[0, 1)" if reaches_zero else "(0, 1)"
        raise ValueError(f"value_at_margin must be in {interval} for {kind}, got {value_at_1}")
    if kind == "gaussian":
        return np.exp(-0.5 * np.square(x * np.sqrt(-2 * np.log(value_at_1))))
    if kind == "hyperbolic":
        return 1 / np.cosh(np.minimum(x * np.arccosh(1 / value_at_1), 700.0))  # no overflow
    if kind == "long_tail":
        return 1 / (np.square(x * np.sqrt(1 / value_at_1 - 1)) + 1)
    if kind == "reciprocal":
        return 1 / (x * (1 / value_at_1 - 1) + 1)
    if kind == "tanh_squared":
        return 1 - np.square(np.tanh(x * np.arctanh(np.sqrt(1 - value_at_1))))
    if kind == "cosine":
        scaled = x * np.arccos(2 * value_at_1 - 1) / np.pi
        return (1 + np.cos(np.pi * np.minimum(scaled, 1.0))) / 2
    scaled = x * (1 - value_at_1 if kind == "linear" else np.sqrt(1 - value_at_1))
    fall = scaled if kind == "linear" else np.square(scaled)
    return np.maximum(1 - fall, 0.0)
