# SPDX-License-Identifier: Apache-2.0
"""The agent of PPO by skrl on Torch, which corrects and speeds up skrl's own.

Agent and model keep skrl's interfaces, so they work inside skrl's trainers too.

Tensors have one row per environment; skrl's scalars are columns (N, 1), in memory (T, N, 1).
"""

import math
from typing import Any

import numpy as np
import torch
from skrl.agents.torch.base import ExperimentCfg
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.agents.torch.ppo.ppo import compute_gae
from skrl.memories.torch import RandomMemory
from skrl.resources.preprocessors.torch import RunningStandardScaler
from skrl.resources.schedulers.torch import KLAdaptiveLR
from torch import nn
from torch.nn import functional as F

from adapters.ppo_config import MIN_LEARNING_RATE, PPOConfig
from adapters.ranks import ALONE, Ranks
from adapters.skrl_settings import skrl_settings
from adapters.skrl_torch_models import ActorCritic
from adapters.torch_networks import to_array
from adapters.torch_sampling import Noise, TorchMirror, shuffled
from adapters.torch_states import set_rate
from motrix_gym import Mirror
from motrix_gym.policy import LOG_STD_RANGE


class TimeLimitPPO(PPO):
    """skrl's PPO, right at time limits, reproducible, and faster.

    What differs from `skrl.agents.torch.ppo.PPO`:

    - A row that is truncated and not terminated gets discount x V(infos["final_obs"]) added to its
      reward. skrl adds the value of the next observation, which under SAME_STEP autoreset is the
      first one of the next episode.
    - The statistics of observations are fixed during an update and take in its batch afterwards, so
      the KL divergence from the acting policy comes from the weights alone. The statistics of
      returns take in a rollout once, before the update that learns from it.
    - Noise and mini-batches are drawn from `generator`, on the device.
    - It is faster: one pass gives policy and value, nothing is sampled while learning, observations
      are normalised once per update, and figures stay on the device until the update's end.

    Args:
        model: Policy and value.
        memory: Room for `config.rollouts` steps.
        config: The settings.
        generator: Source of all randomness, on the model's device.
        mirror: For `config.symmetry_augmentation`; None goes without.
        ranks: The processes that learn together.
    """

    def __init__(
        self,
        model: ActorCritic,
        memory: RandomMemory,
        config: PPOConfig,
        generator: torch.Generator,
        mirror: Mirror | None = None,
        ranks: Ranks = ALONE,
    ):
        super().__init__(
            models={"policy": model, "value": model},
            memory=memory,
            observation_space=model.observation_space,
            action_space=model.action_space,
            device=model.device,
            cfg=ppo_config(config, model, ranks),
        )
        self.ranks = ranks
        self.model, self.memory, self.config, self.generator = model, memory, config, generator
        space: Any = model.action_space
        shape = (memory.num_envs, *space.shape)
        self.noise = Noise(generator, shape, config.noise_correlation)
        self._box = [
            torch.as_tensor(bound, device=model.device) for bound in (space.low, space.high)
        ]
        self._bounds_loss_scale = config.bounds_loss_scale
        self.cfg.rewards_shaper = self._pay_time_limits
        self._mirror = TorchMirror(mirror, model.device) if mirror else None
        self._final_values: torch.Tensor | None = None

    @torch.no_grad()
    def act(
        self,
        observations: torch.Tensor,
        states: torch.Tensor | None,
        *,
        timestep: int,
        timesteps: int,
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        distribution, values = self.model.heads(self._observation_preprocessor(observations))
        mean, deviation = distribution.mean, distribution.stddev
        actions = mean + deviation * self.noise.draw(mean.shape)
        self._current_log_prob = distribution.log_prob(actions).sum(dim=-1, keepdim=True)
        self._current_values = self._value_preprocessor(values, inverse=True)
        return actions, {"mean_actions": mean, "log_prob": self._current_log_prob}

    def record_transition(
        self, *, terminated: torch.Tensor, truncated: torch.Tensor, infos: Any, **others: Any
    ) -> None:
        self._limited = (truncated & ~terminated)[:, 0]
        rows = to_array(self._limited)
        if rows.any():
            final = np.stack(infos["final_obs"][rows], dtype=np.float32)
            self._final_values = self.predict_values(torch.as_tensor(final, device=self.device))
        super().record_transition(terminated=terminated, truncated=truncated, infos=infos, **others)

    def _pay_time_limits(
        self, rewards: torch.Tensor, timestep: int, timesteps: int
    ) -> torch.Tensor:
        """Adds the values of final observations to the rewards of rows at their time limit.

        It is set as skrl's reward shaper, which is called after the reward is logged and before it
        is stored.
        """
        if self._final_values is not None:
            rewards[self._limited] += self.cfg.discount_factor * self._final_values
            self._final_values = None
        return rewards

    @torch.no_grad()
    def predict_values(self, observations: torch.Tensor) -> torch.Tensor:
        """Returns the values (n, 1), in units of reward, of observations (n, obs) as they came."""
        values = self.model.values(self._observation_preprocessor(observations))
        return self._value_preprocessor(values, inverse=True)

    def update(self, *, timestep: int, timesteps: int) -> None:
        """Makes one PPO update from the memory; its figures go to `track_data`.

        Args:
            timestep: Vector steps that the run has learned from.
            timesteps: Of the whole run, for what changes over it; 0: nothing does.
        """
        self._anneal(timestep / timesteps if timesteps else 0.0)
        cfg, memory = self.cfg, self.memory.get_tensor_by_name
        assert self._current_next_observations is not None
        values = memory("values")
        # Normalised before the statistics take in the returns: the network's outputs as recorded,
        # so that old and predicted values have the same scale.
        outputs = self._value_preprocessor(values)
        returns, advantages = compute_gae(
            rewards=memory("rewards"),
            terminated=memory("terminated"),
            truncated=memory("truncated"),
            values=values,
            last_values=self.predict_values(self._current_next_observations),
            discount_factor=cfg.discount_factor,
            lambda_coefficient=cfg.gae_lambda,
            time_limit_bootstrap=True,  # cut at every end of an episode; final values are paid
        )
        if self.ranks.size > 1:  # skrl takes mean and deviation of this rank's alone
            advantages = self._standardized(returns - values)
        if isinstance(self._value_preprocessor, RunningStandardScaler):
            self._value_preprocessor(returns, train=True)
        columns = [
            self._observation_preprocessor(memory("observations")),
            memory("actions"),
            memory("log_prob"),
            advantages,
            outputs,
            self._value_preprocessor(returns),
            torch.ones_like(values),
        ]
        columns = [column.flatten(0, 1) for column in columns]
        size = len(columns[0])
        if self._mirror:  # mirror images come after all samples; see `shuffled`
            mirrored = self._observation_preprocessor(self._mirror.image(memory("observations")))
            images = [mirrored.flatten(0, 1), self._mirror.action(columns[1])]
            images += [*columns[2:-1], torch.zeros_like(columns[-1])]
            columns = [torch.cat(pair) for pair in zip(columns, images, strict=True)]
        figures, divergences, parameters = [], [], list(self.model.parameters())
        for _ in range(cfg.learning_epochs):
            divergences = []
            order = shuffled(size, self.generator, mirrored=self._mirror is not None)
            for rows in order.chunk(cfg.mini_batches):
                loss, divergence, mini_batch = self._loss(*(column[rows] for column in columns))
                figures.append(mini_batch)
                divergences.append(divergence)
                if cfg.kl_threshold and self.ranks.mean(divergence) > cfg.kl_threshold:
                    break
                self.optimizer.zero_grad()
                loss.backward()
                self.ranks.average([p.grad for p in parameters if p.grad is not None])
                if cfg.grad_norm_clip > 0:
                    nn.utils.clip_grad_norm_(parameters, cfg.grad_norm_clip)
                self.optimizer.step()
                with torch.no_grad():
                    self.model.log_std.clamp_(*LOG_STD_RANGE)
            if self.scheduler:
                divergence = torch.stack(divergences).mean().item()
                self.scheduler.step(float(self.ranks.mean(divergence)))

        observations = memory("observations")
        if self._mirror:  # so that normalising a mirror image gives the normalised one's image
            observations = torch.cat([observations, self._mirror.observation(observations)])
        self._observation_preprocessor(observations, train=True)
        explained = 1.0 - (returns - values).var() / returns.var()
        deviation = self.model.log_std.detach().exp().mean()
        overall = torch.stack([torch.stack(divergences).mean(), explained, deviation])
        scalars = torch.cat([torch.stack(figures).mean(dim=0), overall]).tolist()
        for tag, scalar in zip(TAGS, scalars, strict=True):
            self.track_data(tag, scalar)

    def _standardized(self, advantages: torch.Tensor) -> torch.Tensor:
        """Returns advantages with the mean 0 and the deviation 1 over all ranks."""
        mean, variance = (to_array(x) for x in (advantages.mean(), advantages.var()))
        mean, variance, _ = self.ranks.moments(mean, variance, advantages.numel(), ddof=1)
        return (advantages - float(mean)) / (math.sqrt(variance) + 1e-8)

    def _anneal(self, progress: float) -> None:
        """Bounds the rate as it is after a share of the run."""
        highest = self.config.highest_rate(progress)
        if self.scheduler:
            self.scheduler.max_lr = highest
        set_rate(self.optimizer, min(self.optimizer.param_groups[0]["lr"], highest))

    def _loss(
        self,
        observations: torch.Tensor,
        actions: torch.Tensor,
        old_log_prob: torch.Tensor,
        advantages: torch.Tensor,
        old_values: torch.Tensor,
        returns: torch.Tensor,
        own: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns skrl's loss of a mini-batch, the KL divergence, and the first of `TAGS`.

        `own` is 1 for samples and 0 for mirror images, which are left out of the divergence: the
        policy did not draw them.
        """
        cfg = self.cfg
        distribution, values = self.model.heads(observations)
        log_ratio = distribution.log_prob(actions).sum(dim=-1, keepdim=True) - old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - cfg.ratio_clip, 1.0 + cfg.ratio_clip)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        if cfg.value_clip > 0:
            values = old_values + (values - old_values).clamp(-cfg.value_clip, cfg.value_clip)
        value_loss = cfg.value_loss_scale * F.mse_loss(values, returns)
        entropy_loss = -cfg.entropy_loss_scale * distribution.entropy().sum(dim=-1).mean()
        loss = policy_loss + value_loss + entropy_loss
        if self._bounds_loss_scale:
            distance = (distribution.mean - distribution.mean.clamp(*self._box)).square()
            loss = loss + self._bounds_loss_scale * distance.sum(dim=-1).mean()
        with torch.no_grad():
            divergence = (own * (ratio - 1.0 - log_ratio)).sum() / own.sum().clamp(min=1)
            outside = ((ratio - 1.0).abs() > cfg.ratio_clip).float().mean()
            figures = torch.stack([policy_loss, value_loss, entropy_loss, outside])
        return loss, divergence, figures


# What `TimeLimitPPO.update` tracks: means over the mini-batches, then figures of the whole update
# (the divergence is that of the last epoch).
TAGS = (
    "Loss / Policy loss",
    "Loss / Value loss",
    "Loss / Entropy loss",
    "Learning / Clip fraction",
    "Learning / KL divergence",
    "Learning / Explained variance",
    "Policy / Standard deviation",
)


class SharedScaler(RunningStandardScaler):
    """skrl's normaliser, whose moments are those of the samples of all ranks."""

    def __init__(self, *, ranks: Ranks, **settings: Any):
        super().__init__(**settings)
        self.ranks = ranks

    def _parallel_variance(
        self, input_mean: torch.Tensor, input_var: torch.Tensor, input_count: int
    ) -> None:
        moments = to_array(input_mean), to_array(input_var), input_count
        mean, variance, count = self.ranks.moments(*moments, ddof=1)
        mean, variance = (torch.as_tensor(x, device=self.device) for x in (mean, variance))
        super()._parallel_variance(mean, variance, count)


def ppo_config(config: PPOConfig, model: ActorCritic, ranks: Ranks = ALONE) -> PPO_CFG:
    """Returns our settings as skrl's, without files or logs."""
    scaler = {"device": model.device, "ranks": ranks}
    observation_scaler = scaler | {"size": model.observation_space}
    return PPO_CFG(
        **skrl_settings(config),
        learning_rate_scheduler=KLAdaptiveLR if config.adaptive_rate else None,
        learning_rate_scheduler_kwargs={
            "kl_threshold": config.desired_kl,
            "min_lr": MIN_LEARNING_RATE,
            "max_lr": config.max_learning_rate,
        },
        observation_preprocessor=SharedScaler if config.normalize_observations else None,
        observation_preprocessor_kwargs=observation_scaler,
        value_preprocessor=SharedScaler if config.normalize_values else None,
        value_preprocessor_kwargs=scaler | {"size": 1, "clip_threshold": math.inf},
        time_limit_bootstrap=False,  # skrl's own; TimeLimitPPO pays time limits itself
        experiment=ExperimentCfg(write_interval=0, checkpoint_interval=0),
    )
