# SPDX-License-Identifier: Apache-2.0
"""What a training needs of its environment, and the errors if that is missing."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv

from adapters.algorithm_config import AlgorithmConfig, FieldError
from motrix_gym import Mirror, MixedVectorEnv, observation
from motrix_gym.policy import Policy


class Requirements(NamedTuple):
    """What the settings of a training need.

    Attributes:
        policy_width: Entries of an observation that the policy sees; they come first.
        initial_policy: The policy to start from, for these entries; None if none is needed.
        mirror: The task's mirror, of whole observations; None if none is needed.
        time_limit: Steps of a whole episode, (n,) where rows may differ; 0 if not needed.
    """

    policy_width: int
    initial_policy: Policy | None
    mirror: Mirror | None
    time_limit: int | np.ndarray


def check_env(env: VectorEnv, config: AlgorithmConfig, wanted: AutoresetMode) -> None:
    """Raises ValueError if a trainer cannot learn on this environment with this configuration."""
    if config.seed is None:
        raise ValueError("config.seed is None: a trainer needs an int, config.replace(seed=...)")
    if env.num_envs != config.num_envs:
        raise ValueError(
            f"the environment has {env.num_envs} rows, config.num_envs={config.num_envs}"
        )
    mode = env.metadata.get("autoreset_mode")
    if mode != wanted:
        raise ValueError(f"autoreset_mode is {mode}: this trainer needs {wanted}")
    spaces = {"observation": env.single_observation_space, "action": env.single_action_space}
    for name, space in spaces.items():
        if not (isinstance(space, Box) and len(space.shape) == 1):
            raise ValueError(
                f"the {name} space is {space}: trainers need a Box of one dimension, whatever the "
                "algorithm"
            )


def find_policy_width(env: VectorEnv, config: AlgorithmConfig) -> int:
    """Returns how many entries of an observation the policy sees; they come first.

    These are the entries of all channels, without the privileged ones if another part of the
    training sees those, such as the value network with `privileged_value`.

    Raises:
        FieldError: such a setting is on, and observations hold no privileged channel.
        ValueError: it is off, and they do.
    """
    unwrapped: Any = env.unwrapped
    held = privileged_names(getattr(unwrapped, "channels", ()))
    setting = config.privileged_setting
    if config.sees_privileged:
        if not held:
            raise FieldError(setting, f"{setting}=True: {_why_none(env)}")
        return unwrapped.policy_width
    if held:
        hint = f", or set {setting}=True" if setting else ""
        raise ValueError(
            f"observations of {_name(env)} hold the privileged channels {held}, which a policy "
            f"must not see: make the environment without privileged=True{hint}"
        )
    space: Any = env.single_observation_space
    return space.shape[0]


def privileged_names(channels: Any) -> str:
    """Returns the names of those channels that are privileged, with commas; "" for none."""
    return ", ".join(channel.name for channel in channels if channel.privileged)


def _why_none(env: VectorEnv) -> str:
    """Says why an environment's observations hold no privileged channel."""
    task = getattr(env.unwrapped, "task", None)
    if names := privileged_names(getattr(task, "observation", ())):
        return (
            f"{_name(env)} was made without its privileged channels ({names}): "
            "gymnasium.make_vec(..., privileged=True)"
        )
    return f"{_name(env)} has no privileged channel (`Channel.privileged`); leave it at False"


def find_mirror(env: VectorEnv) -> Mirror:
    """Returns the mirror of an environment's whole observations and actions.

    Raises:
        FieldError: its task has none, or a privileged channel has no `Channel.mirror`, or
            environments side by side have different ones.
    """
    if isinstance(env.unwrapped, MixedVectorEnv):
        found = {name: find_mirror(each) for name, each in env.unwrapped.envs.items()}
        (first, mirror), *others = found.items()
        for name, other in others:
            if other != mirror:
                message = f"symmetry_augmentation=True: {first} and {name} have different mirrors"
                raise FieldError("symmetry_augmentation", message)
        return mirror
    task: Any = getattr(env.unwrapped, "task", None)
    mirror = getattr(task, "mirror", None)
    if mirror is None:
        raise FieldError(
            "symmetry_augmentation",
            f"symmetry_augmentation=True: {_name(env)} has no mirror: give every channel one, "
            "Channel(mirror=...), or leave it at False",
        )
    channels = getattr(env.unwrapped, "channels", ())
    if not privileged_names(channels):
        return mirror
    try:
        whole = observation.mirror(channels, task.action)
    except ValueError as error:
        raise FieldError(
            "symmetry_augmentation", f"symmetry_augmentation=True: {_name(env)}: {error}"
        ) from error
    assert whole is not None  # some channels have an image
    return whole


def find_time_limit(env: VectorEnv) -> int | np.ndarray:
    """Returns an environment's `config.max_episode_steps`; raises FieldError if there is none.

    Where several environments are side by side, it is an array of each row's.
    """
    if isinstance(env.unwrapped, MixedVectorEnv):
        each = env.unwrapped.envs.values()
        return np.concatenate([np.full(e.num_envs, find_time_limit(e)) for e in each])
    config = getattr(env.unwrapped, "config", None)
    limit = getattr(config, "max_episode_steps", None)
    if limit is None:
        says = "has no" if hasattr(config, "max_episode_steps") else "does not say its"
        message = f"stagger_episodes=True: {_name(env)} {says} time limit; leave it at False"
        raise FieldError("stagger_episodes", message)
    return limit


def _name(env: VectorEnv) -> str:
    """Returns an environment's id, or its class's name if it has none."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__
