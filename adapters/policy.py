# SPDX-License-Identifier: Apache-2.0
"""The portable policy: a normaliser and a small network, evaluated in NumPy.

A saved policy is two files, `policy.safetensors` (arrays) and `policy.json` (what they mean, and
the digest of the first). Nothing is ever unpickled, and no learning library is needed to load a
policy or to act with it.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

FORMAT = "motrix-policy"
SCHEMA_VERSION = 1
ARRAYS_FILE = "policy.safetensors"
JSON_FILE = "policy.json"

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}

Layer = tuple[np.ndarray, np.ndarray]


class PolicyError(ValueError):
    """A policy is malformed, or its files are missing, torn, foreign or of an unknown version."""


@dataclass(frozen=True, eq=False)
class Policy:
    """A Gaussian policy: action = clip(network(normalise(observation))), and a spread to sample.

    Arrays are copied to read-only float32.

    Attributes:
        hidden: Layers (weight (in, out), bias (out,)), each followed by the activation.
        output: The last layer (weight (in, act), bias (act,)), without activation.
        log_std: (act,) logarithm of the spread of `sample`.
        activation: "elu", "relu" or "tanh".
        observation_mean: (obs,) subtracted from the observation.
        observation_std: (obs,) divides it, positive.
        observation_clip: Bound on the normalised observation; inf for none.
        action_low: (act,) lower bounds of the action box.
        action_high: (act,) upper bounds.
        metadata: Plain JSON: env_id, trainer, names and units of observation and action, steps, ...

    Raises:
        PolicyError: shapes do not fit together, or a number is not finite where it must be.
    """

    hidden: tuple[Layer, ...]
    output: Layer
    log_std: np.ndarray
    activation: str
    observation_mean: np.ndarray
    observation_std: np.ndarray
    observation_clip: float
    action_low: np.ndarray
    action_high: np.ndarray
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("hidden", tuple((_frozen(w), _frozen(b)) for w, b in self.hidden))
        put("output", (_frozen(self.output[0]), _frozen(self.output[1])))
        for name in VECTORS:
            put(name, _frozen(getattr(self, name)))
        put("observation_clip", float(self.observation_clip))
        self._check()

    def _check(self) -> None:
        if self.activation not in list(ACTIVATIONS):
            allowed = ", ".join(ACTIVATIONS)
            raise PolicyError(f"activation={self.activation!r} is not one of {allowed}")
        if not isinstance(self.metadata, dict):
            raise PolicyError(f"metadata must be a dict, not {type(self.metadata).__name__}")
        width: tuple[int, ...] = self.observation_mean.shape
        for i, (weight, bias) in enumerate((*self.hidden, self.output)):
            if weight.ndim != 2 or weight.shape[:1] != width or weight.shape[1:] != bias.shape:
                shapes = f"weight {weight.shape} and bias {bias.shape}"
                raise PolicyError(f"layer {i} has {shapes} for an input {width}")
            width = bias.shape
        for name in VECTORS:
            wanted = self.observation_mean.shape if name.startswith("observation") else width
            if getattr(self, name).shape != wanted:
                shape = getattr(self, name).shape
                raise PolicyError(f"{name} has shape {shape}, expected {wanted}")
        for name, array in self.arrays().items():
            if name not in UNBOUNDED and not np.isfinite(array).all():
                raise PolicyError(f"{name} has values that are not finite")
        if not (self.observation_std > 0).all() or not self.observation_clip > 0:
            raise PolicyError("observation_std and observation_clip must be positive")
        if not (self.action_low <= self.action_high).all():
            raise PolicyError("action_low must not be above action_high")

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        return self.observation_mean.shape[0]

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.log_std.shape[0]

    def mean(self, observation: np.ndarray) -> np.ndarray:
        """Returns the network's output before clipping, (n, act) or (act,) float32.

        Raises:
            ValueError: the last axis of the observation is not `observation_size` long.
        """
        x = np.asarray(observation, np.float32)
        if x.ndim not in (1, 2) or x.shape[-1] != self.observation_size:
            size = self.observation_size
            raise ValueError(f"observation has shape {x.shape}, expected (n, {size}) or ({size},)")
        x = (x - self.observation_mean) / self.observation_std
        x = np.clip(x, -self.observation_clip, self.observation_clip)
        for weight, bias in self.hidden:
            x = ACTIVATIONS[self.activation](x @ weight + bias)
        return x @ self.output[0] + self.output[1]

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Returns the deterministic action, clipped to the action box.

        Args:
            observation: (n, obs) or (obs,).

        Returns:
            (n, act) or (act,) float32.
        """
        return np.clip(self.mean(observation), self.action_low, self.action_high)

    def sample(self, observation: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns an action drawn from the policy, clipped to the box; shapes as `__call__`."""
        mean = self.mean(observation)
        noise = generator.standard_normal(mean.shape, np.float32)
        return np.clip(mean + np.exp(self.log_std) * noise, self.action_low, self.action_high)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by the names that they have in the file."""
        arrays = {}
        for i, (weight, bias) in enumerate(self.hidden):
            arrays |= {f"hidden.{i}.weight": weight, f"hidden.{i}.bias": bias}
        arrays |= {"output.weight": self.output[0], "output.bias": self.output[1]}
        arrays |= {name: getattr(self, name) for name in VECTORS}
        return arrays | {"observation_clip": np.array(self.observation_clip, np.float32)}

    def save(self, folder: str | Path) -> None:
        """Writes the two files into a folder, which is made if need be.

        Each is replaced in one piece, the JSON last: a reader sees the old policy, the new one, or
        a digest that does not match, and never half a file.

        Raises:
            PolicyError: `metadata` is not plain JSON.
            OSError: the folder cannot be written.
        """
        arrays = self.arrays()
        data = pack_arrays(arrays)
        description = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "sha256": hashlib.sha256(data).hexdigest(),
            "activation": self.activation,
            "shapes": {name: list(array.shape) for name, array in arrays.items()},
            "metadata": self.metadata,
        }
        try:
            text = json.dumps(description, indent=2, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PolicyError(f"the policy's metadata is not plain JSON: {error}") from error
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / ARRAYS_FILE, data)
        write_file(folder / JSON_FILE, text.encode() + b"\n")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads a policy.

        Raises:
            PolicyError: a file is missing, torn, foreign, of an unknown version, or was changed.
        """
        folder = Path(folder)
        about = _read_description(folder / JSON_FILE)
        arrays = read_arrays(folder / ARRAYS_FILE, about.get("sha256"), PolicyError)
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        if shapes != about.get("shapes"):
            raise PolicyError(f"{folder / ARRAYS_FILE} has other arrays than {JSON_FILE} lists")
        count = sum(name.startswith("hidden.") for name in arrays) // 2
        layers = [*(f"hidden.{i}" for i in range(count)), "output"]
        names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
        names += [*VECTORS, "observation_clip"]
        if sorted(names) != sorted(arrays) or arrays["observation_clip"].shape != ():
            raise PolicyError(f"{folder / ARRAYS_FILE} lacks arrays of a policy, or has others")
        *hidden, output = ((arrays[f"{k}.weight"], arrays[f"{k}.bias"]) for k in layers)
        return cls(
            hidden=tuple(hidden),
            output=output,
            activation=about.get("activation", ""),
            observation_clip=float(arrays["observation_clip"]),
            metadata=about.get("metadata", {}),
            **{name: arrays[name] for name in VECTORS},
        )


VECTORS = ("log_std", "observation_mean", "observation_std", "action_low", "action_high")
UNBOUNDED = ("observation_clip", "action_low", "action_high")  # may be infinite


def _frozen(array: Any) -> np.ndarray:
    array = np.array(array, np.float32, order="C")
    array.flags.writeable = False
    return array


def _read_description(path: Path) -> dict[str, Any]:
    """Returns policy.json if it is one of ours, else raises PolicyError."""
    try:
        about = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path} cannot be read: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise PolicyError(f"{path} does not describe a policy of this program")
    if about.get("schema_version") != SCHEMA_VERSION:
        raise PolicyError(
            f"{path} has schema_version {about.get('schema_version')!r}, this program reads "
            f"{SCHEMA_VERSION}"
        )
    return about


def pack_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    """Returns arrays of any numeric type and layout as the content of a safetensors file.

    Raises:
        TypeError: an array is not of bools, integers or floats up to 64 bits.
    """
    packed = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in packed.items():
        if array.dtype.kind not in "biuf" or array.itemsize > 8:
            raise TypeError(f"array {name!r} has type {array.dtype}, which no file can hold")
    return save_tensors(packed)


def read_arrays(
    path: Path, sha256: str | None, error: type[Exception] = ValueError
) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file that has the given digest.

    Raises:
        error: the file cannot be read, has another digest, or is not safetensors.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise error(f"{path} cannot be read: {cause}") from cause
    if hashlib.sha256(data).hexdigest() != sha256:
        raise error(f"{path} is damaged or was changed: its SHA-256 is not the recorded one")
    try:
        return load_tensors(data)
    except (SafetensorError, KeyError, ValueError) as cause:
        raise error(f"{path} is not a safetensors file: {cause}") from cause


def write_file(path: Path, data: bytes) -> None:
    """Writes a file so that a reader finds the old one or the new one, whatever happens in between.

    Raises:
        OSError: the folder cannot be written; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # a full disk, or Ctrl-C: leave no litter
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames inside a folder last through a power cut, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
