# SPDX-License-Identifier: Apache-2.0
"""TQC and CrossQ by sb3-contrib."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sb3_contrib import TQC, CrossQ
from sb3_contrib.common.torch_layers import BatchRenorm
from torch import nn

from adapters.base import Layers
from adapters.off_policy import FinalObservations, OffPolicyTrainer, SACTrainer
from adapters.sb3_config import CrossQConfig, TQCConfig
from adapters.sb3_normalizer import observation_moments
from adapters.torch_networks import linear_layers, to_array
from motrix_gym.policy import Policy


class TrainerTQC(FinalObservations, TQC):
    """TQC for `TQCTrainer`."""


class TQCTrainer(SACTrainer):
    """TQC by sb3-contrib; see `OffPolicyTrainer`. Its policy is SAC's."""

    config: TQCConfig
    algorithm = TrainerTQC

    def _settings(self) -> dict[str, Any]:
        dropped = self.config.top_quantiles_to_drop_per_net
        return super()._settings() | {"top_quantiles_to_drop_per_net": dropped}

    def _network_settings(self) -> dict[str, Any]:
        return {"n_quantiles": self.config.n_quantiles}


class TrainerCrossQ(FinalObservations, CrossQ):
    """CrossQ for `CrossQTrainer`."""


class CrossQTrainer(OffPolicyTrainer):
    """CrossQ by sb3-contrib; see `OffPolicyTrainer`.

    In the portable policy each normalisation is part of the linear layers after it.
    """

    config: CrossQConfig
    algorithm = TrainerCrossQ

    def _settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "ent_coef": config.ent_coef,
            "target_entropy": config.target_entropy,
            "policy_delay": config.policy_delay,
        }

    def policy(self) -> Policy:
        actor = self.model.actor
        layers = folded_layers([*actor.latent_pi, actor.mu])
        weight, bias = folded_layers([*actor.latent_pi, actor.log_std])[-1]
        moments = observation_moments(self.normalizer)
        return self.make_policy(layers, bias, moments, squash=True, log_std_weight=weight)


def folded_layers(modules: Iterable[nn.Module]) -> Layers:
    """Returns the linear layers of modules in order, with the normalisations folded into them.

    A layer's weights and biases include the normalisations between it and the activation before it,
    which scale and shift its input. For the form see `linear_layers`.
    """
    layers: Layers = []
    scale, shift = np.ones(1), np.zeros(1)  # of the next linear layer's input
    for module in modules:
        if isinstance(module, BatchRenorm):
            mean, variance, factor, offset = (
                to_array(tensor).astype(np.float64)
                for tensor in (module.ra_mean, module.ra_var, module.scale, module.bias)  # pyright: ignore[reportArgumentType]
            )
            factor /= np.sqrt(variance + module.eps)
            scale, shift = scale * factor, (shift - mean) * factor + offset
        elif isinstance(module, nn.Linear):
            ((weight, bias),) = linear_layers(module)
            layers.append((scale[:, None] * weight, bias + np.sum(shift[:, None] * weight, axis=0)))
            scale, shift = np.ones(1), np.zeros(1)
    return layers
