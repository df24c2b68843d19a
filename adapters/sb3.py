# SPDX-License-Identifier: Apache-2.0
"""PPO by Stable-Baselines3."""

from statistics import fmean
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from adapters.algorithm_config import FieldError
from adapters.initial_policy import whole_normalizer
from adapters.kl_rule import adapted_rate
from adapters.ppo_config import ADAM_EPSILON, MIN_LEARNING_RATE, PPOConfig
from adapters.ranks import ALONE, Ranks, current
from adapters.requirements import Requirements
from adapters.sb3_config import RecurrentPPOConfig
from adapters.sb3_env import BatchedTimeLimits
from adapters.sb3_normalizer import SharedMoments, load_moments
from adapters.sb3_on_policy import (
    Images,
    OnPolicyTrainer,
    SeededGaussian,
    SeededRolloutBuffer,
    network_settings,
)
from adapters.torch_networks import load_linear_layers, make_trunk
from adapters.torch_sampling import Noise, part_stream
from adapters.torch_states import set_rate
from motrix_gym.policy import LOG_STD_RANGE, Policy

# Figures that are not means over the epochs of an update.
OF_LAST_EPOCH = ("Learning / KL divergence", "Policy / Standard deviation")


class SB3Trainer(OnPolicyTrainer):
    """PPO by Stable-Baselines3; see `Trainer`.

    VecNormalize does what `normalize_observations` and `normalize_values` ask for, the latter by
    scaling rewards. `early_stop_kl` is 1.5 times SB3's `target_kl`. After each epoch, the
    KL-adaptive rate changes and the standard deviation of actions is bounded. `mixed_precision` has
    no effect. `docs/trainers.md` says how skrl-jax and skrl-torch differ.
    """

    config: PPOConfig
    without_effect = ("mixed_precision",)
    own_state = (*OnPolicyTrainer.own_state, "trainer/returns", "trainer/episode_starts")

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        part_stream(self.generator, config.seed, self.ranks.rank)
        if self.initial_policy:
            self._start_from(self.initial_policy)

    @classmethod
    def requirements(cls, env: VectorEnv, config: Any) -> Requirements:
        found = super().requirements(env, config)
        if found.mirror and config.early_stop_kl:
            raise FieldError(
                "early_stop_kl",
                f"early_stop_kl={config.early_stop_kl} with symmetry_augmentation=True: "
                "Stable-Baselines3 would count mirror images as divergence; set early_stop_kl=0",
            )
        if current().size > 1 and config.early_stop_kl:
            raise FieldError(
                "early_stop_kl",
                f"early_stop_kl={config.early_stop_kl} in several processes: each would stop at "
                "another time in Stable-Baselines3; set early_stop_kl=0, or use skrl-torch",
            )
        return found

    def _make_normalizer(self) -> VecNormalize:
        normalizer = super()._make_normalizer()
        normalizer.ret_rms = SharedMoments((), self.ranks)
        if normalizer.norm_obs:
            shape: Any = normalizer.observation_space.shape
            reflection = self.mirror.observation if self.mirror else None
            normalizer.obs_rms = SharedMoments(shape, self.ranks, reflection)
        return normalizer

    def _make_model(self) -> Any:
        venv = BatchedTimeLimits(self.normalizer, self.config.discount_factor)
        images = None
        if mirror := self.mirror:
            images = {"observations": self._image, "actions": mirror.action}
        noise = self._make_noise(self.config.noise_correlation)
        model = make_ppo(
            venv, self.config, self.torch_device, noise, images, self.policy_width, self.ranks
        )
        venv.learner = model.policy
        return model

    def _start_from(self, policy: Policy) -> None:
        """Takes over the layers and the normaliser of a policy of the same form."""
        load_linear_layers(policy.layers, *self._policy_modules())
        if self.normalizer.norm_obs:
            size = self.normalizer.observation_space.shape[0]  # pyright: ignore
            mean, std, count = whole_normalizer(policy, size)
            variance = std.astype(np.float64) ** 2 - self.normalizer.epsilon
            moments = {
                "mean": mean.astype(np.float64),
                "var": variance.clip(0.0),
                "count": count,
            }
            load_moments(self.normalizer.obs_rms, moments)  # pyright: ignore[reportArgumentType]
            first = self.normalizer.get_original_obs()  # of the reset
            self.model._last_obs = self.normalizer.normalize_obs(first)

    def _image(self, observations: np.ndarray) -> np.ndarray:
        """Returns the mirror images of normalised observations (..., obs)."""
        assert self.mirror
        image = self.mirror.image(self.normalizer.unnormalize_obs(observations))
        return self.normalizer.normalize_obs(image)  # pyright: ignore[reportReturnType]

    def _learn(self) -> dict[str, float]:
        highest = self.config.highest_rate(self.progress)
        set_rate(self.optimizer, min(self.rate, highest))
        epochs = [self._epoch(highest) for _ in range(self.config.learning_epochs)]
        means = {tag: fmean(figures[tag] for figures in epochs) for tag in epochs[0]}
        return means | {tag: epochs[-1][tag] for tag in OF_LAST_EPOCH}

    def _epoch(self, highest: float) -> dict[str, float]:
        """Learns from each sample once, adapts the rate, and returns figures by tag."""
        self.model.train()
        figures = ppo_figures(self.model)
        with torch.no_grad():
            log_std = self.learner.log_std.clamp_(max=LOG_STD_RANGE[1])
            figures["Policy / Standard deviation"] = float(log_std.exp().mean())
        if self.mirror:
            figures["Learning / KL divergence"] = self._own_divergence()
        if threshold := self.config.desired_kl:
            divergence = self.ranks.mean(figures["Learning / KL divergence"])
            rate = adapted_rate(self.rate, divergence, threshold, MIN_LEARNING_RATE, highest)
            set_rate(self.optimizer, float(rate))
        return figures

    @torch.no_grad()
    def _own_divergence(self) -> float:
        """Returns the KL divergence over random samples, as many as a mini-batch has.

        Mirror images are left out: the policy did not draw them.
        """
        order = np.random.default_rng(self.num_updates).permutation(self.config.batch_size)
        samples = self.model.rollout_buffer._get_samples(order[: self.config.mini_batch_size])
        log_prob = self.learner.evaluate_actions(samples.observations, samples.actions)[1]
        log_ratio = log_prob - samples.old_log_prob
        return float((log_ratio.exp() - 1.0 - log_ratio).mean())


