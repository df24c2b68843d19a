# SPDX-License-Identifier: Apache-2.0
"""The layers in JAX are Flax's, gradients included."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("flax")

import flax.linen as nn  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from adapters.jax_layers import Dense, elu  # noqa: E402


def test_elu_and_its_slope_are_those_of_jax():
    x = jnp.array([-30.0, -2.0, -0.5, -1e-4, 0.0, 1e-4, 0.5, 3.0])
    assert np.allclose(elu(x), jax.nn.elu(x), atol=1e-6)
    slopes = [jax.vmap(jax.grad(f))(x) for f in (elu, jax.nn.elu)]
    assert np.allclose(*slopes, atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [(48, 256), (256, 64), (8, 8), (64, 1)])
def test_a_dense_layer_is_that_of_flax(inputs, outputs):
    init = nn.initializers.orthogonal(1.4)
    ours, flax = Dense(outputs, init), nn.Dense(outputs, kernel_init=init)
    x, target = (
        jax.random.normal(jax.random.key(k), (32, n)) for k, n in ((1, inputs), (2, outputs))
    )
    params = ours.init(jax.random.key(0), x)
    assert jax.tree.structure(params) == jax.tree.structure(flax.init(jax.random.key(0), x))

    def loss(params, x, layer):
        return jnp.square(layer.apply(params, x) - target).sum()

    assert np.allclose(ours.apply(params, x), flax.apply(params, x), atol=1e-5)
    gradients = [jax.grad(loss, argnums=(0, 1))(params, x, layer) for layer in (ours, flax)]
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-3)
