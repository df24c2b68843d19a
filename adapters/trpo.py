# SPDX-License-Identifier: Apache-2.0
"""TRPO by sb3-contrib."""

from typing import Any

from sb3_contrib import TRPO
from stable_baselines3.common.policies import ActorCriticPolicy

from adapters.sb3_config import TRPOConfig
from adapters.sb3_env import BatchedTimeLimits
from adapters.sb3_on_policy import (
    OnPolicyTrainer,
    SeededGaussian,
    SeededRolloutBuffer,
    network_settings,
)


class TRPOTrainer(OnPolicyTrainer):
    """TRPO by sb3-contrib; see `Trainer`.

    Policy and value are networks of their own; observations and rewards are normalised as for PPO.
    """

    config: TRPOConfig

    def _make_model(self) -> Any:
        config = self.config
        venv = BatchedTimeLimits(self.normalizer, config.discount_factor)
        model = TRPO(
            ActorCriticPolicy,
            venv,
            learning_rate=config.learning_rate,
            n_steps=config.rollouts,
            batch_size=config.mini_batch_size,
            gamma=config.discount_factor,
            gae_lambda=config.lambda_param,
            cg_max_steps=config.cg_max_steps,
            cg_damping=config.cg_damping,
            line_search_shrinking_factor=config.line_search_shrinking_factor,
            line_search_max_iter=config.line_search_max_iter,
            n_critic_updates=config.n_critic_updates,
            target_kl=config.target_kl,
            rollout_buffer_class=SeededRolloutBuffer,
            rollout_buffer_kwargs={"generator": self.generator},
            stats_window_size=max(100, venv.num_envs),
            policy_kwargs=network_settings(config),
            device=self.torch_device,
        )
        model.policy.action_dist = SeededGaussian(len(model.policy.log_std), self._make_noise())
        venv.learner = model.policy
        return model

    def _learn(self) -> dict[str, float]:
        with self.seeded():  # the conjugate gradient may start anew from a random direction
            self.model.train()
        figures = self.model.logger.name_to_value
        return {
            "Loss / Policy loss": -float(figures["train/policy_objective"]),
            "Loss / Value loss": float(figures["train/value_loss"]),
            "Learning / KL divergence": float(figures["train/kl_divergence_loss"]),
            "Learning / Line search success": float(figures["train/is_line_search_success"]),
            "Learning / Explained variance": float(figures["train/explained_variance"]),
            "Policy / Standard deviation": float(figures["train/std"]),
        }
