# SPDX-License-Identifier: Apache-2.0
"""PPO by skrl on JAX as skrl itself runs it."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from skrl import config as skrl_config
from skrl.agents.jax import ExperimentCfg
from skrl.agents.jax.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.jax import wrap_env
from skrl.memories.jax import RandomMemory
from skrl.resources.preprocessors.jax import RunningStandardScaler
from skrl.resources.schedulers.jax import KLAdaptiveLR
from skrl.utils import set_seed

from adapters.base import Layers
from adapters.ppo_config import PPOConfig
from adapters.skrl_jax import find_device
from adapters.skrl_jax_models import make_networks, policy_arrays
from adapters.stock.skrl_common import StockSkrlTrainer, ppo_settings
from motrix_gym.policy import LOG_STD_RANGE


class StockSkrlJaxTrainer(StockSkrlTrainer):
    """skrl's own PPO on JAX; see `StockSkrlTrainer`.

    The networks start with the very weights of `SkrlJaxTrainer`'s. `mixed_precision` does nothing.
    """

    name = "stock-skrl-jax"
    without_effect = (*StockSkrlTrainer.without_effect, "mixed_precision")

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        self.jax_device = skrl_config.jax.device = find_device(device)
        set_seed(config.seed)
        wrapped = wrap_env(self.measured_env, wrapper="gymnasium", verbose=False)
        wrapped._device = self.jax_device
        observation_space: Any = wrapped.observation_space
        common: dict[str, Any] = {
            "observation_space": observation_space,
            "action_space": wrapped.action_space,
            "device": self.jax_device,
        }
        policy, value, _ = make_networks(config, **common)
        scaler_device = {"device": self.jax_device}
        settings = ppo_settings(config, RunningStandardScaler, KLAdaptiveLR, **scaler_device)
        agent = PPO(
            models={"policy": policy, "value": value},
            memory=RandomMemory(
                memory_size=config.rollouts, num_envs=env.num_envs, device=self.jax_device
            ),
            cfg=PPO_CFG(
                **settings,
                observation_preprocessor_kwargs=scaler_device | {"size": observation_space},
                experiment=ExperimentCfg(write_interval=0, checkpoint_interval=0),
            ),
            **common,
        )
        self._begin(agent, wrapped)

    def _weights(self) -> tuple[Layers, np.ndarray]:
        layers, log_std = policy_arrays(self.agent.policy.state_dict.params, self.config)
        return layers, log_std.clip(*LOG_STD_RANGE)

    def _learning_rate(self) -> float:
        return float(self.agent.policy_learning_rate)

    def _array(self, tensor: Any) -> np.ndarray:
        return np.array(tensor)
