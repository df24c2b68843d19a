# SPDX-License-Identifier: Apache-2.0
"""The portable policy: a normaliser and a small network, evaluated in NumPy.

A saved policy is two files, an array file and a JSON that says what the arrays mean
(`motrix_gym.policy_files`). Loading one and acting with it needs no learning library.

The action for an observation does not depend on the other rows of its batch: it has the same bits
in a batch of any size and order. So a control loop with one row repeats exactly what an evaluation
with a thousand rows did, and results stay reproducible where a task acts through a policy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from motrix_gym.names import shown
from motrix_gym.policy_files import ARRAYS_FILE, PolicyError, read_policy, write_policy

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}

Layer = tuple[np.ndarray, np.ndarray]
LSTMLayer = tuple[np.ndarray, np.ndarray, np.ndarray]
LSTM_PARTS = ("input", "recurrent", "bias")
LOG_STD_RANGE = (-20.0, 2.0)  # of a log standard deviation that depends on the observation
NO_SPREAD = LOG_STD_RANGE[0]  # the log_std of a deterministic policy
# Non-finite outputs are refused in `Policy.action`.
IGNORE_OVERFLOW = np.errstate(over="ignore", invalid="ignore")


@dataclass(frozen=True, eq=False, repr=False)
class Policy:
    """A Gaussian policy: its mean action is bound(network(normalise(observation))).

    Arrays are copied to read-only float32. A policy with an LSTM acts through `actor`.

    Attributes:
        hidden: Layers (weight (in, out), bias (out,)), each followed by the activation.
        output: The last layer (weight (in, act), bias (act,)), without activation.
        log_std: (act,) logarithm of the standard deviation of `sample`, before actions are bounded.
        activation: "elu", "relu" or "tanh".
        observation_mean: (obs,) subtracted from the observation.
        observation_std: (obs,) divides it, positive.
        observation_clip: Bound on the normalised observation; inf for none.
        action_low: (act,) lower bounds of the action box.
        action_high: (act,) upper bounds.
        metadata: Plain JSON: env_id, trainer, names and units of observation and action, steps, ...
        squash: Actions are bounded by tanh, scaled to the box; if not, by clipping to it.
        log_std_weight: (in, act) weights of the last hidden layer's output, of which the product is
            added to log_std; the sum is bounded to `LOG_STD_RANGE`. None if the standard deviation
            does not depend on the observation.
        lstm: LSTM layers between the normaliser and the hidden layers. Each has weights for its
            input (in, 4 h) and for its previous output (h, 4 h), and biases (4 h,), in the order
            input, forget, cell and output gate.

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
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    squash: bool = False
    log_std_weight: np.ndarray | None = None
    lstm: tuple[LSTMLayer, ...] = ()

    def __post_init__(self):
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("hidden", tuple((_frozen(w), _frozen(b)) for w, b in self.hidden))
        put("output", (_frozen(self.output[0]), _frozen(self.output[1])))
        put("lstm", tuple((_frozen(i), _frozen(r), _frozen(b)) for i, r, b in self.lstm))
        if self.log_std_weight is not None:
            put("log_std_weight", _frozen(self.log_std_weight))
        for name in VECTORS:
            put(name, _frozen(getattr(self, name)))
        put("observation_clip", float(self.observation_clip))
        self._check()

    def _check(self) -> None:
        if self.activation not in list(ACTIVATIONS):
            allowed = ", ".join(ACTIVATIONS)
            raise PolicyError(f"activation={shown(self.activation)} is not one of {allowed}")
        metadata, squash = cast(Any, self.metadata), cast(Any, self.squash)  # as a file has them
        if not isinstance(metadata, dict):
            raise PolicyError(f"metadata must be a dict, not {type(metadata).__name__}")
        if not isinstance(squash, bool):
            raise PolicyError(f"squash={shown(squash)} is not true or false")
        width: tuple[int, ...] = self.observation_mean.shape
        for i, (inputs, recurrent, bias) in enumerate(self.lstm):
            gates = bias.shape
            fits = bias.ndim == 1 and inputs.shape == width + gates
            if not fits or recurrent.shape != (bias.size / 4, bias.size):
                shapes = f"weights {inputs.shape} and {recurrent.shape}, and bias {gates}"
                raise PolicyError(f"LSTM layer {i} has {shapes} for an input {width}")
            width = recurrent.shape[:1]
        last = width
        for i, (weight, bias) in enumerate(self.layers):
            if weight.ndim != 2 or weight.shape[:1] != width or weight.shape[1:] != bias.shape:
                shapes = f"weight {weight.shape} and bias {bias.shape}"
                raise PolicyError(f"layer {i} has {shapes} for an input {width}")
            last, width = width, bias.shape
        if self.log_std_weight is not None and self.log_std_weight.shape != last + width:
            shape = self.log_std_weight.shape
            raise PolicyError(f"log_std_weight has shape {shape}, expected {last + width}")
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
        with np.errstate(over="ignore", invalid="ignore"):
            span = self.action_high - self.action_low
        if self.squash and not np.isfinite(span).all():
            raise PolicyError("squash needs a finite action_high - action_low")

    def __repr__(self) -> str:
        sizes = f"{self.observation_size} -> {self.action_size}"
        lstm = ["LSTM " + "-".join(str(len(recurrent)) for _, recurrent, _ in self.lstm)]
        hidden = ["hidden " + "-".join(str(len(bias)) for _, bias in self.hidden)]
        layers = (lstm if self.lstm else []) + (hidden if self.hidden else [])
        env = str(self.metadata.get("env_id") or "no environment")
        return f"Policy({', '.join([env, sizes, *layers])})"

    @property
    def observation_size(self) -> int:
        """Length of an observation."""
        return self.observation_mean.shape[0]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, the last one too."""
        return (*self.hidden, self.output)

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.log_std.shape[0]

    def mean(self, observation: np.ndarray) -> np.ndarray:
        """Returns the network's output before it is bounded, (n, act) or (act,) float32.

        Raises:
            ValueError: the last axis of the observation is not `observation_size` long, or the
                policy has an LSTM.
        """
        return self._head(self._features(observation))[0]

    @IGNORE_OVERFLOW
    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Returns the deterministic action, inside of the action box.

        Args:
            observation: (n, obs) or (obs,).

        Returns:
            (n, act) or (act,) float32.

        Raises:
            ValueError: as `mean`.
            PolicyError: (a ValueError) the network's output is not finite.
        """
        return self.action(self._features(observation), None)

    @IGNORE_OVERFLOW
    def sample(self, observation: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns an action drawn from the policy, inside of the box; the rest as `__call__`."""
        return self.action(self._features(observation), generator)

    def actor(self, generator: np.random.Generator | None = None) -> "Actor":
        """Returns what acts with the policy in one vector environment, with the LSTM's state.

        Args:
            generator: Draws actions; None for the deterministic ones.
        """
        return Actor(self, generator)

    def normalised(self, observation: np.ndarray) -> np.ndarray:
        """Returns the observation as the first layer gets it: normalised and clipped, float32.

        Raises:
            ValueError: the last axis is not `observation_size` long.
        """
        x = np.asarray(observation, np.float32, order="C")  # so that layout changes no bits
        if x.ndim not in (1, 2) or x.shape[-1] != self.observation_size:
            size = self.observation_size
            raise ValueError(f"observation has shape {x.shape}, expected (n, {size}) or ({size},)")
        x = (x - self.observation_mean) / self.observation_std
        return np.clip(x, -self.observation_clip, self.observation_clip)

    def _features(self, observation: np.ndarray) -> np.ndarray:
        """Returns the hidden layers' input of a policy without memory.

        Raises:
            ValueError: the policy has an LSTM, or as `normalised`.
        """
        if self.lstm:
            raise ValueError(
                "the policy has an LSTM and acts by what it saw before: act = policy.actor(), and "
                "act(observations, starts) at each step"
            )
        return self.normalised(observation)

    def _head(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and log_std, (n, act) or (act,), for the hidden layers' input."""
        for weight, bias in self.hidden:
            x = ACTIVATIONS[self.activation](_product(x, weight) + bias)
        log_std = self.log_std
        if self.log_std_weight is not None:
            log_std = np.clip(_product(x, self.log_std_weight) + log_std, *LOG_STD_RANGE)
        return _product(x, self.output[0]) + self.output[1], log_std

    def action(self, x: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        """Returns the action (n, act) or (act,), inside of the box, for the hidden layers' input.

        Args:
            x: (n, in) or (in,), normalised observations, or what the LSTM made of them.
            generator: Draws actions; None for the deterministic ones.

        Raises:
            PolicyError: the network's output is not finite.
        """
        action, log_std = self._head(x)
        if generator is not None:
            action = action + np.exp(log_std) * generator.standard_normal(action.shape, np.float32)
        if not np.isfinite(action).all():
            raise PolicyError(
                "the policy's output is not finite: its weights are too large, or an observation "
                "is not finite"
            )
        if self.squash:
            share = np.float32(0.5) * (np.tanh(action) + np.float32(1.0))
            action = self.action_low + share * (self.action_high - self.action_low)
        return np.clip(action, self.action_low, self.action_high)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by the names that they have in the file."""
        arrays: dict[str, np.ndarray] = {}
        for i, layer in enumerate(self.lstm):
            parts = zip(LSTM_PARTS, layer, strict=True)
            arrays |= {f"lstm.{i}.{part}": array for part, array in parts}
        for i, (weight, bias) in enumerate(self.hidden):
            arrays |= {f"hidden.{i}.weight": weight, f"hidden.{i}.bias": bias}
        if self.log_std_weight is not None:
            arrays["log_std_weight"] = self.log_std_weight
        arrays |= {"output.weight": self.output[0], "output.bias": self.output[1]}
        arrays |= {name: getattr(self, name) for name in VECTORS}
        return arrays | {"observation_clip": np.array(self.observation_clip, np.float32)}

    def save(self, folder: str | Path) -> None:
        """Writes the two files into a folder, which is made if need be.

        The JSON also lists, for readers without this package, how an action is computed from the
        arrays. A policy with `squash`, `lstm` or `log_std_weight` gets schema version 2.

        Raises:
            PolicyError: `metadata` is not plain JSON; nothing is written.
            OSError: the folder cannot be written.
        """
        plain = not (self.squash or self.lstm or self.log_std_weight is not None)
        settings: dict[str, Any] = {"activation": self.activation}
        settings |= {} if plain else {"squash": self.squash}
        settings["evaluation"] = self._evaluation()
        version = 1 if plain else 2
        write_policy(Path(folder), version, self.arrays(), settings, self.metadata)

    def _evaluation(self) -> list[str]:
        """The computation of an action, a formula per step, with the names of the arrays."""
        lines = [
            "x = (observation - observation_mean) / observation_std",
            "x = clip(x, -observation_clip, observation_clip)",
        ]
        gates = "input, forget, cell, output = split(x @ input + h @ recurrent + bias, 4)"
        update = "c = sigmoid(forget) * c + sigmoid(input) * tanh(cell); x = h = sigmoid(output) * "
        lines += [f"lstm.{i}: {gates}; {update}tanh(c)" for i in range(len(self.lstm))]
        hidden = f"x = {self.activation}(x @ weight + bias)"
        lines += [f"hidden.{i}: {hidden}" for i in range(len(self.hidden))]
        lines.append("output: x = x @ weight + bias")
        box = "action_low + (tanh(x) + 1) / 2 * (action_high - action_low)"
        return [*lines, f"action = {box if self.squash else 'clip(x, action_low, action_high)'}"]

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads a policy.

        Raises:
            PolicyError: a file is missing, damaged, of another format or version, or was changed.
        """
        folder = Path(folder)
        arrays, about = read_policy(folder)
        layers = [*(f"hidden.{i}" for i in range(_count(arrays, "hidden.", 2))), "output"]
        lstm: list[list[str]] = []
        extras: dict[str, Any] = {}
        names = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
        names += [*VECTORS, "observation_clip"]
        if about["schema_version"] > 1:
            count = _count(arrays, "lstm.", len(LSTM_PARTS))
            lstm = [[f"lstm.{i}.{part}" for part in LSTM_PARTS] for i in range(count)]
            extras = {"squash": about.get("squash"), "log_std_weight": arrays.get("log_std_weight")}
            names += [name for parts in lstm for name in parts]
            names += ["log_std_weight"] * ("log_std_weight" in arrays)
        if sorted(names) != sorted(arrays) or arrays["observation_clip"].shape != ():
            raise PolicyError(f"{folder / ARRAYS_FILE} lacks arrays of a policy, or has others")
        *hidden, output = ((arrays[f"{k}.weight"], arrays[f"{k}.bias"]) for k in layers)
        return cls(
            hidden=tuple(hidden),
            output=output,
            activation=about.get("activation", ""),
            observation_clip=float(arrays["observation_clip"]),
            metadata=about.get("metadata", {}),
            lstm=tuple((arrays[i], arrays[r], arrays[b]) for i, r, b in lstm),
            **{name: arrays[name] for name in VECTORS},
            **extras,
        )


class Actor:
    """A policy that acts in one vector environment, step by step; see `Policy.actor`.

    Attributes:
        policy: The policy.
        generator: Draws actions; None for the deterministic ones.
    """

    def __init__(self, policy: Policy, generator: np.random.Generator | None = None):
        self.policy, self.generator = policy, generator
        self._states: list[tuple[np.ndarray, np.ndarray]] = []  # output and cell of each LSTM

    @IGNORE_OVERFLOW
    def __call__(self, observations: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Returns the actions (n, act) for the next step.

        Args:
            observations: (n, obs).
            starts: (n,) bool, rows whose episode begins with this observation; in the first call,
                all of them.

        Raises:
            ValueError, PolicyError: as `Policy.__call__`.
        """
        x = self.policy.normalised(observations)
        if not self._states:
            shapes = [(len(x), recurrent.shape[0]) for _, recurrent, _ in self.policy.lstm]
            self._states = [(np.zeros(s, np.float32), np.zeros(s, np.float32)) for s in shapes]
        for i, (inputs, recurrent, bias) in enumerate(self.policy.lstm):
            output, cell = (np.where(starts[:, None], 0, state) for state in self._states[i])
            gates = np.split(_product(x, inputs) + _product(output, recurrent) + bias, 4, axis=1)
            cell = _sigmoid(gates[1]) * cell + _sigmoid(gates[0]) * np.tanh(gates[2])
            x = _sigmoid(gates[3]) * np.tanh(cell)
            self._states[i] = x, cell
        return self.policy.action(x, self.generator)


def _product(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns x (..., in) @ weight (in, out), each row computed in the same way.

    BLAS, which `@` calls, adds up in an order that depends on the number of rows.
    """
    return np.einsum("...i,io->...o", x, weight)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0))


def _count(arrays: dict[str, np.ndarray], prefix: str, parts: int) -> int:
    """How many layers, of so many arrays each, have names with a prefix."""
    return sum(name.startswith(prefix) for name in arrays) // parts


VECTORS = ("log_std", "observation_mean", "observation_std", "action_low", "action_high")
UNBOUNDED = ("observation_clip", "action_low", "action_high")  # may be infinite


def _frozen(array: Any) -> np.ndarray:
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        array = np.array(array, np.float32, order="C")
    array.flags.writeable = False
    return array
