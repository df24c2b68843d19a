# SPDX-License-Identifier: Apache-2.0
"""The networks of PPO by skrl on JAX, as skrl's models."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from skrl.models.jax import DeterministicMixin, GaussianMixin, Model

from adapters.base import Layers
from adapters.jax_layers import Dense, elu
from adapters.jax_ppo import Arrays
from adapters.ppo_config import PPOConfig
from motrix_gym.policy import LOG_STD_RANGE

ACTIVATIONS = {"elu": elu, "relu": nn.relu, "tanh": nn.tanh}


class Network(Model):
    """A perceptron with an activation after each hidden layer, and orthogonal weights."""

    sizes: tuple[int, ...] = ()
    activation: str = "elu"

    def __init__(self, *, sizes: tuple[int, ...], activation: str, **kwargs: Any):
        self.sizes, self.activation = sizes, activation
        Model.__init__(self, **kwargs)

    def perceptron(self, x: jax.Array, outputs: int, gain: float) -> jax.Array:
        """Returns the last layer's output; its weights start with the given gain."""
        orthogonal = nn.initializers.orthogonal
        *hidden, last = layer_names(self.sizes)
        for name, size in zip(hidden, self.sizes, strict=True):
            layer = Dense(size, kernel_init=orthogonal(math.sqrt(2.0)), name=name)
            x = ACTIVATIONS[self.activation](layer(x))
        return Dense(outputs, kernel_init=orthogonal(gain), name=last)(x)


class PolicyNetwork(GaussianMixin, Network):
    """Mean action of an observation's first entries, and a standard deviation of its own."""

    initial_log_std: float = 0.0
    width: int | None = None

    def __init__(self, *, initial_log_std: float, width: int | None, **kwargs: Any):
        self.initial_log_std, self.width = initial_log_std, width
        Network.__init__(self, **kwargs)
        GaussianMixin.__init__(self, min_log_std=LOG_STD_RANGE[0], max_log_std=LOG_STD_RANGE[1])

    @nn.compact
    def __call__(self, inputs: Arrays, role: str = "policy") -> tuple[jax.Array, Arrays]:
        initial = nn.initializers.constant(self.initial_log_std)
        log_std = self.param("log_std", initial, (self.num_actions,))
        seen = inputs["observations"][:, : self.width]
        return self.perceptron(seen, self.num_actions, 0.01), {"log_std": log_std}


class ValueNetwork(DeterministicMixin, Network):
    """Normalised value of an observation, (n, 1)."""

    def __init__(self, **kwargs: Any):
        Network.__init__(self, **kwargs)
        DeterministicMixin.__init__(self)

    @nn.compact
    def __call__(self, inputs: Arrays, role: str = "value") -> tuple[jax.Array, Arrays]:
        return self.perceptron(inputs["observations"], 1, 1.0), {}


def make_networks(
    config: PPOConfig, policy_width: int | None = None, **common: Any
) -> tuple[PolicyNetwork, ValueNetwork, jax.Array]:
    """Returns both networks with the weights of `config.seed`, and a random key for later draws.

    Args:
        config: The settings.
        policy_width: Entries of an observation that the policy sees, the first ones; None: all.
        **common: skrl's `observation_space`, `action_space` and `device`.
    """
    policy = PolicyNetwork(
        sizes=config.policy_hidden_layer_sizes,
        activation=config.activation,
        initial_log_std=config.initial_log_std,
        width=policy_width,
        **common,
    )
    value = ValueNetwork(
        sizes=config.value_hidden_layer_sizes, activation=config.activation, **common
    )
    with jax.default_device(common["device"]):
        # With the same key, skrl would make the same hidden layers for both networks.
        key, *keys = jax.random.split(jax.random.PRNGKey(np.uint32(config.seed or 0)), 3)
        example = {"observations": jnp.zeros((1, *common["observation_space"].shape))}
    policy.init_state_dict(example, role="policy", key=keys[0])
    value.init_state_dict(example, role="value", key=keys[1])
    return policy, value, key


def policy_arrays(params: Any, config: PPOConfig) -> tuple[Layers, np.ndarray]:
    """Returns the layers of a policy's parameters in order, and its log standard deviation."""
    weights = jax.device_get(params["params"])
    layers = [weights[name] for name in layer_names(config.policy_hidden_layer_sizes)]
    return [(layer["kernel"], layer["bias"]) for layer in layers], weights["log_std"]


def layer_names(sizes: tuple[int, ...]) -> list[str]:
    """Returns the names of a network's layers: one per hidden size, and the last."""
    return [*(f"hidden_{i}" for i in range(len(sizes))), "output"]