def ppo_figures(model: Any) -> dict[str, float]:
    """Returns the figures that Stable-Baselines3 logs in an update of PPO, by our tags."""
    figures = model.logger.name_to_value
    return {
        "Loss / Policy loss": float(figures["train/policy_gradient_loss"]),
        "Loss / Value loss": model.vf_coef * float(figures["train/value_loss"]),
        "Loss / Entropy loss": model.ent_coef * float(figures["train/entropy_loss"]),
        "Learning / Clip fraction": float(figures["train/clip_fraction"]),
        "Learning / KL divergence": float(figures["train/approx_kl"]),
        "Learning / Explained variance": float(figures["train/explained_variance"]),
        "Policy / Standard deviation": float(figures["train/std"]),
    }


def sb3_settings(config: PPOConfig | RecurrentPPOConfig) -> dict[str, Any]:
    """Returns our settings as keyword arguments of Stable-Baselines3's PPO, without networks."""
    return {
        "learning_rate": config.learning_rate,
        "n_steps": config.rollouts,
        "batch_size": config.mini_batch_size,
        "n_epochs": config.learning_epochs,
        "gamma": config.discount_factor,
        "gae_lambda": config.lambda_param,
        "clip_range": config.ratio_clip,
        "clip_range_vf": (config.value_clip or None) if config.clip_predicted_values else None,
        "ent_coef": config.entropy_loss_scale,
        "vf_coef": config.value_loss_scale,
        "max_grad_norm": config.grad_norm_clip or np.inf,
        "target_kl": config.early_stop_kl / 1.5 or None,
    }


