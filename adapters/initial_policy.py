# SPDX-License-Identifier: Apache-2.0
"""The stored policy from which PPO starts where `initial_policy` says so."""

import math
import os
from typing import Any

from gymnasium.vector import VectorEnv

from adapters.algorithm_config import FieldError
from motrix_gym.names import shown
from motrix_gym.policy import Policy
from motrix_gym.policy_files import JSON_FILE

# For how many samples its normaliser counts, lest the first rollout of a new training upset it.
NORMALIZER_SAMPLES = 1e6


def load_initial_policy(config: Any, env: VectorEnv) -> Policy:
    """Reads the policy in the folder `config.initial_policy`.

    Args:
        config: The settings of the training, a `PPOConfig`.
        env: What it learns on; observations `Box (n, obs)`, actions `Box (n, act)`.

    Raises:
        FieldError: (a ValueError) there is no such policy, or the training's is of another form.
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
    observation_box: Any = env.single_observation_space
    action_box: Any = env.single_action_space
    forms = {
        "the number of observations": (policy.observation_size, observation_box.shape[0]),
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


def _normalizes(policy: Policy) -> bool:
    """Returns whether a policy's normaliser does anything."""
    moved = policy.observation_mean.any() or (policy.observation_std != 1.0).any()
    return bool(moved) or policy.observation_clip < math.inf


def _error(name: str, message: str) -> FieldError:
    return FieldError("initial_policy", f"initial_policy={shown(name)} {message}")
