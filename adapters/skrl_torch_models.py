# SPDX-License-Identifier: Apache-2.0
"""The network of PPO by skrl on Torch, as a model of skrl's."""

from typing import Any

import gymnasium
import torch
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from torch import nn
from torch.distributions import Normal

from adapters.ppo_config import PPOConfig
from adapters.torch_devices import in_bfloat16
from adapters.torch_networks import make_linear, make_trunk
from motrix_gym.policy import LOG_STD_RANGE


class ActorCritic(GaussianMixin, DeterministicMixin, Model):
    """Gaussian policy and value in one skrl model: two heads on one trunk, or on one trunk each.

    Weights are orthogonal (gain sqrt 2; policy head 0.01; value head 1), biases zero. In mixed
    precision the trunks compute in bfloat16 and the heads in float32.

    Args:
        observation_space: Of one environment.
        action_space: Of one environment.
        config: The settings.
        device: Where to compute.
        policy_width: Entries of an observation that the policy sees, the first ones; None: all. The
            value sees all.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        config: PPOConfig,
        device: torch.device,
        policy_width: int | None = None,
    ):
        Model.__init__(
            self, observation_space=observation_space, action_space=action_space, device=device
        )
        GaussianMixin.__init__(self, min_log_std=LOG_STD_RANGE[0], max_log_std=LOG_STD_RANGE[1])
        DeterministicMixin.__init__(self)
        self.mixed_precision = in_bfloat16(config, device)
        sizes = [config.policy_hidden_layer_sizes, config.value_hidden_layer_sizes]
        widths = [policy_width or self.num_observations, self.num_observations]
        kinds = 1 if config.shares_trunk else 2
        self.widths = widths[:kinds]
        self.trunks = nn.ModuleList(
            make_trunk(width, layers, config.activation)
            for width, layers in zip(self.widths, sizes[:kinds], strict=True)
        )
        self.policy_head = make_linear(sizes[0][-1], self.num_actions, gain=0.01)
        self.value_head = make_linear(sizes[1][-1], 1, gain=1.0)
        log_std = torch.full((self.num_actions,), config.initial_log_std)
        self.log_std = nn.Parameter(log_std, requires_grad=config.final_log_std is None)
        self.to(device)

    def heads(self, observations: torch.Tensor) -> tuple[Normal, torch.Tensor]:
        """Returns the distribution of actions (n, act) and the values (n, 1)."""
        features = [
            self._features(trunk, observations[:, :width])
            for width, trunk in zip(self.widths, self.trunks, strict=True)
        ]
        deviation = self.log_std.exp()
        return Normal(self.policy_head(features[0]), deviation), self.value_head(features[-1])

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        """Returns values (n, 1)."""
        return self.value_head(self._features(self.trunks[-1], observations))

    def _features(self, trunk: nn.Module, observations: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
            features = trunk(observations)
        return features.float()

    def act(self, inputs: dict[str, Any], *, role: str = "") -> tuple[torch.Tensor, dict[str, Any]]:
        mixin = DeterministicMixin if role == "value" else GaussianMixin
        return mixin.act(self, inputs, role=role)

    def compute(
        self, inputs: dict[str, Any], role: str = ""
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        if role == "value":
            return self.values(inputs["observations"]), {}
        distribution, _ = self.heads(inputs["observations"])
        return distribution.mean, {"log_std": self.log_std}
