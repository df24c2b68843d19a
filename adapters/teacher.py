# SPDX-License-Identifier: Apache-2.0
"""The teacher of a distillation: a stored policy, evaluated on Torch."""

import hashlib
import os
from collections.abc import Set
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from adapters.algorithm_config import FieldError
from adapters.channels import entries_seen, env_channels, stored_channels
from adapters.torch_networks import ACTIVATIONS, load_linear_layers
from motrix_gym.names import shown
from motrix_gym.policy import Policy
from motrix_gym.policy_files import JSON_FILE


class Teacher:
    """A policy's deterministic actions for whole observations of an environment.

    Where policy and environment name the channels of an observation, they are matched by name.
    The environment may have channels that the policy does not see. Without names, the policy sees
    all.

    Args:
        folder: That of the policy.
        env: The environment, with the privileged channels that the policy needs.
        device: Where the observations are.

    Attributes:
        statistics: Mean and standard deviation (obs,) of the policy's normaliser, for whole
            observations: 0 and 1 for entries that the policy does not see.
        clip: Bound of normalised observations.
        log_std: (act,) logarithm of the standard deviation of its actions.
        digest: SHA-256 of its arrays.

    Raises:
        FieldError: (a ValueError) there is no such policy, or it does not fit.
        PolicyError: (a ValueError) its files cannot be read.
    """

    def __init__(self, folder: str | None, env: VectorEnv, device: torch.device):
        policy = _load(folder)
        spaces: Any = env.single_observation_space, env.single_action_space
        size, actions = (space.shape[0] for space in spaces)
        if policy.action_size != actions:
            raise _error(
                folder, f"does not fit: it has {policy.action_size} actions, the task {actions}"
            )
        entries = _entries(policy, env, size, folder)
        mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
        mean[entries], std[entries] = policy.observation_mean, policy.observation_std
        self.statistics = mean, std
        self.clip, self.log_std = policy.observation_clip, policy.log_std
        digest = hashlib.sha256()
        for name, array in sorted(policy.arrays().items()):
            digest.update(name.encode() + array.tobytes())
        self.digest = digest.digest()

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.array(array)).to(device)

        self._entries = tensor(entries)
        self._mean, self._std = tensor(policy.observation_mean), tensor(policy.observation_std)
        self._low, self._high = tensor(policy.action_low), tensor(policy.action_high)
        self._squash = policy.squash
        layers: list[torch.nn.Module] = []
        for weight, _ in policy.layers:
            layers += [torch.nn.Linear(*weight.shape), ACTIVATIONS[policy.activation]()]
        self._network = torch.nn.Sequential(*layers[:-1])
        load_linear_layers(policy.layers, self._network)
        self._network.to(device).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        """Returns the actions (..., act) for observations (..., obs)."""
        seen = observations.index_select(-1, self._entries)
        x = ((seen - self._mean) / self._std).clamp(-self.clip, self.clip)
        action = self._network(x)
        if self._squash:
            return self._low + 0.5 * (action.tanh() + 1.0) * (self._high - self._low)
        return torch.clamp(action, self._low, self._high)


def _load(folder: str | None) -> Policy:
    if folder is None:
        raise FieldError(
            "teacher", "teacher=None: distillation needs a policy to imitate, --teacher POLICY"
        )
    if not os.path.isfile(os.path.join(folder, JSON_FILE)):
        raise _error(folder, f"is not a folder with {JSON_FILE}")
    policy = Policy.load(folder)
    if policy.lstm:
        raise _error(folder, "has an LSTM: a teacher must act by one observation")
    return policy


def _entries(policy: Policy, env: VectorEnv, size: int, folder: str | None) -> np.ndarray:
    """Returns which entries of an observation the policy sees, in its order."""
    stored, there = stored_channels(policy), env_channels(env, size)
    sees = policy.observation_size
    if not (stored and there):
        if sees != size:
            raise _error(folder, f"does not fit: it sees {sees} observations, the task has {size}")
        return np.arange(size)
    try:
        return entries_seen(stored, there)
    except ValueError as error:
        hint = _hint(env, stored.keys() - there.keys())
        raise _error(folder, f"does not fit: {error}{hint}") from error


def _hint(env: VectorEnv, missing: Set[str]) -> str:
    """Returns what to do where a channel is missing because it is privileged."""
    channels = getattr(getattr(env.unwrapped, "task", None), "observation", ())
    hidden = any(channel.name in missing and channel.privileged for channel in channels)
    return " without privileged_teacher=True" if hidden else ""


def _error(folder: str | None, message: str) -> FieldError:
    return FieldError("teacher", f"teacher={shown(folder)} {message}")
