# SPDX-License-Identifier: Apache-2.0
"""Trainer: the interface of all trainers; commands and tests need to know no learning library."""

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from adapters.algorithm_config import AlgorithmConfig
from adapters.initial_policy import load_initial_policy
from adapters.measured_env import MeasuredEnv
from adapters.ranks import current
from adapters.requirements import (
    Requirements,
    check_env,
    find_mirror,
    find_policy_width,
    find_time_limit,
)
from adapters.states import with_prefix, without_prefix
from adapters.statistics import RolloutStatistics
from motrix_gym import Channel, MixedVectorEnv, Task
from motrix_gym.policy import Policy

Layers = list[tuple[np.ndarray, np.ndarray]]


class Trainer(ABC):
    """An algorithm on one vector environment, one update at a time.

    What our trainers have in common:

    - Everything that is drawn is seeded from `config.seed`. The environment is reset first, with
      the seed that `adapters.seeds` derives from it.
    - Actions are clipped to the environment's box. PPO and its like store the log-probability of
      the sample before it is clipped.
    - A time limit is not the end of the task. PPO and its like add discount x V(final_obs) to the
      reward of rows that are truncated and not terminated. Algorithms with a replay buffer store
      final_obs as the next observation.

    The libraries' own loops (`adapters.stock`) do as their libraries do.

    Args:
        env: With the class's `autoreset_mode`; observations `Box (n, obs)`, actions `Box (n, act)`.
        config: The settings; `seed` must be an int, and `num_envs` the environment's. Where several
            processes learn together, they are this one's share (`adapters.ranks.Place.share`).
        device: The library's name of the device to learn on, such as "cpu".

    Attributes:
        task: The task that policies say they are for: the environment's own, unless another is set
            here because the training's settings differ; None for other libraries' environments.
        ranks: The processes that learn together, `adapters.ranks.current()` when it was made.
        num_updates: Updates made so far; part of `state()`.
        policy_width: Entries of an observation that the policy sees; they come first. All, unless
            `config.sees_privileged`.
        initial_policy: The policy that `config.initial_policy` names; None if it names none, or the
            trainer lacks that setting.
        mirror: The task's mirror, of whole observations; None if `config.symmetry_augmentation` is
            off, or the trainer lacks that setting.
        elapsed_steps: (n,) how many steps old the first episodes count as, for `MeasuredEnv`; None
            if `config.stagger_episodes` is off.

    Raises:
        ValueError: the environment or the seed does not fit, or as `requirements`.
    """

    name: ClassVar[str]
    without_effect: ClassVar[tuple[str, ...]] = ()  # settings that the library cannot honour
    own_state: ClassVar[tuple[str, ...]] = ()  # beginnings of names in a state that differ by rank
    autoreset_mode: ClassVar[AutoresetMode] = AutoresetMode.SAME_STEP  # what `env` must have
    measured_env: MeasuredEnv  # made by the subclass, which steps `env` through it

    def __init__(self, env: VectorEnv, config: AlgorithmConfig, *, device: str = "cpu"):
        check_env(env, config, self.autoreset_mode)
        self.env = env
        self.task = getattr(env.unwrapped, "task", None)
        self.config = config
        self.device = device
        self.num_updates = 0
        self.ranks = current()
        found = self.requirements(env, config)
        self.policy_width, self.initial_policy, self.mirror, limit = found
        self.elapsed_steps = None
        if np.any(limit):
            generator = np.random.default_rng(config.seed)
            count = self.ranks.size * env.num_envs
            drawn = generator.integers(limit, size=count)
            self.elapsed_steps = np.split(drawn, self.ranks.size)[self.ranks.rank]
        rows = env.unwrapped.rows if isinstance(env.unwrapped, MixedVectorEnv) else {}
        self.statistics = RolloutStatistics(env.num_envs, limit, rows)

    @classmethod
    def requirements(cls, env: VectorEnv, config: AlgorithmConfig) -> Requirements:
        """Returns what the settings need of the environment and of stored policies.

        Raises:
            FieldError, PolicyError: (ValueErrors) something that they need is missing.
            ValueError: observations hold privileged channels that the settings do not ask for.
        """

        def asks(name: str) -> bool:
            return bool(getattr(config, name, None)) and name not in cls.without_effect

        width = find_policy_width(env, config)
        return Requirements(
            width,
            load_initial_policy(config, env, width) if asks("initial_policy") else None,
            find_mirror(env) if asks("symmetry_augmentation") else None,
            find_time_limit(env) if asks("stagger_episodes") else 0,
        )

    @classmethod
    def ignored_settings(cls, config: AlgorithmConfig) -> list[str]:
        """Returns the names of settings that are on and that the library cannot honour.

        A setting is off if it is None or, unless None is its default, 0 or False.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(config)}

        def is_on(name: str) -> bool:
            value = getattr(config, name)
            return value is not None if defaults[name] is None else bool(value)

        return [name for name in cls.without_effect if is_on(name)]

    def notes(self) -> list[str]:
        """Returns lines for the user on settings that were changed and have no effect here."""
        defaults = {field.name: field.default for field in dataclasses.fields(self.config)}
        ignored = [
            name
            for name in self.ignored_settings(self.config)
            if getattr(self.config, name) != defaults[name]
        ]
        return [f"without effect in {self.name}: {', '.join(ignored)}"] if ignored else []

    @property
    def vector_steps(self) -> int:
        """Vector steps made so far."""
        return self.num_updates * self.config.rollouts

    @property
    def progress(self) -> float:
        """Share of the run made so far."""
        return self.vector_steps / self.config.vector_steps

    @property
    def spent(self) -> bool:
        """Whether the budget is spent: another update would exceed it."""
        return self.vector_steps >= self.config.vector_steps

    @property
    def env_steps(self) -> int:
        """Environment steps made so far, by all ranks."""
        return self.vector_steps * self.config.num_envs * self.ranks.size

    @abstractmethod
    def update(self) -> dict[str, float]:
        """Makes `config.rollouts` vector steps and learns; returns scalars by TensorBoard tag.

        Algorithms with a replay buffer also learn from earlier steps, and at first learn nothing.
        ARS makes one whole episode of every row, however many steps that is.
        """

    @abstractmethod
    def policy(self) -> Policy:
        """Returns the portable policy as it is now."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Returns all that is needed to go on with the same bits, as copies.

        These are weights, optimiser, learning rate, normalisers, random keys, last observation,
        counters, statistics, and `env_state()`.
        """

    @abstractmethod
    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a `state()` of a trainer with the same configuration."""

    def make_policy(
        self,
        layers: Layers,
        log_std: np.ndarray,
        normalizer: tuple[np.ndarray, np.ndarray, float] | None,
        **features: Any,
    ) -> Policy:
        """Returns the portable policy of linear layers.

        Args:
            layers: (inputs, outputs) weights and (outputs,) biases, in order.
            log_std: (act,) logarithm of the standard deviation.
            normalizer: (obs,) mean and standard deviation of whole observations, and the clip; None
                for no normaliser. The policy gets those of the entries that it sees.
            **features: What else the policy has: `squash`, `log_std_weight`, `lstm`.
        """
        size = self.env.single_observation_space.shape
        mean, std, clip = normalizer or (np.zeros(size), np.ones(size), np.inf)  # pyright: ignore
        return Policy(
            hidden=tuple(layers[:-1]),
            output=layers[-1],
            log_std=log_std,
            activation=self.config.activation,
            observation_mean=mean[: self.policy_width],
            observation_std=std[: self.policy_width],
            observation_clip=clip,
            action_low=self.measured_env.low,
            action_high=self.measured_env.high,
            metadata=self.metadata(),
            **features,
        )

    def metadata(self) -> dict[str, Any]:
        """Returns what a policy says about its origin, and what its inputs and outputs mean."""
        task = self.task
        channels = {
            kind: [_about(c) for c in getattr(task, kind, ()) if not c.privileged]
            for kind in ("observation", "action")
        }
        return {
            "env_id": self.env.spec.id if self.env.spec else None,
            "algo": self.config.algo,
            "trainer": self.name,
            "env_steps": self.env_steps,
            "seed": self.config.seed,
            **channels,
            **({"deployment": task.deployment()} if isinstance(task, Task) else {}),
        }

    def env_state(self) -> dict[str, np.ndarray]:
        """Returns the environment's snapshot under "env/", or {} where it offers none."""
        snapshot = getattr(self.env.unwrapped, "snapshot", None)
        return with_prefix("env/", snapshot()) if snapshot else {}

    def restore_env(self, state: dict[str, np.ndarray]) -> None:
        """Restores the environment from the "env/" part of a state, where there is one."""
        if snapshot := without_prefix("env/", state):
            self.env.unwrapped.restore(snapshot)  # pyright: ignore[reportAttributeAccessIssue]


def _about(channel: Channel) -> dict[str, Any]:
    """A channel's entry in a policy's metadata; `size` counts the entries of one frame."""
    about: dict[str, Any] = {"name": channel.name, "unit": channel.unit, "size": channel.size}
    about |= {"history": channel.history} if channel.history > 1 else {}
    return about | ({"delay": channel.delay} if channel.delay else {})
