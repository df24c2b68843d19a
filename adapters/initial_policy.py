# SPDX-License-Identifier: Apache-2.0
"""The setting `initial_policy`: PPO starts from a stored policy."""

import dataclasses
import math
import os
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from adapters.algorithm_config import FieldError
from adapters.channels import entries_seen, env_channels, stored_channels
from motrix_gym.names import shown
from motrix_gym.policy import Policy
from motrix_gym.policy_files import JSON_FILE

# The number of samples that the statistics of its normaliser count for: so many that the first
# rollout of the new training hardly changes them.
NORMALIZER_SAMPLES = 1e6


def load_initial_policy(config: Any, env: VectorEnv, width: int) -> Policy:
    """Reads the policy in the folder `config.initial_policy`.

    Where the policy and the environment name the channels of an observation, channels are matched
    by name. A channel that is new to the policy gets weights of 0, so that it does not change the
    action at first, and its statistics in the normaliser start anew. Where there are no names, the
    observations must have the same size.

    Args:
        config: The settings of the training, a `PPOConfig`.
        env: What it learns on; observations `Box (n, obs)`, actions `Box (n, act)`.
        width: Entries of an observation that the policy sees; they come first.

    Raises:
        FieldError: (a ValueError) there is no such policy, the policy of the training has another
            form, or the environment lacks a channel that the stored policy sees.
        PolicyError: (a ValueError) its files cannot be read.
    """
    name = str(config.initial_policy)
    if not os.path.isfile(os.path.join(name, JSON_FILE)):
        hint = "a run's policies are in its checkpoints/STEPS"
        raise _error(name, f"is not a folder with {JSON_FILE}; {hint}")
    policy = Policy.load(name)
    extras = {
        "an LSTM": bool(policy.lstm),
        "squash": policy.squash,
        "log_std_weight": policy.log_std_weight is not None,
    }
    for what, there in extras.items():
        if there:
            raise _error(name, f"does not fit: it has {what}, which a policy of PPO has not")
    policy = _by_channels(policy, env, width, name)
    action_box: Any = env.single_action_space
    forms = {
        "the number of observations": (policy.observation_size, width),
        "the number of actions": (policy.action_size, action_box.shape[0]),
        "policy_hidden_layer_sizes": (
            tuple(len(bias) for _, bias in policy.hidden),
            config.policy_hidden_layer_sizes,
        ),
        "activation": (policy.activation, config.activation),
        "normalize_observations": (_normalizes(policy), config.normalize_observations),
    }
    for what, (found, wanted) in forms.items():
        if found != wanted:
            raise _error(
                name, f"does not fit: {what} is {found} in the policy and {wanted} in this training"
            )
    return policy


def whole_normalizer(policy: Policy, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the statistics with which a normaliser of `size` entries starts from a policy.

    Returns:
        Mean (size,), standard deviation (size,), and the number of samples that they count for: a
        single number, or (size,) if it is 0 for some entries. It is 0 for entries whose statistics
        do not change the action, because the policy has no weights for them (a new channel) or does
        not see them (privileged channels, which come last). Their statistics start anew, from mean
        0 and standard deviation 1.
    """
    hidden = size - policy.observation_size
    mean = np.concatenate([policy.observation_mean, np.zeros(hidden, np.float32)])
    std = np.concatenate([policy.observation_std, np.ones(hidden, np.float32)])
    weighted = np.concatenate([policy.layers[0][0].any(axis=1), np.zeros(hidden, bool)])
    samples = NORMALIZER_SAMPLES * weighted
    return mean, std, np.array(NORMALIZER_SAMPLES) if weighted.all() else samples


def _by_channels(policy: Policy, env: VectorEnv, width: int, name: str) -> Policy:
    """Returns the policy for the environment's channels, matched by name where both have names."""
    stored, wanted = stored_channels(policy), env_channels(env, width)
    if not (stored and wanted) or list(stored.items()) == list(wanted.items()):
        return policy
    try:
        seen = entries_seen(stored, wanted)
    except ValueError as error:
        raise _error(name, f"does not fit: {error}") from error
    (first, bias), *others = policy.layers
    weight = np.zeros((width, first.shape[1]), np.float32)
    mean, std = np.zeros(width, np.float32), np.ones(width, np.float32)
    weight[seen], mean[seen], std[seen] = first, policy.observation_mean, policy.observation_std
    *hidden, output = [(weight, bias), *others]
    return dataclasses.replace(
        policy,
        hidden=tuple(hidden),
        output=output,
        observation_mean=mean,
        observation_std=std,
    )


def _normalizes(policy: Policy) -> bool:
    """Returns whether a policy's normaliser does anything."""
    moved = policy.observation_mean.any() or (policy.observation_std != 1.0).any()
    return bool(moved) or policy.observation_clip < math.inf


def _error(name: str, message: str) -> FieldError:
    return FieldError("initial_policy", f"initial_policy={shown(name)} {message}")
