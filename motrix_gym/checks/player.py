# SPDX-License-Identifier: Apache-2.0
"""Playing with a vector environment, and what it returns at each step."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode


@dataclass
class Step:
    """What one ``step``, or the first ``reset``, returned, and where the episodes stand."""

    observations: Any
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    info: dict[str, Any]
    previous: Any
    """The observations before it; None at the first reset."""
    elapsed: np.ndarray
    """(num_envs,) steps made in the episodes that this step belongs to."""
    waiting: np.ndarray
    """(num_envs,) bool: rows that this step did not advance but reset (NEXT_STEP)."""

    @property
    def ended(self) -> np.ndarray:
        return self.terminated | self.truncated


class Player:
    """Plays an environment in its own autoreset mode."""

    def __init__(self, env: Any, seed: int):
        self.env, self.seed = env, seed
        self.num_envs: int = env.num_envs
        self.mode: AutoresetMode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.at_limit = self.terminated_at_limit = 0  # episodes that came to the time limit

    def actions(self, steps: int) -> list[Any]:
        """Random actions; the environment's own action space is not drawn from."""
        space = copy.deepcopy(self.env.action_space)
        space.seed(self.seed)
        return [space.sample() for _ in range(steps)]

    def play(self, actions: Iterable[Any], seed: int | None = None) -> Iterator[Step]:
        """Reset with ``seed`` (its own by default), then step; the reset comes first."""
        observations, info = self.env.reset(seed=self.seed if seed is None else seed)
        no, zeros = np.zeros(self.num_envs, bool), np.zeros(self.num_envs)
        first = Step(observations, zeros, no, no, info, None, zeros, no)
        yield first
        yield from self.go_on(actions, first)

    def go_on(self, actions: Iterable[Any], last: Step) -> Iterator[Step]:
        """Step on from ``last``; with autoreset DISABLED, reset rows whose episode is over."""
        for action in actions:
            over, previous = last.ended, last.observations
            if self.mode is AutoresetMode.DISABLED and over.any():
                previous, _ = self.env.reset(options={"reset_mask": over.copy()})
            waiting = over if self.mode is AutoresetMode.NEXT_STEP else np.zeros_like(over)
            elapsed = np.where(over, 0, last.elapsed) + ~waiting
            observations, rewards, terminated, truncated, info = self.env.step(action)
            last = Step(
                observations, rewards, terminated, truncated, info, previous, elapsed, waiting
            )
            yield last


def time_limit_of(env: Any) -> int | None:
    """The number of steps after which episodes are truncated, if the environment says so."""
    base: Any = env.unwrapped
    config: Any = getattr(base, "config", None)
    for owner in (base, config):
        if hasattr(owner, "max_episode_steps"):
            return owner.max_episode_steps
    if base.spec is None:
        return None
    return base.spec.kwargs.get("max_episode_steps", base.spec.max_episode_steps)
