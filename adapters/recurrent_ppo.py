# SPDX-License-Identifier: Apache-2.0
"""RecurrentPPO by sb3-contrib."""

from typing import Any

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates

from adapters.sb3 import ppo_figures, sb3_settings
from adapters.sb3_config import RecurrentPPOConfig
from adapters.sb3_on_policy import OnPolicyTrainer, SeededGaussian, network_settings
from adapters.torch_networks import lstm_layers, to_array
from adapters.torch_states import Arrays
from motrix_gym.policy import Policy

LSTM_STATES = ("policy_output", "policy_cell", "value_output", "value_cell")


class RecurrentPPOTrainer(OnPolicyTrainer):
    """RecurrentPPO by sb3-contrib; see `Trainer`.

    The library itself adds the value of the final observation at time limits, since that value
    depends on the LSTM's state. It draws mini-batches from NumPy's global generator, which is
    seeded for each update and restored after it.
    """

    config: RecurrentPPOConfig

    def _make_model(self) -> Any:
        config = self.config
        lstm = {"lstm_hidden_size": config.lstm_hidden_size, "n_lstm_layers": config.n_lstm_layers}
        model = RecurrentPPO(
            RecurrentActorCriticPolicy,
            self.normalizer,
            **sb3_settings(config),
            stats_window_size=max(100, self.env.num_envs),
            policy_kwargs=network_settings(config) | lstm,
            device=self.torch_device,
        )
        model.policy.action_dist = SeededGaussian(len(model.policy.log_std), self._make_noise())
        return model

    def _learn(self) -> dict[str, float]:
        with self.seeded():
            self.model.train()
        return ppo_figures(self.model)

    def policy(self) -> Policy:
        return self._portable(lstm=lstm_layers(self.learner.lstm_actor))

    def _own_state(self) -> Arrays:
        states = [to_array(part) for pair in self.model._last_lstm_states for part in pair]
        return super()._own_state() | dict(zip(LSTM_STATES, states, strict=True))

    def _restore_own(self, state: Arrays) -> None:
        super()._restore_own(state)
        parts = [
            torch.from_numpy(np.array(state[name])).to(self.torch_device) for name in LSTM_STATES
        ]
        self.model._last_lstm_states = RNNStates((parts[0], parts[1]), (parts[2], parts[3]))
