# SPDX-License-Identifier: Apache-2.0
"""PPO by Stable-Baselines3 as it runs by itself."""

from gymnasium.vector import VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from adapters.ppo_config import PPOConfig
from adapters.sb3 import ppo_figures, sb3_settings
from adapters.sb3_normalizer import make_normalizer
from adapters.sb3_on_policy import OnPolicyTrainer, network_settings
from adapters.stock.base import StockTrainer
from adapters.torch_trainer import TorchTrainer


class StockSB3Trainer(StockTrainer, OnPolicyTrainer):
    """Stable-Baselines3's own PPO with VecNormalize on `SB3VecEnv`; see `StockTrainer`.

    It has no KL-adaptive rate: the rate is fixed at `learning_rate`, whatever the threshold says.
    `mixed_precision` does nothing.
    """

    name = "stock-sb3"
    without_effect = (
        *StockTrainer.without_effect,
        "mixed_precision",
        "desired_kl",
    )

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        TorchTrainer.__init__(self, env, config, device=device)  # not ours, which makes another PPO
        self.normalizer = make_normalizer(self.measured_env, config)
        self.model = PPO(
            "MlpPolicy",
            self.normalizer,
            **sb3_settings(config),
            policy_kwargs=network_settings(config),
            seed=config.seed,
            device=self.torch_device,
        )
        self.learner = self.network = self.model.policy
        self.optimizer = self.learner.optimizer
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        _, self.callback = self.model._setup_learn(config.max_env_steps)

    def _learn(self) -> dict[str, float]:
        self.model.train()
        return ppo_figures(self.model)
