# SPDX-License-Identifier: Apache-2.0
"""Layers of networks in JAX, with gradients that a CPU computes faster than those JAX derives.

The values are the same; only the order of some additions differs.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


@jax.custom_vjp
def elu(x: jax.Array) -> jax.Array:
    """Returns ELU by exp, which XLA computes faster on a CPU than expm1."""
    return jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0)) - 1)


def _elu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = elu(x)
    return y, y


def _elu_backward(y: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    """The slope follows from the output, so there is no second exponential."""
    return (jnp.where(y > 0, gradient, gradient * (y + 1)),)


elu.defvjp(_elu_forward, _elu_backward)


@jax.custom_vjp
def product(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns x (n, in) @ weight (in, out)."""
    return x @ weight


def _product_forward(x: jax.Array, weight: jax.Array):
    return x @ weight, (x, weight)


def _product_backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array):
    """Computes x.T @ gradient, or its transpose if XLA's CPU library multiplies that faster.

    The barrier keeps XLA from turning the transpose back.
    """
    x, weight = saved
    if x.shape[1] > gradient.shape[1]:
        change = jax.lax.optimization_barrier(gradient.T @ x).T
    else:
        change = x.T @ gradient
    return gradient @ weight.T, change


product.defvjp(_product_forward, _product_backward)


class Dense(nn.Module):
    """The same as `flax.linen.Dense` for batches (n, in), with the same parameters."""

    features: int
    kernel_init: Callable[..., jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return product(x, kernel) + bias
