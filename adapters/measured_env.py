# SPDX-License-Identifier: Apache-2.0
"""MeasuredEnv: the environment as trainers step it."""

import time
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper

from adapters.seeds import first_stream
from adapters.statistics import RolloutStatistics


class MeasuredEnv(VectorWrapper):
    """Clips actions to their space, feeds the statistics, scales rewards, and keeps the time.

    Args:
        env: The environment.
        statistics: Takes in every step.
        reward_scale: Multiplies the learner's rewards; the statistics get the reward as it is.
        elapsed_steps: How many steps old the first episodes count as, (N,); None for 0.
        first_row: Number of the first row among those of all ranks.

    Attributes:
        seconds: Time spent in the environment's own `step`; whoever reads it may set it to 0.
        counted: (N,) bool, the rows that the statistics take in; None: all.
    """

    def __init__(
        self,
        env: VectorEnv,
        statistics: RolloutStatistics,
        reward_scale: float = 1.0,
        elapsed_steps: np.ndarray | None = None,
        first_row: int = 0,
    ):
        super().__init__(env)
        space = env.single_action_space
        assert isinstance(space, Box)
        self.low, self.high = space.low, space.high
        self.statistics, self.reward_scale = statistics, reward_scale
        self.elapsed_steps, self.first_row = elapsed_steps, first_row
        self.seconds = 0.0
        self.counted: np.ndarray | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begins all episodes; `seed` is the training's, not the environment's."""
        if seed is not None:
            seed = first_stream(seed, "training") + self.first_row
        if self.elapsed_steps is not None:
            options = (options or {}) | {"elapsed_steps": self.elapsed_steps}
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: np.ndarray):
        """Steps the environment; actions (N, act), rewards (N,) float32."""
        actions = np.clip(actions, self.low, self.high)
        start = time.perf_counter()
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        self.seconds += time.perf_counter() - start
        self.statistics.step(rewards, terminated, truncated, info, self.counted)
        rewards = np.float32(self.reward_scale) * np.asarray(rewards, np.float32)
        return observations, rewards, terminated, truncated, info
