# SPDX-License-Identifier: Apache-2.0
"""Wrappers with which Stable-Baselines3 trains on a Gymnasium VectorEnv.

`SB3VecEnv` and `BatchedTimeLimits` can be used by themselves: `PPO("MlpPolicy", SB3VecEnv(env))`.
Arrays have one row per environment.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn


class SB3VecEnv(VecEnv):
    """A Gymnasium vector environment with the interface of Stable-Baselines3's.

    `step` returns the same list of infos every time; copy it if it must outlive the next step. The
    info of a row whose episode ended is a fresh dict, that of any other row is empty. It has
    `terminal_observation` and `TimeLimit.truncated`, and of the episode's last step each of the
    task's metrics by name (for `VecMonitor(..., info_keywords=...)`) and, where the task has a
    goal, `is_success` (for `EvalCallback`).

    The environment's figures of every step (`reward_terms`, `metrics`) are arrays in `step_info`.

    Args:
        env: Its autoreset mode must be `AutoresetMode.SAME_STEP`, as Stable-Baselines3 expects.

    Attributes:
        step_info: The environment's own info of the last step.

    Raises:
        ValueError: another autoreset mode.
    """

    def __init__(self, env: VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode is {mode}: SB3VecEnv needs AutoresetMode.SAME_STEP")
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.step_info: dict[str, Any] = {}
        self._infos: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        self._ended = np.empty(0, np.int64)  # rows whose dict in _infos is not empty

    def reset(self) -> np.ndarray:
        """Resets all rows, with the seeds and options set since the last reset; (N, ...)."""
        seeds, options = self._seeds, self._options
        if any(other != options[0] for other in options):
            raise ValueError(
                "the rows have different reset options; a vector environment takes one"
            )
        # An int means the same to Gymnasium as consecutive seeds, and every environment takes it.
        first = seeds[0]
        consecutive = first is not None and seeds == list(range(first, first + self.num_envs))
        seed: Any = first if consecutive or first is None else seeds
        observations, self.step_info = self.env.reset(seed=seed, options=options[0] or None)
        self._reset_seeds()
        self._reset_options()
        self._empty_infos()
        return np.array(observations)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Steps all rows: fresh observations (N, ...), rewards (N,) float32, dones (N,), infos."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        dones = terminated | truncated
        self.step_info = info
        self._empty_infos()
        self._ended = np.flatnonzero(dones)
        figures = self._figures(info)
        for i, row in enumerate(self._ended):
            self._infos[row] = {name: values[i] for name, values in figures.items()} | {
                "terminal_observation": np.array(info["final_obs"][row]),
                "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
            }
        return np.array(observations), np.array(rewards, np.float32), dones, self._infos

    def _figures(self, info: dict[str, Any]) -> dict[str, list[Any]]:
        """Returns the last metrics and success of the rows that ended, by name, for SB3's infos."""
        if not self._ended.size:
            return {}
        info = info.get("final_info", info)
        figures = {k: v for k, v in info.get("metrics", {}).items() if not k.startswith("_")}
        if "success" in info:
            figures["is_success"] = info["success"]
        return {name: np.asarray(values)[self._ended].tolist() for name, values in figures.items()}

    def _empty_infos(self) -> None:
        for row in self._ended:
            self._infos[row] = {}
        self._ended = self._ended[:0]

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the environment, which is one for all rows.

        Raises:
            ValueError: the indices are not all rows.
        """
        if self._count(indices) != self.num_envs:
            raise ValueError(
                f"{attr_name!r} belongs to all {self.num_envs} rows; leave out indices"
            )
        setattr(self.env.unwrapped, attr_name, value)

    def env_method(
        self, method_name: str, *method_args, indices: VecEnvIndices = None, **method_kwargs
    ) -> list[Any]:
        """Calls a method of the environment once, and returns its result for each row asked for."""
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [result] * self._count(indices)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        return [False] * self._count(indices)

    def get_images(self) -> Sequence[np.ndarray | None]:
        frames: Any = self.env.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def _count(self, indices: VecEnvIndices) -> int:
        return len(list(self._get_indices(indices)))


class BatchedTimeLimits(VecEnvWrapper):
    """Adds discount x V(terminal observation) to the reward of rows at their time limit.

    Stable-Baselines3 does the same, but calls the network once for each such row; this wrapper
    calls it once per step. It then sets `TimeLimit.truncated` of these rows to False, so that the
    value is not added twice. VecNormalize must be inside of this wrapper, since the value is in
    units of the reward that the learner sees.

    Args:
        venv: The environment to wrap.
        discount: The learner's gamma.

    Attributes:
        learner: The policy that estimates values. Set it once it is made; until then,
            Stable-Baselines3 adds the value itself.
    """

    def __init__(self, venv: VecEnv, discount: float):
        super().__init__(venv)
        self.discount = discount
        self.learner: ActorCriticPolicy | None = None

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        rows = [row for row in np.flatnonzero(dones) if infos[row].get("TimeLimit.truncated")]
        if rows and self.learner is not None:
            final = np.stack([infos[row]["terminal_observation"] for row in rows])
            with torch.no_grad():
                values = self.learner.predict_values(self.learner.obs_to_tensor(final)[0])
            rewards[rows] += self.discount * values.cpu().numpy()[:, 0]
            for row in rows:
                infos[row]["TimeLimit.truncated"] = False
        return observations, rewards, dones, infos


def check_bounded(env: VectorEnv) -> None:
    """Raises ValueError unless actions have finite bounds, as Stable-Baselines3 needs them."""
    space = env.single_action_space
    if not np.isfinite([space.low, space.high]).all():  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError(
            f"the action space is {space}: Stable-Baselines3 needs finite bounds; PPO by skrl-jax "
            "or skrl-torch does without"
        )
