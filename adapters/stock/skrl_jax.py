# SPDX-License-Identifier: Apache-2.0
"""PPO by skrl on JAX as skrl itself runs it."""

from typing import Any

import jax
import jax.numpy as jnp
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

from adapters.ppo_config import PPOConfig
from adapters.skrl_jax import PolicyNetwork, ValueNetwork, find_device, layer_names
from adapters.skrl_settings import LOG_STD_RANGE
from adapters.stock.skrl_common import Layers, StockSkrlTrainer, ppo_settings


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
        policy = PolicyNetwork(
            sizes=config.policy_hidden_layer_sizes,
            activation=config.activation,
            initial_log_std=config.initial_log_std,
            **common,
        )
        value = ValueNetwork(
            sizes=config.value_hidden_layer_sizes, activation=config.activation, **common
        )
        with jax.default_device(self.jax_device):
            # Of one and the same key, skrl would make hidden layers that are equal in both.
            _, *keys = jax.random.split(jax.random.PRNGKey(np.uint32(config.seed or 0)), 3)
            example = {"observations": jnp.zeros((1, *observation_space.shape))}
        policy.init_state_dict(example, role="policy", key=keys[0])
        value.init_state_dict(example, role="value", key=keys[1])
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
        weights = jax.device_get(self.agent.policy.state_dict.params["params"])
        layers = [weights[name] for name in layer_names(self.config.policy_hidden_layer_sizes)]
        log_std = weights["log_std"].clip(*LOG_STD_RANGE)
        return [(layer["kernel"], layer["bias"]) for layer in layers], log_std

    def _learning_rate(self) -> float:
        return float(self.agent.policy_learning_rate)

    def _array(self, tensor: Any) -> np.ndarray:
        return np.array(tensor)
