# SPDX-License-Identifier: Apache-2.0
"""Policies from files that skrl and Stable-Baselines3 wrote.

Such a file is a pickle or holds some, and whoever unpickles a stranger's file runs the stranger's
code. `load_foreign` reads numbers and text and nothing else: what a file would like to import or
call is refused, or stands there as an empty shell. Commands ask for `--allow-pickle` all the same,
since libraries of more than one maker take part in the reading.

Policies of the common kind can be taken over: linear layers with one activation in between, and a
spread that does not depend on the observation, or as of SAC, TQC and TD3. What a file does not say
is taken to be the library's default: for skrl, a normaliser that clips at 5, and no function on the
output.
"""

import importlib
import io
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import VectorEnv

from adapters.registry import MissingLibraryError
from motrix_gym.policy import LOG_STD_RANGE, NO_SPREAD, Policy
from motrix_gym.policy_files import PolicyError

Arrays = dict[str, np.ndarray]

# Of a file's name -> the trainer whose library wrote it, and what it is.
KINDS = {
    ".pt": ("skrl-torch", "a checkpoint of skrl on Torch"),
    ".pickle": ("skrl-jax", "a checkpoint of skrl on JAX"),
    ".zip": ("sb3", "a model of Stable-Baselines3"),
}
SCALER_EPSILON, SCALER_CLIP = 1e-8, 5.0  # of skrl's RunningStandardScaler
MAX_BYTES = 2**30  # of a part of a zip, which says its size itself


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


def load_foreign(path: str | Path, env: VectorEnv, activation: str) -> Policy:
    """Reads the policy of another library's file.

    That is `agent_*.pt` of skrl on Torch, `agent_*.pickle` of skrl on JAX, or a `.zip` of
    Stable-Baselines3's PPO, A2C, SAC or TD3, or of sb3-contrib's TRPO or TQC. The normaliser is in
    skrl's files; that of Stable-Baselines3 is read from `vecnormalize.pkl`, beside the zip or, as
    rl_zoo3 does, in a folder of its name.

    Args:
        path: The file.
        env: What the policy is for; observations `Box (n, obs)`, actions `Box (n, act)`.
        activation: Of the hidden layers, where the file does not say: skrl's do not.

    Raises:
        PolicyError: the file cannot be read, or its policy is of another kind or size.
        MissingLibraryError: the library that the file needs is not installed.
    """
    path = Path(path)
    kind, what = KINDS[path.suffix]
    try:
        contents = _READERS[kind](path)
        return _policy(contents, env, activation, {"trainer": kind, "source": path.name})
    except MissingLibraryError:
        raise
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what a damaged file makes its reader stumble over is not foreseen
        raise PolicyError(
            f"{path} is not {what}, or is damaged ({type(error).__name__})"
        ) from error


def _policy(
    contents: Contents, env: VectorEnv, activation: str, metadata: dict[str, Any]
) -> Policy:
    layers, log_std = _layers(contents.network)
    observations, box = env.single_observation_space.shape, env.single_action_space
    has = layers[0][0].shape[0], layers[-1][0].shape[1]
    wanted = observations[0], box.shape[0]  # pyright: ignore[reportOptionalSubscript]
    env_id = env.spec.id if env.spec else "the environment"
    if has != wanted:
        raise PolicyError(
            f"the policy turns {has[0]} observations into {has[1]} actions, {env_id} has "
            f"{wanted[0]} and {wanted[1]}"
        )
    mean, std, clip = contents.normalizer or (np.zeros(wanted[0]), np.ones(wanted[0]), np.inf)
    return Policy(
        hidden=tuple(layers[:-1]),
        output=layers[-1],
        log_std=log_std,
        activation=contents.activation or activation,
        observation_mean=mean,
        observation_std=std,
        observation_clip=clip,
        action_low=box.low,  # pyright: ignore[reportAttributeAccessIssue]
        action_high=box.high,  # pyright: ignore[reportAttributeAccessIssue]
        metadata=metadata | {"env_id": env_id},
        **contents.features,
    )


