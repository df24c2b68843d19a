# SPDX-License-Identifier: Apache-2.0
"""Small vector environments, in plain NumPy, that the tests of the adapters learn from.

All reset in the same step, return fresh arrays, and give ``final_obs`` as one dense array with its
mask. Arrays have one row per environment.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

Arrays = dict[str, np.ndarray]

# What an update of any trainer reports of PointEnv, if episodes ended.
TIMES = {"Time / Physics (s)", "Time / Policy (s)", "Time / Update (s)"}
TAGS = TIMES | {
    "Loss / Policy loss",
    "Loss / Value loss",
    "Loss / Entropy loss",
    "Learning / Learning rate",
    "Policy / Standard deviation",
    "Learning / KL divergence",
    "Learning / Clip fraction",
    "Learning / Explained variance",
    "Reward / Total reward (mean)",
    "Reward / Instantaneous reward (mean)",
    "Reward Instant / nearness (mean)",
    "metrics / distance (mean)",
    "Episode / Success rate",
}


class SameStepEnv(gymnasium.vector.VectorEnv):
    """The life cycle of all: a subclass starts, advances and observes the rows of ``arrays``."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}

    def __init__(self, num_envs: int, horizon: int, obs_dim: int, action_dim: int):
        self.num_envs, self.horizon = num_envs, horizon
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (obs_dim,))
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (action_dim,))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.arrays: Arrays = {
            "elapsed": np.zeros(num_envs, np.int64),
            "episode": np.zeros(num_envs, np.uint64),
            "seed": np.arange(num_envs, dtype=np.uint64),
        }

    def start(self, rows: np.ndarray) -> None:
        """Put the rows of the mask ``rows`` into their start state."""

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
        """Go one step on: rewards, terminated, truncated, info."""
        raise NotImplementedError

    def observe(self) -> np.ndarray:
        """Return a fresh ``(N, obs_dim)`` float32 array."""
        raise NotImplementedError

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        if seed is not None:
            self.arrays["seed"] = np.uint64(seed) + np.arange(self.num_envs, dtype=np.uint64)
            self.arrays["episode"][:] = 0
        self.arrays["elapsed"][:] = 0
        self.start(np.ones(self.num_envs, bool))
        return self.observe(), {}

    def step(self, actions: np.ndarray) -> Any:
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape or np.any(np.abs(actions) > 1.0):
            raise ValueError(f"actions must be {self.action_space}, got {actions}")
        self.arrays["elapsed"] += 1
        reward, terminated, truncated, info = self.advance(actions)
        done = terminated | truncated
        if done.any():
            info["final_obs"], info["_final_obs"] = self.observe(), done.copy()
            self.arrays["elapsed"][done] = 0
            self.arrays["episode"][done] += np.uint64(1)
            self.start(done)
        return self.observe(), reward, terminated, truncated, info

    def snapshot(self) -> Arrays:
        """Return a copy of the whole state."""
        return {name: array.copy() for name, array in self.arrays.items()}

    def restore(self, arrays: Arrays) -> None:
        """Go back to a snapshot."""
        self.arrays = {name: np.array(array) for name, array in arrays.items()}


class BanditEnv(SameStepEnv):
    """64 rows that show nothing and pay ``reward`` of the one action; every episode is one step."""

    def __init__(self):
        super().__init__(64, horizon=1, obs_dim=1, action_dim=1)

    def reward(self, action: np.ndarray) -> np.ndarray:
        """Return what the actions ``(N,)`` are paid."""
        raise NotImplementedError

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
        ended = np.ones(self.num_envs, bool)
        return self.reward(action[:, 0]), ended, np.zeros(self.num_envs, bool), {}

    def observe(self) -> np.ndarray:
        return np.zeros((self.num_envs, 1), np.float32)


class CounterEnv(SameStepEnv):
    """Observes the number of steps of the episode, is paid 1 a step, and ends after ``horizon``.

    With V(s) = s, discount 0.9 and lambda 1 the returns at observations 0, 1, 2 of an episode of 3
    steps are 4.897, 4.33 and 3.7 if the time limit truncates, and 2.71, 1.9 and 1.0 if the last
    step terminates.

    Args:
        terminate: Whether the last step terminates, for all rows or for each.
        truncate: Whether the last step truncates; where it does not terminate unless given.
    """

    def __init__(
        self,
        num_envs: int = 2,
        *,
        horizon: int = 3,
        terminate: bool | list[bool] = False,
        truncate: bool | list[bool] | None = None,
    ):
        super().__init__(num_envs, horizon, obs_dim=1, action_dim=1)
        self.terminate = np.broadcast_to(np.asarray(terminate), num_envs)
        self.truncate = np.broadcast_to(
            ~self.terminate if truncate is None else np.asarray(truncate), num_envs
        )

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
        last = self.arrays["elapsed"] >= self.horizon
        return np.ones(self.num_envs), last & self.terminate, last & self.truncate, {}

    def observe(self) -> np.ndarray:
        return self.arrays["elapsed"][:, None].astype(np.float32)


class PointEnv(SameStepEnv):
    """A point in the plane is pushed to the origin; leaving the arena terminates.

    Observation: position (2), velocity (2). Action: push (2). Reward: nearness minus effort. The
    rows' first episodes have different lengths, so that they do not all end together.
    """

    def __init__(self, num_envs: int = 8, *, horizon: int = 20):
        super().__init__(num_envs, horizon, obs_dim=4, action_dim=2)
        self.arrays["position"] = np.zeros((num_envs, 2))
        self.arrays["velocity"] = np.zeros((num_envs, 2))

    def start(self, rows: np.ndarray) -> None:
        seed, episode = self.arrays["seed"][rows], self.arrays["episode"][rows]
        first = rows & (self.arrays["episode"] == 0)
        self.arrays["elapsed"][first] = (np.arange(self.num_envs) % self.horizon)[first]
        draws = np.stack([_uniform(seed, episode, np.uint64(axis)) for axis in range(2)], axis=1)
        self.arrays["position"][rows] = 2.0 * draws - 1.0
        self.arrays["velocity"][rows] = 0.0

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
        position, velocity = self.arrays["position"], self.arrays["velocity"]
        velocity[:] = 0.7 * velocity + 0.1 * action
        position += velocity
        distance = np.sqrt(np.square(position).sum(axis=1))
        terms = {
            "nearness": np.exp(-2.0 * distance),
            "effort": -0.01 * np.square(action).sum(axis=1),
        }
        terminated = distance > 2.0
        truncated = (self.arrays["elapsed"] >= self.horizon) & ~terminated
        info = {"reward_terms": terms, "metrics": {"distance": distance}, "success": distance < 0.1}
        return terms["nearness"] + terms["effort"], terminated, truncated, info

    def observe(self) -> np.ndarray:
        state = [self.arrays["position"], self.arrays["velocity"]]
        return np.concatenate(state, axis=1).astype(np.float32)


def _uniform(*keys: np.ndarray | np.uint64) -> np.ndarray:
    """Hash the keys (splitmix64) to floats in [0, 1): draw number k of a stream, in any order."""
    mixed = np.zeros(1, np.uint64)
    for key in keys:
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15) + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
