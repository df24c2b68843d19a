# SPDX-License-Identifier: Apache-2.0
"""The KL-adaptive rate falls and rises by skrl's rule, in NumPy and in JAX."""

import math

import pytest

from adapters.kl_rule import adapted_rate

LIMITS = {"threshold": 0.008, "lowest": 1e-6, "highest": 1e-3}
CASES = [
    (3e-4, 0.0161, 2e-4),
    (3e-4, 0.016, 3e-4),
    (3e-4, 0.008, 3e-4),
    (3e-4, 0.004, 3e-4),
    (3e-4, 0.0039, 4.5e-4),
    (9e-4, 0.0, 1e-3),
    (1.2e-6, 1.0, 1e-6),
    (3e-4, math.nan, 3e-4),
]


@pytest.mark.parametrize(("rate", "divergence", "expected"), CASES)
def test_the_rate_keeps_the_divergence_near_its_threshold(rate, divergence, expected):
    assert adapted_rate(rate, divergence, **LIMITS) == pytest.approx(expected)


@pytest.mark.parametrize(("rate", "divergence", "expected"), CASES)
def test_compiled_code_follows_the_same_rule(rate, divergence, expected):
    jax = pytest.importorskip("jax")
    compiled = jax.jit(lambda *numbers: adapted_rate(*numbers, **LIMITS, xp=jax.numpy))
    assert compiled(rate, divergence) == pytest.approx(expected)


@pytest.mark.parametrize(("rate", "divergence", "expected"), CASES)
def test_the_rule_is_that_of_skrl(rate, divergence, expected):
    torch = pytest.importorskip("torch")
    schedulers = pytest.importorskip("skrl.resources.schedulers.torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    scheduler = schedulers.KLAdaptiveLR(optimizer, kl_threshold=0.008, min_lr=1e-6, max_lr=1e-3)
    scheduler.step(divergence)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
