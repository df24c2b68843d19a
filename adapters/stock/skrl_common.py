# SPDX-License-Identifier: Apache-2.0
"""The loop of skrl's SequentialTrainer, the same on Torch and on JAX."""

import contextlib
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from adapters.base import Layers
from adapters.measured_env import MeasuredEnv
from adapters.phases import phase_times
from adapters.ppo_config import MIN_LEARNING_RATE, PPOConfig
from adapters.skrl_settings import skrl_settings
from adapters.statistics import RolloutStatistics
from adapters.stock.base import StockTrainer
from motrix_gym.policy import Policy

UPDATE_TIME = "Stats / Algorithm update time (ms)"  # a tag of skrl's


class StockSkrlTrainer(StockTrainer):
    """skrl's own PPO in the loop of its SequentialTrainer; see `StockTrainer`.

    At a time limit, skrl adds the value of the next observation to the reward. That is the last
    observation of the episode only under NEXT_STEP autoreset, so this mode is used, and returns are
    right. But skrl then also learns from the steps that only reset a row, one per episode, in which
    the action has no effect. They count as environment steps, but not in the statistics.

    A subclass makes skrl's objects and hands them to `_begin`.
    """

    autoreset_mode = AutoresetMode.NEXT_STEP

    def __init__(self, env: VectorEnv, config: PPOConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        self.statistics = NextStepStatistics(env.num_envs, self.statistics.time_limit)
        self.measured_env = MeasuredEnv(
            env, self.statistics, config.rewards_shaper_scale, self.elapsed_steps
        )

    def _begin(
        self,
        agent: Any,
        wrapped_env: Any,
        no_gradients: Callable[[], Any] = contextlib.nullcontext,
    ) -> None:
        """Takes skrl's agent, its wrapper of `measured_env`, and what to act in; resets."""
        self.agent, self.wrapped_env, self.no_gradients = agent, wrapped_env, no_gradients
        agent.init()
        agent.enable_training_mode(True)
        self.observations, _ = wrapped_env.reset()  # with the seed of skrl's set_seed

    @abstractmethod
    def _weights(self) -> tuple[Layers, np.ndarray]:
        """Returns the policy's layers in order, (inputs, outputs) and (outputs,), and log std."""

    @abstractmethod
    def _learning_rate(self) -> float:
        """Returns the learning rate as it is now."""

    @abstractmethod
    def _array(self, tensor: Any) -> np.ndarray:
        """Returns a tensor of skrl's as a NumPy array."""

    def update(self) -> dict[str, float]:
        """Makes `config.rollouts` rounds of skrl's loop, the last of which learns."""
        agent, start, self.measured_env.seconds = self.agent, time.perf_counter(), 0.0
        first = self.num_updates * self.config.rollouts
        for timestep in range(first, first + self.config.rollouts):
            now = {"timestep": timestep, "timesteps": self.config.vector_steps}
            agent.pre_interaction(**now)
            with self.no_gradients():
                actions, _ = agent.act(self.observations, None, **now)
                step = self.wrapped_env.step(actions)
                next_observations, rewards, terminated, truncated, infos = step
                agent.record_transition(
                    observations=self.observations,
                    states=None,
                    actions=actions,
                    rewards=rewards,
                    next_observations=next_observations,
                    next_states=None,
                    terminated=terminated,
                    truncated=truncated,
                    infos=infos,
                    **now,
                )
            agent.post_interaction(**now)
            self.observations = next_observations
        seconds, physics = time.perf_counter() - start, self.measured_env.seconds
        self.num_updates += 1
        scalars = {tag: float(values[-1]) for tag, values in agent.tracking_data.items()}
        agent.tracking_data.clear()
        learning = scalars.pop(UPDATE_TIME) / 1e3
        scalars |= {
            "Learning / Learning rate": self._learning_rate(),
            **phase_times(physics, seconds - learning, learning),
        }
        return self.statistics.summary() | scalars

    def policy(self) -> Policy:
        """Returns the portable policy as it is now."""
        normalizer = None
        if self.config.normalize_observations:
            scaler = self.agent._observation_preprocessor
            mean, variance = map(self._array, (scaler.running_mean, scaler.running_variance))
            normalizer = mean, np.sqrt(variance) + scaler.epsilon, scaler.clip_threshold
        return self.make_policy(*self._weights(), normalizer)


class NextStepStatistics(RolloutStatistics):
    """Statistics under NEXT_STEP autoreset, without the steps that only reset a row."""

    def __init__(self, num_envs: int, time_limit: int | np.ndarray = 0):
        super().__init__(num_envs, time_limit)
        self._stepped = np.ones(num_envs, bool)  # rows whose present step is one of an episode

    def step(
        self,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        info: dict[str, Any],
        rows: np.ndarray | None = None,
    ) -> None:
        super().step(reward, terminated, truncated, info, self._stepped)
        self._stepped = ~(terminated | truncated)


def ppo_settings(config: PPOConfig, scaler: Any, scheduler: Any, **device: Any) -> dict[str, Any]:
    """Returns keyword arguments for a `PPO_CFG` that writes no files.

    Args:
        config: Our settings.
        scaler: The framework's RunningStandardScaler.
        scheduler: The framework's KLAdaptiveLR.
        **device: Keyword arguments for both scalers.
    """
    return skrl_settings(config) | {
        "learning_rate_scheduler": scheduler if config.adaptive_rate else None,
        "learning_rate_scheduler_kwargs": {
            "kl_threshold": config.desired_kl,
            "min_lr": MIN_LEARNING_RATE,
            "max_lr": config.max_learning_rate,
        },
        "observation_preprocessor": scaler if config.normalize_observations else None,
        "value_preprocessor": scaler if config.normalize_values else None,
        "value_preprocessor_kwargs": device | {"size": 1},
        "time_limit_bootstrap": True,
    }
