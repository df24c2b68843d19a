# SPDX-License-Identifier: Apache-2.0
"""TorchTrainer: what the trainers on Torch share."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import nn

from adapters.algorithm_config import AlgorithmConfig
from adapters.measured_env import MeasuredEnv
from adapters.phases import PhasedTrainer
from adapters.states import with_prefix, without_prefix
from adapters.torch_devices import available_device
from adapters.torch_states import (
    Arrays,
    adam_arrays,
    load_adam,
    load_parameters,
    parameter_arrays,
)


class TorchTrainer(PhasedTrainer):
    """A trainer on Torch: a subclass makes `network` and `optimizer`, collects and learns.

    All randomness comes from `generator`; Torch's global one is left as it was. A state belongs to
    one kind of device: that of a CPU cannot be restored on a GPU.

    Raises:
        ValueError: Torch has no such device, or as `Trainer`.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    own_state = (*PhasedTrainer.own_state, "generator", "trainer/observations", "trainer/noise")

    def __init__(self, env: VectorEnv, config: AlgorithmConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        self.torch_device = available_device(device)
        self.generator = torch.Generator(self.torch_device).manual_seed(config.seed or 0)
        self.measured_env = MeasuredEnv(
            env,
            self.statistics,
            config.rewards_shaper_scale,
            self.elapsed_steps,
            self.ranks.rank * env.num_envs,
        )

    @abstractmethod
    def _own_state(self) -> Arrays:
        """Returns what `state` must hold beside the network, the optimiser and the environment."""

    @abstractmethod
    def _restore_own(self, state: Arrays) -> None:
        """Goes back to an `_own_state`."""

    def update(self) -> dict[str, float]:
        scalars = super().update()
        return scalars | {"Learning / Learning rate": self.rate}

    @torch.no_grad()
    def _set_log_std(self, log_std: float) -> None:
        self.network.log_std.fill_(log_std)  # pyright: ignore

    def _checked_state(self) -> Arrays:
        return {
            "generator": self.generator.get_state().numpy().copy(),
            **with_prefix("trainer/", self._own_state()),
        }

    def _other_state(self) -> Arrays:
        network = with_prefix("network/", parameter_arrays(self.network))
        for name, optimizer in self.optimizers().items():
            network |= with_prefix(f"{name}/", adam_arrays(optimizer))
        return network

    def _restore_learner(self, state: Arrays) -> None:
        load_parameters(self.network, without_prefix("network/", state))
        for name, optimizer in self.optimizers().items():
            load_adam(optimizer, without_prefix(f"{name}/", state))
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self._restore_own(without_prefix("trainer/", state))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Returns all optimisers by their name in a state."""
        return {"adam": self.optimizer}

    @property
    def rate(self) -> float:
        """The learning rate as it is now."""
        return self.optimizer.param_groups[0]["lr"]

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Seeds Torch's and NumPy's global generators from the trainer's own, and restores them.

        It is for what the libraries draw from global generators: all of them the initial weights,
        and some of them everything else too.
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
