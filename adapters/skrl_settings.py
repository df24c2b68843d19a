# SPDX-License-Identifier: Apache-2.0
"""The settings of PPO under skrl's names, which are the same on Torch and on JAX."""

from typing import Any

from adapters.ppo_config import PPOConfig


def skrl_settings(config: PPOConfig) -> dict[str, Any]:
    """Returns keyword arguments for a `PPO_CFG`; normalisers, scheduler and files are not in it."""
    return {
        "rollouts": config.rollouts,
        "learning_epochs": config.learning_epochs,
        "mini_batches": config.mini_batches,
        "discount_factor": config.discount_factor,
        "gae_lambda": config.lambda_param,
        "learning_rate": config.learning_rate,
        "grad_norm_clip": config.grad_norm_clip,
        "ratio_clip": config.ratio_clip,
        "value_clip": config.value_clip if config.clip_predicted_values else 0.0,
        "entropy_loss_scale": config.entropy_loss_scale,
        "value_loss_scale": config.value_loss_scale,
        "kl_threshold": config.early_stop_kl,
    }
