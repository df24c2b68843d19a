# SPDX-License-Identifier: Apache-2.0
"""Rules on the environment itself; it may be of any class, so its type is ``Any``."""

import copy
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from motrix_gym.checks.nested import kinds
from motrix_gym.checks.requirement import require


def spaces(env: Any) -> None:
    """The batched spaces are the single ones, num_envs times."""
    n = env.num_envs
    require(isinstance(n, int | np.integer) and n >= 1, f"num_envs must be at least 1, it is {n!r}")
    for what in ("observation", "action"):
        single = getattr(env, f"single_{what}_space")
        batched = getattr(env, f"{what}_space")
        require(
            batched == batch_space(single, n),
            f"{what}_space is {batched}, not single_{what}_space {single} {n} times",
        )


def autoreset_mode(env: Any) -> None:
    """``metadata["autoreset_mode"]`` is set."""
    mode = env.metadata.get("autoreset_mode")
    require(
        isinstance(mode, AutoresetMode),
        f"metadata['autoreset_mode'] must be an AutoresetMode, it is {mode!r}",
    )


def returns(env: Any) -> None:
    """``reset`` returns (observations, info), ``step`` five things, in tuples."""
    space = copy.deepcopy(env.action_space)  # the environment's own is not drawn from
    for call, got, length in (
        ("reset", env.reset(seed=0), 2),
        ("step", env.step(space.sample()), 5),
    ):
        require(
            issubclass(type(got), tuple) and len(got) == length,
            f"{call}() must return a tuple of {length}, got {type(got).__name__} {kinds(got)}",
        )
        require(isinstance(got[-1], dict), f"the info of {call}() is no dict: {got[-1]!r}")


ENV_RULES = (spaces, autoreset_mode, returns)
