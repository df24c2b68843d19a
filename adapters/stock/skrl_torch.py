# SPDX-License-Identifier: Apache-2.0
"""PPO by skrl on Torch as skrl itself runs it."""

from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from skrl.agents.torch.base import ExperimentCfg
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.resources.preprocessors.torch import RunningStandardScaler
from skrl.resources.schedulers.torch import KLAdaptiveLR
from skrl.utils import set_seed
from torch import nn

from adapters.base import Layers
from adapters.ppo_config import PPOConfig
from adapters.stock.skrl_common import StockSkrlTrainer, ppo_settings
from adapters.torch_devices import available_device, in_bfloat16, precision_notes
from adapters.torch_networks import linear_layers, make_linear, make_trunk, to_array
from motrix_gym.policy import LOG_STD_RANGE


class StockSkrlTorchTrainer(StockSkrlTrainer):
    """skrl's own PPO on Torch; see `StockSkrlTrainer`.

    `mixed_precision` is skrl's own; on a processor without bfloat16 instructions all is float32, as
    `notes` says.
    """

    name = "stock-skrl-torch"

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        self.torch_device = torch_device = available_device(device)
        set_seed(config.seed)
        wrapped = wrap_env(self.measured_env, wrapper="gymnasium", verbose=False)
        wrapped._device = torch_device
        common: dict[str, Any] = {
            "observation_space": wrapped.observation_space,
            "action_space": wrapped.action_space,
            "device": torch_device,
        }
        scaler_device = {"device": torch_device}
        settings = ppo_settings(config, RunningStandardScaler, KLAdaptiveLR, **scaler_device)
        agent = PPO(
            models={
                "policy": PolicyNetwork(config, **common),
                "value": ValueNetwork(config, **common),
            },
            memory=RandomMemory(
                memory_size=config.rollouts, num_envs=env.num_envs, device=torch_device
            ),
            cfg=PPO_CFG(
                **settings,
                observation_preprocessor_kwargs=scaler_device | {"size": wrapped.observation_space},
                mixed_precision=in_bfloat16(config, torch_device),
                experiment=ExperimentCfg(write_interval=0, checkpoint_interval=0),
            ),
            **common,
        )
        self._begin(agent, wrapped, torch.no_grad)

    def notes(self) -> list[str]:
        return super().notes() + precision_notes(self.config, self.torch_device)

    def _weights(self) -> tuple[Layers, np.ndarray]:
        policy = self.agent.policy
        return linear_layers(policy), to_array(policy.log_std.clamp(*LOG_STD_RANGE))

    def _learning_rate(self) -> float:
        return self.agent.optimizer.param_groups[0]["lr"]

    def _array(self, tensor: Any) -> np.ndarray:
        return to_array(tensor)


class PolicyNetwork(GaussianMixin, Model):
    """Mean action of an observation, and a standard deviation that does not depend on it."""

    def __init__(self, config: PPOConfig, **common: Any):
        Model.__init__(self, **common)
        GaussianMixin.__init__(self, min_log_std=LOG_STD_RANGE[0], max_log_std=LOG_STD_RANGE[1])
        sizes = config.policy_hidden_layer_sizes
        self.network = make_network(self, sizes, config.activation, self.num_actions, gain=0.01)
        self.log_std = nn.Parameter(torch.full((self.num_actions,), config.initial_log_std))
        self.to(self.device)

    def compute(
        self, inputs: dict[str, Any], role: str = ""
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        return self.network(inputs["observations"]), {"log_std": self.log_std}


class ValueNetwork(DeterministicMixin, Model):
    """Normalised value of an observation, (n, 1)."""

    def __init__(self, config: PPOConfig, **common: Any):
        Model.__init__(self, **common)
        DeterministicMixin.__init__(self)
        sizes = config.value_hidden_layer_sizes
        self.network = make_network(self, sizes, config.activation, 1, gain=1.0)
        self.to(self.device)

    def compute(
        self, inputs: dict[str, Any], role: str = ""
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        return self.network(inputs["observations"]), {}


def make_network(
    model: Model, sizes: tuple[int, ...], activation: str, outputs: int, gain: float
) -> nn.Sequential:
    """Returns a trunk of these sizes and a last layer whose weights start with the given gain."""
    trunk = make_trunk(model.num_observations, sizes, activation)
    return nn.Sequential(*trunk, make_linear(sizes[-1], outputs, gain))