def make_ppo(
    venv: VecEnv,
    config: PPOConfig,
    device: torch.device,
    noise: Noise,
    images: Images | None = None,
    policy_width: int | None = None,
    ranks: Ranks = ALONE,
) -> PPO:
    """Returns Stable-Baselines3's PPO with our settings; its `train` makes one epoch.

    Args:
        venv: The environment.
        config: The settings.
        device: Where to compute.
        noise: For the actions; mini-batches are drawn from its generator.
        images: See `SeededRolloutBuffer`.
        policy_width: See `PrivilegedPolicy`; read with `privileged_value`.
        ranks: The processes that learn together.
    """
    networks = network_settings(config)
    if config.shares_trunk:
        trunk = {"sizes": config.policy_hidden_layer_sizes, "activation": config.activation}
        networks |= {
            "net_arch": {"pi": [], "vf": []},
            "features_extractor_class": SharedTrunk,
            "features_extractor_kwargs": trunk,
        }
    policy_class = ActorCriticPolicy
    if config.privileged_value:
        policy_class = PrivilegedPolicy
        networks["policy_width"] = policy_width
    networks["optimizer_kwargs"] = {"eps": ADAM_EPSILON}
    settings: dict[str, Any] = sb3_settings(config) | {"n_epochs": 1}
    if ranks.size > 1:  # done with what is of all ranks: by the buffer, and before a step
        settings |= {"normalize_advantage": False, "max_grad_norm": np.inf}
    model = TrainerPPO(
        policy_class,
        venv,
        **settings,
        rollout_buffer_class=SeededRolloutBuffer,
        rollout_buffer_kwargs={"generator": noise.generator, "images": images, "ranks": ranks},
        stats_window_size=max(100, venv.num_envs),
        policy_kwargs=networks,
        device=device,
    )
    space: Any = venv.action_space
    model.policy.action_dist = SeededGaussian(
        len(model.policy.log_std),
        noise,
        box=[torch.as_tensor(bound, device=device) for bound in (space.low, space.high)],
        bounds_loss_scale=config.bounds_loss_scale,
    )
    model.policy.log_std.requires_grad_(config.final_log_std is None)
    if ranks.size > 1:
        parameters = list(model.policy.parameters())
        limit = config.grad_norm_clip or np.inf

        def share_gradients(*_: Any) -> None:
            ranks.average([p.grad for p in parameters if p.grad is not None])
            torch.nn.utils.clip_grad_norm_(parameters, limit)

        model.policy.optimizer.register_step_pre_hook(share_gradients)
    return model


class TrainerPPO(PPO):
    """PPO whose learning rate is set from outside, on the optimiser."""

    def _update_learning_rate(self, optimizers: Any) -> None:
        pass


class SharedTrunk(BaseFeaturesExtractor):
    """Hidden layers as a features extractor, the part that policy and value can share in SB3."""

    def __init__(self, observation_space: Any, sizes: tuple[int, ...], activation: str):
        super().__init__(observation_space, features_dim=sizes[-1])
        self.trunk = make_trunk(observation_space.shape[0], sizes, activation)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.trunk(observations)


class PrivilegedPolicy(ActorCriticPolicy):
    """An ActorCriticPolicy whose policy network sees the first entries of an observation only.

    Args:
        *args: As `ActorCriticPolicy`.
        policy_width: How many entries that is; the value network sees all.
        **kwargs: As `ActorCriticPolicy`.
    """

    def __init__(self, *args: Any, policy_width: int, **kwargs: Any):
        self.policy_width = policy_width
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = PrivilegedExtractor(
            self.policy_width, self.features_dim, self.net_arch, self.activation_fn, self.device
        )


class PrivilegedExtractor(MlpExtractor):
    """The hidden layers of policy and value; the policy's get an observation's first entries."""

    def __init__(self, policy_width: int, features_dim: int, *others: Any):
        super().__init__(features_dim, *others)
        self.policy_width = policy_width
        self.policy_net = MlpExtractor(policy_width, *others).policy_net

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return self.policy_net(features[:, : self.policy_width])
