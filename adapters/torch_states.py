# SPDX-License-Identifier: Apache-2.0
"""Networks and optimisers on Torch as arrays of a state, and back."""

import numpy as np
import torch
from torch import nn

from adapters.states import check_like
from adapters.torch_networks import to_array

Arrays = dict[str, np.ndarray]


def parameter_arrays(network: nn.Module) -> Arrays:
    """Returns copies of a network's parameters by name; a shared one appears once."""
    return {name: to_array(parameter) for name, parameter in network.named_parameters()}


@torch.no_grad()
def load_parameters(network: nn.Module, arrays: Arrays) -> None:
    """Writes `parameter_arrays` into a network.

    Raises:
        ValueError: names, shapes or types are not those of the network, or a number is not finite.
    """
    parameters = dict(network.named_parameters())
    given = {name: array.shape for name, array in arrays.items()}
    wanted = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    if given != wanted:
        odd = sorted(set(given.items()) ^ set(wanted.items()))
        raise ValueError(f"the state is of another network; the parameters that differ: {odd}")
    for name, parameter in parameters.items():
        check_like(name, to_array(parameter), arrays[name])
        parameter.copy_(torch.from_numpy(np.array(arrays[name])))


def adam_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    """Returns the rate and, by parameter number, the moments and step counts of an Adam."""
    arrays = {"rate": np.array(optimizer.param_groups[0]["lr"])}
    for number, moments in optimizer.state_dict()["state"].items():
        arrays |= {f"{number}/{name}": to_array(tensor) for name, tensor in moments.items()}
    return arrays


def load_adam(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Writes `adam_arrays` into an Adam of the same parameters; its other settings stay.

    Raises:
        ValueError: the rate is missing, or moments are, or there are some of other parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    check_like("rate", np.array(0.0), arrays.get("rate"))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        number, _, name = key.partition("/")
        if name:
            shape = () if name == "step" else parameters[int(number)].shape
            check_like(key, np.zeros(shape, np.float32), array)
            moments.setdefault(int(number), {})[name] = torch.from_numpy(np.array(array))
    for number, given in moments.items():
        if sorted(given) != ["exp_avg", "exp_avg_sq", "step"]:
            raise ValueError(f"the state's Adam has {sorted(given)} of parameter {number}")
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    set_rate(optimizer, float(arrays["rate"]))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate
