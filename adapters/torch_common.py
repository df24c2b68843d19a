# SPDX-License-Identifier: Apache-2.0
"""What the trainers on Torch share: a trainer's life and state, and the parts of networks."""

import contextlib
import functools
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import nn

from adapters.algorithm_config import AlgorithmConfig
from adapters.base import (
    Layers,
    MeasuredEnv,
    Trainer,
    check_like,
    with_prefix,
    without_prefix,
)
from adapters.ppo_config import PPOConfig
from motrix_gym import Mirror, Reflection
from motrix_gym.policy import Layer

Arrays = dict[str, np.ndarray]

# In place, ELU need not take the exponential again on the way back.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": functools.partial(nn.ELU, inplace=True),
    "relu": functools.partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
}


NOISE = "trainer/noise"


class TorchTrainer(Trainer):
    """A trainer on Torch: a subclass makes `network` and `optimizer`, collects and learns.

    All randomness comes from `generator`; Torch's global one is left as it was. A state belongs to
    one kind of device: that of a CPU cannot be restored on a GPU.

    Raises:
        ValueError: Torch has no such device, or as `Trainer`.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, env: VectorEnv, config: AlgorithmConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        self.torch_device = available_device(device)
        self.generator = torch.Generator(self.torch_device).manual_seed(config.seed or 0)
        self.measured_env = MeasuredEnv(
            env, self.statistics, config.rewards_shaper_scale, self.elapsed_steps
        )

    @abstractmethod
    def _collect(self) -> None:
        """Makes an update's vector steps through `measured_env`; see `update`."""

    @abstractmethod
    def _learn(self) -> dict[str, float]:
        """Learns from what was collected; returns scalars by TensorBoard tag."""

    @abstractmethod
    def _own_state(self) -> Arrays:
        """Returns what `state` must hold beside the network, the optimiser and the environment."""

    @abstractmethod
    def _restore_own(self, state: Arrays) -> None:
        """Goes back to an `_own_state`."""

    def update(self) -> dict[str, float]:
        start, self.measured_env.seconds = time.perf_counter(), 0.0
        self._collect()
        collected = time.perf_counter()
        scalars = self._learn()
        learned = time.perf_counter()
        self.num_updates += 1
        if isinstance(self.config, PPOConfig):
            self._set_planned_log_std(self.config)
        scalars |= {
            "Learning / Learning rate": self.rate,
            "Time / Physics (s)": self.measured_env.seconds,
            "Time / Policy (s)": collected - start - self.measured_env.seconds,
            "Time / Update (s)": learned - collected,
        }
        return self.statistics.summary() | scalars

    @torch.no_grad()
    def _set_planned_log_std(self, config: PPOConfig) -> None:
        """Makes the spread of actions, if it goes by plan, what it is in the next update."""
        if (log_std := config.planned_log_std(self.progress)) is not None:
            self.network.log_std.fill_(log_std)  # pyright: ignore

    def state(self) -> Arrays:
        return {
            **self._plain_state(),
            **with_prefix("network/", parameter_arrays(self.network)),
            **self._optimizer_state(),
            **with_prefix("statistics/", self.statistics.state()),
            **self.env_state(),
        }

    def _plain_state(self) -> Arrays:
        """The part of the state whose arrays keep their shapes and types."""
        return {
            "num_updates": np.array(self.num_updates),
            "generator": self.generator.get_state().numpy().copy(),
            **with_prefix("trainer/", self._own_state()),
        }

    def restore(self, state: Arrays) -> None:
        """Goes back to a `state()` of a trainer with the same configuration.

        Raises:
            ValueError: an array is missing, or its shape or type is not that of this trainer.
        """
        for name, array in self._plain_state().items():
            if name != NOISE:  # is there after the first draw
                check_like(name, array, state.get(name))
        if NOISE in state:
            check_like(NOISE, np.zeros(self.env.action_space.shape, np.float32), state[NOISE])  # pyright: ignore
        load_parameters(self.network, without_prefix("network/", state))
        for name, optimizer in self.optimizers().items():
            load_adam(optimizer, without_prefix(f"{name}/", state))
        self.num_updates = int(state["num_updates"])
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self._restore_own(without_prefix("trainer/", state))
        self.statistics.restore(without_prefix("statistics/", state))
        self.restore_env(state)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Returns all optimisers by their name in a state."""
        return {"adam": self.optimizer}

    @property
    def rate(self) -> float:
        """The learning rate as it is now."""
        return self.optimizer.param_groups[0]["lr"]

    def _optimizer_state(self) -> Arrays:
        states = {name: adam_arrays(optimizer) for name, optimizer in self.optimizers().items()}
        return {f"{name}/{k}": v for name, arrays in states.items() for k, v in arrays.items()}

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Seeds Torch's and NumPy's global generators from the trainer's own; puts them back then.

        For what the libraries draw from them: initial weights always, and some all else too.
        """
        held = np.random.get_state()
        with torch.random.fork_rng(devices=[self.torch_device] if self.on_gpu else []):
            seed = torch.randint(2**32, (), generator=self.generator, device=self.torch_device)
            torch.manual_seed(int(seed))
            np.random.seed(int(seed))
            try:
                yield
            finally:
                np.random.set_state(held)

    @property
    def on_gpu(self) -> bool:
        """Whether the network is on a CUDA device."""
        return self.torch_device.type == "cuda"