def _layers(network: Arrays) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Returns the layers (weight (in, out), bias (out,)) and log_std (act,) of a policy.

    Raises:
        PolicyError: there is anything else, or something is missing.
    """
    rest = dict(network)
    names = [name for name in rest if name in ("log_std", "log_std_parameter")]
    if not names or rest[names[0]].ndim != 1:
        raise PolicyError(
            "there is no log_std, one number per action: only policies such as those of PPO, SAC "
            "or TD3 can be taken over"
        )
    log_std = rest.pop(names[0])
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    for name in [name for name in network if name.endswith(".weight")]:
        weight, bias = rest[name], rest.get(name.removesuffix("weight") + "bias")
        if weight.ndim == 2 and bias is not None and bias.shape == weight.shape[:1]:
            layers.append((rest.pop(name).T, bias))
            del rest[name.removesuffix("weight") + "bias"]
    if rest or not layers:
        odd = ", ".join(f"{name} {array.shape}" for name, array in rest.items()) or "nothing"
        raise PolicyError(f"only linear layers with biases can be taken over; there is {odd[:200]}")
    for (first, _), (second, _) in zip(layers[:-1], layers[1:], strict=True):
        if first.shape[1] != second.shape[0]:
            shapes = ", ".join(f"{weight.shape[0]} to {weight.shape[1]}" for weight, _ in layers)
            raise PolicyError(f"the layers do not follow one another: {shapes}")
    return layers, log_std


# skrl.


def _read_skrl_torch(path: Path) -> Contents:
    modules = _load_tensors(path.open("rb"), "skrl-torch")
    return _of_skrl({k: _arrays(v) for k, v in modules.items() if k in SKRL_PARTS})


def _read_skrl_jax(path: Path) -> Contents:
    """The file is a pickle of a dict of bytes, each of which is a tree in flax's format."""
    serialization = _import("flax.serialization", "skrl-jax")
    with path.open("rb") as file:
        modules = PlainUnpickler(file).load()
    trees = {k: serialization.msgpack_restore(v) for k, v in modules.items() if k in SKRL_PARTS}
    parts = {k: _flat(tree.get("params", tree)) for k, tree in trees.items()}
    if "policy" in parts:
        # Flax's weights are (in, out), and its layers are numbered, maybe in the order of text.
        named = sorted(parts["policy"].items(), key=lambda item: _natural(item[0]))
        parts["policy"] = {
            k.replace(".kernel", ".weight"): v.T if k.endswith(".kernel") else v for k, v in named
        }
    return _of_skrl(parts)


SKRL_PARTS = ("policy", "value", "observation_preprocessor", "state_preprocessor")


def _of_skrl(parts: Mapping[str, Arrays]) -> Contents:
    if not {"policy", "value"} <= set(parts):
        raise PolicyError("there is no 'policy' with a 'value', as agents like PPO have them")
    # In a model that policy and value share, and in `adapters.skrl_torch`'s, there are both.
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


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Arrays:
    """The arrays of a tree of dicts, by dotted name."""
    arrays: Arrays = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            arrays |= _flat(value, f"{prefix}{name}.")
        else:
            arrays[prefix + name] = np.asarray(value, np.float64)
    return arrays


def _natural(name: str) -> list[Any]:
    """A key that sorts layers_10 after layers_2."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


# Stable-Baselines3.


def _read_sb3(path: Path) -> Contents:
    """Reads weights, and of the JSON beside them only text; its pickles stay closed."""
    with zipfile.ZipFile(path) as parts:
        if max(parts.getinfo(name).file_size for name in ("data", "policy.pth")) > MAX_BYTES:
            raise PolicyError(f"a part of it is larger than {MAX_BYTES} bytes")
        data = json.loads(parts.read("data"))
        tensors = _load_tensors(io.BytesIO(parts.read("policy.pth")), "sb3")
    if data.get("use_sde"):
        raise PolicyError("policies with use_sde cannot be taken over")
    arrays, prefix = _arrays(tensors), "actor."  # which only those with a replay buffer have
    actor = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    # The text of a class, such as "<class 'torch.nn.modules.activation.ELU'>", or SB3's default.
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
    except Exception as error:  # as in `load_foreign`
        raise PolicyError(
            f"{found[0]} beside it is not a VecNormalize of one Box, or is damaged "
            f"({type(error).__name__})"
        ) from error


_READERS: dict[str, Callable[[Path], Contents]] = {
    "skrl-torch": _read_skrl_torch,
    "skrl-jax": _read_skrl_jax,
    "sb3": _read_sb3,
}


# Files that nobody may trust.


class PlainUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, text, bytes and numbers; all else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise PolicyError(f"it wants to use {module}.{name}, and only plain data is unpickled")


class Shell:
    """Stands for any object or function in a pickle: takes anything and does nothing.

    Attributes:
        state: What the object's attributes would be.
    """

    def __new__(cls, *_: Any, **__: Any) -> "Shell":
        """Makes a shell, whatever the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any):
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class ShellUnpickler(pickle.Unpickler):
    """Unpickles plain values and NumPy arrays; every other object is a `Shell`."""

    def find_class(self, module: str, name: str) -> Any:
        return NUMPY.get(name, Shell) if module.split(".")[0] == "numpy" else Shell


# What makes NumPy's arrays (by protocol) and numbers when they are unpickled.
_MAKERS: Any = [
    a.__reduce_ex__(n)[0] for a, n in ((np.ones(1), 2), (np.ones(1), 5), (np.ones(1)[0], 2))
]
NUMPY = {maker.__name__: maker for maker in (np.ndarray, np.dtype, *_MAKERS)}


def _load_tensors(file: Any, kind: str) -> dict[str, Any]:
    """Returns what Torch wrote, if it is made of dicts, numbers and tensors."""
    torch = _import("torch", kind)
    with file, warnings.catch_warnings(action="ignore"):
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # whose message tells how to run what is inside
            raise PolicyError(
                "it is damaged, or holds objects beside tensors, which are never unpickled"
            ) from error
    if not isinstance(content, dict):
        raise PolicyError(f"it holds no named parts but a {type(content).__name__}")
    return content


def _arrays(tensors: Mapping[str, Any]) -> Arrays:
    return {name: tensor.double().numpy() for name, tensor in tensors.items()}


def _import(module: str, kind: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"{error.name!r}, which reads such files, is not installed: "
            f'pip install "motrix-gym[{kind}]"',
            name=error.name,
        ) from error
