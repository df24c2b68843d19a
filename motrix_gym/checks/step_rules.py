# SPDX-License-Identifier: Apache-2.0
"""Rules on what every step returns."""

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from motrix_gym.checks.nested import is_array, is_mask, is_mask_name, kinds, leaves
from motrix_gym.checks.player import Player, Step, time_limit_of
from motrix_gym.checks.requirement import require


def observations(player: Player, step: Step) -> None:
    """Observations lie in the batched space, and are finite."""
    space = player.env.observation_space
    for name, leaf in leaves(step.observations).items():
        if leaf.dtype.kind == "f":
            rows = np.unique(np.argwhere(~np.isfinite(np.atleast_1d(leaf)))[:, 0])
            require(not len(rows), f"the observations{name} of rows {rows} are not finite")
    require(
        step.observations in space,
        f"{kinds(step.observations)} is not in the observation space {space}",
    )


def rewards(player: Player, step: Step) -> None:
    """Rewards are (num_envs,) floats, and finite."""
    value = step.rewards
    require(
        is_array(value) and value.shape == (player.num_envs,) and value.dtype.kind == "f",
        f"rewards must be a float array of shape ({player.num_envs},), got {kinds(value)}",
    )
    rows = np.flatnonzero(~np.isfinite(value))
    require(not len(rows), f"the rewards of rows {rows} are not finite")


def flags(player: Player, step: Step) -> None:
    """terminated and truncated are (num_envs,) bool."""
    for name in ("terminated", "truncated"):
        value = getattr(step, name)
        require(
            is_mask(value, player.num_envs),
            f"{name} must be bool of shape ({player.num_envs},), got {kinds(value)}",
        )


def info_masks(player: Player, step: Step) -> None:
    """Each info ``key`` has one entry per row, and a mask ``_key`` of the rows that have it."""
    for key in step.info:
        if not key.startswith("_"):
            require(f"_{key}" in step.info, f"info[{key!r}] has no mask info['_{key}']")
    for name, leaf in leaves(step.info).items():
        n = player.num_envs
        require(leaf.shape[:1] == (n,), f"info{name} has shape {leaf.shape}, not {n} rows")
        if is_mask_name(name):
            require(is_mask(leaf, n), f"info{name} must be a bool mask, got {kinds(leaf)}")


def final_obs(player: Player, step: Step) -> None:
    """SAME_STEP: the last observations of just the episodes that ended, in one dense array."""
    if player.mode is not AutoresetMode.SAME_STEP:
        return
    ended = step.ended
    if not ended.any():
        require("final_obs" not in step.info, "there is a final_obs, and no episode ended")
        return
    for key in ("final_obs", "_final_obs"):
        require(key in step.info, f"episodes ended, and there is no info[{key!r}]")
    final, mask = step.info["final_obs"], step.info["_final_obs"]
    require(
        np.array_equal(mask, ended),
        f"_final_obs marks rows {np.flatnonzero(mask)}, ended are rows {np.flatnonzero(ended)}",
    )
    if not isinstance(player.env.single_observation_space, Box):
        return
    seen = step.observations
    require(
        is_array(final) and (final.dtype, final.shape) == (seen.dtype, seen.shape),
        f"final_obs must be one array like the observations, {kinds(seen)}, got {kinds(final)}",
    )
    require(np.isfinite(final[ended]).all(), "final_obs is not finite in a row that ended")
    # Only where the observation moves at all can the two be told apart.
    moved = (final[ended] != step.previous[ended]).any()
    require(
        not (moved and np.array_equal(final[ended], seen[ended])),
        "final_obs and the observations are the same in the rows that ended: one must be the last "
        "of the old episode, the other the first of the new",
    )


def next_step(player: Player, step: Step) -> None:
    """NEXT_STEP: the step after an end only resets: reward 0, neither terminated nor truncated."""
    rows = np.flatnonzero(step.waiting)
    require(
        not step.rewards[rows].any(), f"the step that resets rows {rows} must give them reward 0"
    )
    require(not step.ended[rows].any(), f"the step that resets rows {rows} must not end them")


def time_limit(player: Player, step: Step) -> None:
    """A time limit truncates, at its step, and does not terminate."""
    limit = time_limit_of(player.env)
    if limit is None:
        return
    last = (step.elapsed == limit) & ~step.waiting
    missed = np.flatnonzero(last & ~step.truncated)
    require(not len(missed), f"rows {missed} reached the limit of {limit} steps: not truncated")
    # One row may happen to terminate just there; not each that comes so far.
    player.at_limit += last.sum()
    player.terminated_at_limit += step.terminated[last].sum()
    require(
        player.at_limit < 3 or player.terminated_at_limit < player.at_limit,
        f"the limit of {limit} steps terminates: it must only truncate",
    )


def reward_terms(player: Player, step: Step) -> None:
    """The reward is the sum of ``info["reward_terms"]``, where there are such."""
    terms = {k: v for k, v in step.info.get("reward_terms", {}).items() if not k.startswith("_")}
    if not terms:
        return
    total = np.sum(list(terms.values()), axis=0)
    rows = np.flatnonzero(~np.isclose(total, step.rewards, rtol=1e-5, atol=1e-6))
    require(not len(rows), f"in rows {rows} the reward terms {list(terms)} do not add up to it")


STEP_RULES = (
    flags,
    observations,
    rewards,
    info_masks,
    final_obs,
    next_step,
    time_limit,
    reward_terms,
)