class Noise:
    """Standard normal noise for actions.

    Args:
        generator: Where it is drawn from.
        correlation: Of each draw with the one before, from 0 to 1.
    """

    def __init__(self, generator: torch.Generator, correlation: float = 0.0):
        self.generator, self.correlation = generator, correlation
        self._last: torch.Tensor | None = None

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Returns noise of this shape, which must always be the same if there is correlation."""
        noise = torch.randn(shape, generator=self.generator, device=self.generator.device)
        if not self.correlation:
            return noise
        if self._last is not None:
            noise = self.correlation * self._last + math.sqrt(1.0 - self.correlation**2) * noise
        self._last = noise
        return noise

    def state(self) -> Arrays:
        """Returns what the next draw depends on, but for the generator."""
        return {} if self._last is None else {"noise": to_array(self._last).copy()}

    def restore(self, state: Arrays) -> None:
        """Goes back to a `state()`, which may hold other arrays too."""
        if "noise" in state:
            self._last = torch.tensor(state["noise"], device=self.generator.device)
        else:
            self._last = None


def shares_trunk(config: PPOConfig) -> bool:
    """Returns whether policy and value are two heads on one trunk."""
    sizes = (config.policy_hidden_layer_sizes, config.value_hidden_layer_sizes)
    return config.share_policy_value_features and sizes[0] == sizes[1]


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


def available_device(name: str) -> torch.device:
    """Returns the Torch device of this name.

    Raises:
        ValueError: Torch does not know the name, or the machine has no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r} is not one of Torch's, such as 'cpu', 'cuda'") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r} is not available: Torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices; use 'cpu', or a Torch for CUDA and a GPU"
        )
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; allowed are 'cpu', 'cuda', 'cuda:<n>'")
    return device


def computes_bfloat16(device: torch.device) -> bool:
    """Returns whether the device is known to have bfloat16 instructions; without, it is slower.

    Known are x86 processors, by Torch 2.11 and later, and GPUs.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def in_bfloat16(config: PPOConfig, device: torch.device) -> bool:
    """Returns whether `mixed_precision` is asked for and makes the device faster."""
    return config.mixed_precision and computes_bfloat16(device)


def precision_notes(config: PPOConfig, device: torch.device) -> list[str]:
    """Returns the line of `Trainer.notes` for a device on which `mixed_precision` does nothing."""
    if not config.mixed_precision or in_bfloat16(config, device):
        return []
    kind = "GPU" if device.type == "cuda" else "processor"
    return [f"mixed_precision: no fast bfloat16 on this {kind}, so all is computed in float32"]


class TorchMirror:
    """A `Mirror` of tensors: reflections of observations (..., obs) and actions (..., act)."""

    def __init__(self, mirror: Mirror, device: torch.device):
        self.observation = self._reflector(mirror.observation, device)
        self.action = self._reflector(mirror.action, device)
        self._turns = torch.tensor(mirror.turns, device=device)

    def image(self, observations: torch.Tensor) -> torch.Tensor:
        """Returns the mirror image, turned, of observations (..., obs)."""
        image = self.observation(observations)
        return image + torch.where(image > 0, -self._turns, self._turns)

    def _reflector(
        self, reflection: Reflection, device: torch.device
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        source = torch.tensor(reflection.source, device=device)
        sign = torch.tensor(reflection.sign, device=device)
        return lambda x: x.index_select(-1, source) * sign


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


def find_linears(*modules: nn.Module) -> list[nn.Linear]:
    """Returns all linear layers in order."""
    parts = [part for module in modules for part in module.modules()]
    return [part for part in parts if isinstance(part, nn.Linear)]


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """Returns a NumPy copy of a tensor."""
    return tensor.detach().cpu().numpy().copy()


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
