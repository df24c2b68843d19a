# SPDX-License-Identifier: Apache-2.0
"""ARS by sb3-contrib, with all candidate policies evaluated side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from sb3_contrib import ARS
from stable_baselines3.common.logger import Logger

from adapters.sb3_config import ARSConfig
from adapters.sb3_env import check_bounded
from adapters.sb3_normalizer import (
    make_observation_normalizer,
    observation_moments,
    observation_state,
    restore_observations,
)
from adapters.torch_networks import linear_layers
from adapters.torch_states import Arrays
from adapters.torch_trainer import TorchTrainer
from motrix_gym.policy import NO_SPREAD, Policy


class TrainerARS(ARS):
    """ARS whose candidates are evaluated by a function: weights (candidates, n) -> returns."""

    evaluate: Callable[[np.ndarray], np.ndarray]

    def evaluate_candidates(
        self, candidate_weights: torch.Tensor, callback: Any, async_eval: Any
    ) -> torch.Tensor:
        returns = self.evaluate(candidate_weights.cpu().numpy())
        return torch.as_tensor(returns, dtype=torch.float32, device=self.device)


class ARSTrainer(TorchTrainer):
    """ARS by sb3-contrib; see `Trainer` and `ARSConfig`.

    An update is one whole episode of every row, each with a candidate policy of its own. A row
    whose episode is over goes on until the last row's is over too. These steps count as environment
    steps, since the environment makes them, and for nothing else.

    Raises:
        ValueError: the task has no time limit, or as `TorchTrainer`.
    """

    config: ARSConfig
    name = "sb3"

    def __init__(self, env: VectorEnv, config: ARSConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        check_bounded(env)
        task = getattr(env.unwrapped, "config", None)
        self._longest = getattr(task, "max_episode_steps", 1)  # steps of an update, if that is said
        if self._longest is None:
            raise ValueError(
                "the task has no time limit (env.max_episode_steps=null): an update of ARS is a "
                "whole episode of every row, which must end; set env.max_episode_steps"
            )
        self.normalizer = make_observation_normalizer(self.measured_env, config)
        with self.seeded():
            self.model = TrainerARS(
                "LinearPolicy",
                self.normalizer,
                n_delta=config.n_delta,
                n_top=config.n_top,
                learning_rate=config.learning_rate,
                delta_std=config.delta_std,
                alive_bonus_offset=config.alive_bonus_offset,
                device=self.torch_device,
            )
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.model.evaluate = self._evaluate
        self.network = self.model.policy
        self._vector_steps = 0
        self.observations, _ = self.measured_env.reset(seed=config.seed)

    @property
    def vector_steps(self) -> int:
        return self._vector_steps

    @property
    def spent(self) -> bool:
        """Whether another update could exceed the budget; never before the first update."""
        return self.num_updates > 0 and (
            self._vector_steps + self._longest > self.config.vector_steps
        )

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {}

    @property
    def rate(self) -> float:
        return self.config.learning_rate

    def _collect(self) -> None:
        with self.seeded():
            self.model._do_one_update(None, None)  # pyright: ignore[reportArgumentType]

    def _learn(self) -> dict[str, float]:
        figures = self.model.logger.name_to_value
        return {
            "Learning / Step size": float(figures["train/step_size"]),
            "Learning / Spread of returns": float(figures["rollout/return_std"]),
        }

    def _evaluate(self, weights: np.ndarray) -> np.ndarray:
        """Returns the returns (N,) of an episode of each row with its weights (N, act x obs)."""
        weights = weights.reshape(self.env.num_envs, -1, self.observations.shape[1])
        returns = np.zeros(self.env.num_envs)
        playing = np.ones(self.env.num_envs, bool)
        while playing.any():
            self.measured_env.counted = playing.copy()
            actions = np.einsum("nao,no->na", weights, self._normalised(playing))
            self.observations, rewards, terminated, truncated, _ = self.measured_env.step(actions)
            returns += np.where(playing, rewards + self.config.alive_bonus_offset, 0.0)
            playing &= ~(terminated | truncated)
            self._vector_steps += 1
        self.observations, _ = self.measured_env.reset()
        return returns

    def _normalised(self, rows: np.ndarray) -> Any:
        """Returns the observations normalised, those of `rows` counted before."""
        if self.normalizer.norm_obs:
            moments: Any = self.normalizer.obs_rms
            moments.update(self.observations[rows])
        return self.normalizer.normalize_obs(self.observations)

    def policy(self) -> Policy:
        log_std = np.full_like(self.measured_env.low, NO_SPREAD)
        layers = linear_layers(self.network)
        return self.make_policy(layers, log_std, observation_moments(self.normalizer))

    def _own_state(self) -> Arrays:
        return {
            "observations": self.observations,
            "vector_steps": np.array(self._vector_steps),
            **observation_state(self.normalizer),
        }

    def _restore_own(self, state: Arrays) -> None:
        self.observations = np.array(state["observations"])
        self._vector_steps = int(state["vector_steps"])
        self.model.weights = torch.nn.utils.parameters_to_vector(self.network.parameters()).detach()
        restore_observations(self.normalizer, state)
