# SPDX-License-Identifier: Apache-2.0
"""Parts of networks on Torch: how they are made, and their layers as NumPy arrays."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from adapters.base import Layers
from motrix_gym.policy import Layer, LSTMLayer

# In place, ELU's gradient is computed from its output, without a second exponential.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": functools.partial(nn.ELU, inplace=True),
    "relu": functools.partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
}


def make_trunk(inputs: int, sizes: tuple[int, ...], activation: str) -> nn.Sequential:
    """Returns linear layers of these sizes, each followed by the activation."""
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [make_linear(inputs, size, gain=math.sqrt(2.0)), ACTIVATIONS[activation]()]
        inputs = size
    return nn.Sequential(*layers)


def make_linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Returns a linear layer with orthogonal weights of this gain and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def linear_layers(*modules: nn.Module) -> Layers:
    """Returns weights (inputs, outputs) and biases (outputs,) of all linear layers, in order.

    A layer without biases gets zeros.
    """
    linears = find_linears(*modules)
    biases = [
        np.zeros(part.out_features, np.float32) if part.bias is None else to_array(part.bias)
        for part in linears
    ]
    return [(to_array(part.weight).T, bias) for part, bias in zip(linears, biases, strict=True)]


@torch.no_grad()
def load_linear_layers(layers: Sequence[Layer], *modules: nn.Module) -> None:
    """Writes what `linear_layers` returns into layers of the same sizes, which have biases."""
    for (weight, bias), part in zip(layers, find_linears(*modules), strict=True):
        part.weight.copy_(torch.from_numpy(np.array(weight.T)))
        part.bias.copy_(torch.from_numpy(np.array(bias)))


def lstm_layers(lstm: nn.LSTM) -> tuple[LSTMLayer, ...]:
    """Returns the layers of a Torch LSTM as `Policy.lstm` wants them."""

    def part(name: str, layer: int) -> np.ndarray:
        return to_array(getattr(lstm, f"{name}_l{layer}")).T

    return tuple(
        (part("weight_ih", i), part("weight_hh", i), part("bias_ih", i) + part("bias_hh", i))
        for i in range(lstm.num_layers)
    )


def find_linears(*modules: nn.Module) -> list[nn.Linear]:
    """Returns all linear layers in order."""
    parts = [part for module in modules for part in module.modules()]
    return [part for part in parts if isinstance(part, nn.Linear)]


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """Returns a NumPy copy of a tensor."""
    return tensor.detach().cpu().numpy().copy()
