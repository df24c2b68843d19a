# SPDX-License-Identifier: Apache-2.0
"""Parts of what an environment takes and gives, by name."""

import numpy as np


def zeros(env):
    """Return the action that is 0 in all rows."""
    return np.zeros(env.action_space.shape, np.float32)


def channel(env, observations, name):
    """Return the columns of one channel."""
    start = 0
    for entry in env.task.observation:
        if entry.name == name:
            return observations[:, start : start + entry.size]
        start += entry.size
    raise KeyError(name)


def term(env, info, name):
    """Return a reward term as the task gave it, without its weight."""
    return info["reward_terms"][name] / env.config.reward_weights[name]
