# SPDX-License-Identifier: Apache-2.0
"""What the files of skrl and Stable-Baselines3 say of a policy: its weights and its normaliser.

A reader for each trainer is in `READERS`. What a file does not say is taken to be the library's
default: for skrl, a normaliser that clips at 5.
"""

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from adapters.unpickling import (
    Arrays,
    PlainUnpickler,
    ShellUnpickler,
    import_library,
    load_tensors,
    to_arrays,
)
from motrix_gym.policy import LOG_STD_RANGE, NO_SPREAD
from motrix_gym.policy_files import PolicyError

SCALER_EPSILON, SCALER_CLIP = 1e-8, 5.0  # of skrl's RunningStandardScaler
MAX_BYTES = 2**30  # of a part of a zip, which says its size itself
SKRL_PARTS = ("policy", "value", "observation_preprocessor", "state_preprocessor")


class Contents(NamedTuple):
    """What a file says of a policy.

    Attributes:
        network: Weights (out, in), biases and log_std by name, in the order of the layers.
        normalizer: (obs,) mean and standard deviation, and the clip; None for none.
        activation: Its name; None where the file does not say.
        features: What else the policy has: `squash` and `log_std_weight` of `Policy`.
    """

    network: Arrays
    normalizer: tuple[np.ndarray, np.ndarray, float] | None
    activation: str | None
    features: Mapping[str, Any] = MappingProxyType({})


def _read_skrl_torch(path: Path) -> Contents:
    modules = load_tensors(path.open("rb"), "skrl-torch")
    return _skrl_contents({k: to_arrays(v) for k, v in modules.items() if k in SKRL_PARTS})


def _read_skrl_jax(path: Path) -> Contents:
    """Reads a pickle of a dict, whose values are bytes: a tree in flax's format each."""
    serialization = import_library("flax.serialization", "skrl-jax")
    with path.open("rb") as file:
        modules = PlainUnpickler(file).load()
    trees = {k: serialization.msgpack_restore(v) for k, v in modules.items() if k in SKRL_PARTS}
    parts = {k: _named_arrays(tree.get("params", tree)) for k, tree in trees.items()}
    if "policy" in parts:
        # Flax's weights are (in, out), and its layers are numbered, maybe in the order of text.
        named = sorted(parts["policy"].items(), key=lambda item: _by_number(item[0]))
        parts["policy"] = {
            k.replace(".kernel", ".weight"): v.T if k.endswith(".kernel") else v for k, v in named
        }
    return _skrl_contents(parts)


def _skrl_contents(parts: Mapping[str, Arrays]) -> Contents:
    if not {"policy", "value"} <= set(parts):
        raise PolicyError("there is no 'policy' with a 'value', as agents like PPO have them")
    # A model that policy and value share, such as that of `adapters.skrl_torch_models`, has both.
    network = {
        name: array
        for name, array in parts["policy"].items()
        if not re.search(r"value|^trunks\.1\.", name)
    }
    if names := [name for name in network if name.startswith("log_std")]:
        network[names[0]] = network[names[0]].clip(*LOG_STD_RANGE)
    # skrl 1 has no observation_preprocessor; what it calls a state is the observation.
    scaler = parts.get("observation_preprocessor") or parts.get("state_preprocessor")
    normalizer = None
    if scaler:
        std = np.sqrt(scaler["running_variance"]) + SCALER_EPSILON
        normalizer = scaler["running_mean"], std, SCALER_CLIP
    return Contents(network, normalizer, None)


def _named_arrays(tree: Mapping[str, Any], prefix: str = "") -> Arrays:
    """The arrays of a tree of dicts, by dotted name."""
    arrays: Arrays = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            arrays |= _named_arrays(value, f"{prefix}{name}.")
        else:
            arrays[prefix + name] = np.asarray(value, np.float64)
    return arrays


def _by_number(name: str) -> list[Any]:
    """A key that sorts layers_10 after layers_2."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _read_sb3(path: Path) -> Contents:
    """Reads the weights, and plain values of the JSON beside them; its pickles are not read."""
    with zipfile.ZipFile(path) as parts:
        if max(parts.getinfo(name).file_size for name in ("data", "policy.pth")) > MAX_BYTES:
            raise PolicyError(f"a part of it is larger than {MAX_BYTES} bytes")
        data = json.loads(parts.read("data"))
        tensors = load_tensors(io.BytesIO(parts.read("policy.pth")), "sb3")
    if data.get("use_sde"):
        raise PolicyError("policies with use_sde cannot be taken over")
    arrays, prefix = to_arrays(tensors), "actor."  # only algorithms with a replay buffer have it
    actor = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    # The name of a class, such as "<class 'torch.nn.modules.activation.ELU'>", or SB3's default.
    text = data.get("policy_kwargs", {}).get("activation_fn", "ReLU" if actor else "Tanh")
    names = re.findall(r"activation\.(\w+)|^(\w+)$", text)
    if not names:
        raise PolicyError(f"its activation is not one of Torch's: {text}")
    activation = max(names[0]).lower()
    normalizer = _read_vecnormalize(path)
    if not actor:
        network = {name: array for name, array in arrays.items() if "value" not in name}
        return Contents(network, normalizer, activation)
    features: dict[str, Any] = {"squash": True}
    if "log_std.weight" in actor:
        features["log_std_weight"] = actor.pop("log_std.weight").T
        actor["log_std"] = actor.pop("log_std.bias")
    else:  # TD3 draws no actions
        actor["log_std"] = np.full(list(actor.values())[-1].shape, NO_SPREAD)
    return Contents(actor, normalizer, activation, features)


def _read_vecnormalize(path: Path) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Returns the normaliser that belongs to a zip, None if there is none."""
    places = (path.parent / "vecnormalize.pkl", path.with_suffix("") / "vecnormalize.pkl")
    found = [place for place in places if place.is_file()]
    if not found:
        return None
    try:
        with found[0].open("rb") as file:
            saved = ShellUnpickler(file).load().state
        if not saved.get("norm_obs", True):
            return None
        moments, clip = saved["obs_rms"].state, float(saved["clip_obs"])
        return moments["mean"], np.sqrt(moments["var"] + saved["epsilon"]), clip
    except Exception as error:  # as in `adapters.foreign.load_foreign`
        raise PolicyError(
            f"{found[0]} beside it is not a VecNormalize of one Box, or is damaged "
            f"({type(error).__name__})"
        ) from error


READERS: dict[str, Callable[[Path], Contents]] = {
    "skrl-torch": _read_skrl_torch,
    "skrl-jax": _read_skrl_jax,
    "sb3": _read_sb3,
}
