# SPDX-License-Identifier: Apache-2.0
"""NumPy and Torch obey the instruction sets of `make test-portable`; no test depends on luck."""

import hypothesis
import pytest

from tests.portable import LEVELS

ABOVE = {"native": (), "AVX2": ("AVX512", "X86_V4"), "SSE4.2": ("AVX", "X86_V3", "X86_V4", "FMA")}
TORCH = {"AVX2": "AVX2", "SSE4.2": "DEFAULT"}


@pytest.mark.parametrize("level", LEVELS)
def test_numpy_uses_nothing_above_a_level_and_does_not_complain(python, level):
    program = "import numpy; print(*numpy.show_config('dicts')['SIMD Extensions'].get('found', []))"
    found = python(program, **LEVELS[level]).split()
    assert [name for name in found if name.startswith(ABOVE[level])] == []


@pytest.mark.parametrize("level", TORCH)
def test_torch_uses_nothing_above_a_level(python, level):
    pytest.importorskip("torch")
    program = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    assert python(program, **LEVELS[level]).strip() in (TORCH[level], "DEFAULT")


@pytest.mark.parametrize("level", LEVELS)
def test_jax_knows_the_flag(python, level):
    """XLA ends the process if it does not know a flag or its value; it reports nothing."""
    pytest.importorskip("jax")
    program = "import jax; print(jax.jit(lambda x: x + 1)(1.0))"
    assert python(program, JAX_PLATFORMS="cpu", **LEVELS[level]).strip() == "2.0"


def test_examples_are_the_same_in_every_run_and_may_take_their_time():
    assert hypothesis.settings.default.deadline is None
    assert hypothesis.settings.default.derandomize
    assert hypothesis.HealthCheck.too_slow in hypothesis.settings.default.suppress_health_check
