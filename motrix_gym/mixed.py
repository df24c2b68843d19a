# SPDX-License-Identifier: Apache-2.0
"""A vector environment whose rows are those of several: one policy learns several tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from motrix_gym.names import shown
from motrix_gym.observation import Channel
from motrix_gym.random import MAX_SEED
from motrix_gym.settings import is_list, is_mapping, is_number
from motrix_gym.task import Task
from motrix_gym.vector_env import MotrixVectorEnv, check_actions


class MixedVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """The rows of several vector environments, one environment after the other.

        MixedVectorEnv({"a": make_vec("Mine/Flat-v0", 96), "b": make_vec("Mine/Hilly-v0", 32)})

    It keeps what a `MotrixVectorEnv` promises. Row i draws from a stream seeded ``seed + i``, so
    what happens in one environment does not depend on the others. An entry of ``info`` that only
    some environments have, such as a reward term, is 0 in the rows of the others, where its mask
    ``_key`` is False.

    Attributes:
        envs: the environments by name, in order.
        rows: the rows of each, by name.
        task: the first environment's task, after which policies are named.
        channels: what all observations hold.
        policy_width: entries of an observation that a policy may see; they come first.
    """

    def __init__(self, envs: Mapping[str, MotrixVectorEnv]):
        """Join the environments, which belong to this one from now on: `close` closes them.

        Raises:
            ValueError: if there is none, one is not autoreset in the SAME_STEP, or one differs from
                the first in what it observes or in the size of its action.
        """
        if not envs:
            raise ValueError("envs is empty: name one environment or more")
        self.envs = dict(envs)
        first_name, first = next(iter(self.envs.items()))
        for name, env in self.envs.items():
            if env.autoreset_mode is not AutoresetMode.SAME_STEP:
                mode = env.autoreset_mode.name
                raise ValueError(f"{name} has autoreset_mode {mode}: SAME_STEP is needed")
            _check_same(first_name, first, name, env)
        ends = np.cumsum([env.num_envs for env in self.envs.values()]).tolist()
        starts = [0, *ends[:-1]]
        self.rows = dict(zip(self.envs, map(slice, starts, ends), strict=True))
        self.num_envs: int = ends[-1]
        self.spec = first.spec
        self.task: Task = first.task
        self.channels: tuple[Channel, ...] = first.channels
        self.policy_width = first.policy_width
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        width, action_size = _sizes(first)
        self.single_observation_space = Box(-np.inf, np.inf, (width,), np.float32)
        self.single_action_space = Box(-1.0, 1.0, (action_size,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._action_shape = (self.num_envs, action_size)
        self._observations = np.zeros((self.num_envs, width), np.float32)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes; see `MotrixVectorEnv.reset`."""
        options = options or {}
        mask = self._by_row("reset_mask", options, np.ones(self.num_envs, bool))
        elapsed = self._by_row("elapsed_steps", options, None)
        if isinstance(seed, np.ndarray):
            seed = seed.tolist()
        if is_list(seed) and len(seed) != self.num_envs:
            raise ValueError(f"need {self.num_envs} seeds, one per environment, got {len(seed)}")
        if not mask.any():
            raise ValueError("reset_mask selects no environment: at least one must be True")
        for name, env in self.envs.items():
            rows = self.rows[name]
            if not mask[rows].any():
                continue
            own = dict(options)
            if "reset_mask" in options:
                own["reset_mask"] = mask[rows]
            if elapsed is not None:
                own["elapsed_steps"] = elapsed[rows]
            self._observations[rows], _ = env.reset(seed=self._seed_of(rows, seed), options=own)
        return self._observations.copy(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every environment by one action; see `MotrixVectorEnv.step`."""
        action = check_actions(actions, self._action_shape)
        steps = [env.step(action[self.rows[name]]) for name, env in self.envs.items()]
        *arrays, infos = zip(*steps, strict=True)
        observations, rewards, terminated, truncated = map(np.concatenate, arrays)
        self._observations[...] = observations
        info = _joined(infos, [env.num_envs for env in self.envs.values()])
        return observations, rewards, terminated, truncated, info

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that decides the future, as copied arrays by flat names."""
        return {
            f"{i}/{key}": value
            for i, env in enumerate(self.envs.values())
            for key, value in env.snapshot().items()
        }

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Return to a ``snapshot`` of the same environments.

        Raises:
            ValueError: if the snapshot does not fit; nothing is changed then.
        """
        before = self.snapshot()
        try:
            self._restore(snapshot)
        except ValueError:
            self._restore(before)
            raise

    def _restore(self, snapshot: dict[str, np.ndarray]) -> None:
        for i, (name, env) in enumerate(self.envs.items()):
            start = f"{i}/"
            env.restore({k[len(start) :]: v for k, v in snapshot.items() if k.startswith(start)})
            self._observations[self.rows[name]] = snapshot[f"{start}episode/observations"]

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        for env in self.envs.values():
            env.close(**kwargs)

    def _by_row(self, name: str, options: dict[str, Any], default: Any) -> Any:
        """An option that has a value for each row."""
        if options.get(name) is None:
            return default
        values = np.asarray(options[name])
        if values.shape != (self.num_envs,):
            raise ValueError(f"{name} must have shape ({self.num_envs},), got {values.shape}")
        return values

    def _seed_of(self, rows: slice, seed: Any) -> Any:
        """The seed of the environment that has these rows; a wrong seed is that one's to refuse."""
        if is_list(seed):
            return seed[rows]
        if not is_number(seed):
            return seed
        shifted = seed + rows.start
        return shifted - (MAX_SEED + 1) if shifted > MAX_SEED >= seed else shifted


def _sizes(env: MotrixVectorEnv) -> tuple[int, int]:
    """Entries of an observation, and of an action."""
    width = sum(channel.width for channel in env.channels)
    return width, sum(channel.size for channel in env.task.action)


def _check_same(first_name: str, first: MotrixVectorEnv, name: str, env: MotrixVectorEnv) -> None:
    """Raises ValueError if two environments have other spaces or observe something else."""
    for what, one, other in zip(("observation", "action"), _sizes(first), _sizes(env), strict=True):
        if one != other:
            raise ValueError(
                f"an {what} has {one} entries in {first_name} and {other} in {name}: environments "
                "side by side need the same"
            )
    forms = [[(c.name, c.size, c.history) for c in e.channels] for e in (first, env)]
    for one, other in zip(*forms, strict=False):
        if one != other:
            raise ValueError(
                f"{first_name} observes {shown(one)} where {name} observes {shown(other)}: "
                "environments side by side need the same channels, by name, size and history"
            )


def _joined(infos: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> dict[str, Any]:
    """The infos of environments with so many rows, as one; where one lacks an entry, it is 0."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info if not key.startswith("_")):
        values = [info.get(key) for info in infos]
        like: Any = next(value for value in values if value is not None)
        if is_mapping(like):
            joined[key] = _joined([value or {} for value in values], sizes)
        else:
            shape, kind = like.shape[1:], like.dtype
            joined[key] = np.concatenate(
                [
                    np.zeros((n, *shape), kind) if value is None else value
                    for value, n in zip(values, sizes, strict=True)
                ]
            )
        masks = [
            info.get(f"_{key}", np.zeros(n, bool)) for info, n in zip(infos, sizes, strict=True)
        ]
        joined[f"_{key}"] = np.concatenate(masks)
    return joined
