# SPDX-License-Identifier: Apache-2.0
"""The wrapper with which rsl_rl trains on the vector environments (package rsl-rl-lib, version 5).

    from rsl_rl.runners import OnPolicyRunner
    envs = gymnasium.make_vec("Motrix/Go1-v0", num_envs=1024)
    OnPolicyRunner(RslRlVecEnv(envs, seed=0), settings).learn(300, init_at_random_ep_len=True)

Arrays and tensors have one row per environment.
"""

import sys
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from rsl_rl.env import VecEnv  # pyright: ignore[reportMissingImports]
from tensordict import TensorDict  # pyright: ignore[reportMissingImports]

from adapters.seeds import first_stream
from motrix_gym import MotrixVectorEnv


class RslRlVecEnv(VecEnv):
    """A vector environment of this suite, with the interface of rsl_rl's.

    Observations come in groups. "policy" is what the policy sees. If the environment was made with
    `privileged=True`, there is "critic" too: the same entries, and after them the privileged
    channels. The runner's settings say which network takes which group:
    `{"obs_groups": {"actor": ["policy"], "critic": ["critic"]}}`.

    `extras` of a step hold `time_outs`, the rows that reached their time limit, and `log`, the
    means of reward terms and metrics, under the names that the trainers here give them. To the
    reward of a row in `time_outs` rsl_rl adds discount x the value of the state before the limit.

    Args:
        env: Its autoreset mode must be `AutoresetMode.SAME_STEP`. It is reset.
        device: Where tensors are.
        seed: The training's, from 0 to `adapters.seeds.LARGEST_SEED`. Rows draw from the random
            streams of that seed (`adapters.seeds.first_stream`), of which two seeds share none.
            None goes on with the environment's streams as they are.

    Attributes:
        num_envs, num_actions: Sizes.
        max_episode_length: The time limit in steps; the largest integer where there is none.
        cfg: The task's settings.

    Raises:
        ValueError: another autoreset mode, an environment that is not of this suite, or a seed
            outside of its range.
    """

    def __init__(
        self, env: VectorEnv, device: torch.device | str = "cpu", *, seed: int | None = None
    ):
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset_mode is {mode}: RslRlVecEnv needs AutoresetMode.SAME_STEP")
        if not isinstance(env.unwrapped, MotrixVectorEnv):
            raise ValueError(f"RslRlVecEnv needs a MotrixVectorEnv, got {env.unwrapped}")
        self.env = env
        self.device = device
        self.num_envs = env.num_envs
        self.num_actions = env.single_action_space.shape[0]  # pyright: ignore
        self.cfg = env.unwrapped.config
        self._policy_width = env.unwrapped.policy_width
        self.max_episode_length = self.cfg.max_episode_steps or sys.maxsize
        first = None if seed is None else first_stream(seed, "training")
        self._observations, _ = env.reset(seed=first)

    @property
    def unwrapped(self) -> MotrixVectorEnv:
        """The environment itself."""
        env = self.env.unwrapped
        assert isinstance(env, MotrixVectorEnv)
        return env

    @property
    def episode_length_buf(self) -> torch.Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(N,) int64 age of the current episodes in steps (a copy).

        Setting it begins new episodes of that age by the time limit's count, so that rows which
        begin together reach it at different times.
        """
        return torch.from_numpy(self.unwrapped.elapsed_steps).to(self.device)

    @episode_length_buf.setter
    def episode_length_buf(self, steps: torch.Tensor) -> None:
        options = {"elapsed_steps": steps.cpu().numpy()}
        self._observations, _ = self.env.reset(options=options)

    def get_observations(self) -> TensorDict:
        """Returns the current observations by group, (N, entries) float32 each."""
        observations = self._tensor(self._observations)
        groups = {"policy": observations[:, : self._policy_width]}
        if observations.shape[1] > self._policy_width:
            groups["critic"] = observations
        return TensorDict(groups, batch_size=[self.num_envs])

    def step(
        self, actions: torch.Tensor
    ) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Steps all rows: observations, rewards (N,) float32, dones (N,) bool, extras."""
        self._observations, rewards, terminated, truncated, info = self.env.step(
            actions.detach().cpu().numpy()
        )
        extras = {"time_outs": self._tensor(truncated & ~terminated), "log": _means(info)}
        dones = self._tensor(terminated | truncated)
        return self.get_observations(), self._tensor(rewards.astype(np.float32)), dones, extras

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        # The environment's arrays are fresh, so that they may be shared.
        return torch.from_numpy(array).to(self.device)


def _means(info: dict[str, Any]) -> dict[str, float]:
    """Returns the means over rows of a step's reward terms and metrics, by TensorBoard tag."""
    return {
        f"{tag} / {name} (mean)": float(values.mean())
        for tag, key in (("Reward Instant", "reward_terms"), ("metrics", "metrics"))
        for name, values in info[key].items()
        if not name.startswith("_")
    }
