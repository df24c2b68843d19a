# SPDX-License-Identifier: Apache-2.0
"""Rules that play runs of their own."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from motrix_gym.checks.nested import different, is_array, leaves, map_leaves, merge, same
from motrix_gym.checks.player import Player, Step
from motrix_gym.checks.requirement import VectorEnvError, require

SHORT = 40  # steps of the runs that are compared with one another


def determinism(player: Player) -> None:
    """The same seed and actions give the same run, whatever was played before."""
    actions = player.actions(2 * SHORT)
    first = list(player.play(actions[:SHORT]))
    for _ in player.play(actions[SHORT + SHORT // 3 :], player.seed + 999):
        pass
    second = list(player.play(actions[:SHORT]))
    _same_run(first, second, "two runs with the same seed and actions differ")


def seeds(player: Player) -> None:
    """Row i draws from seed + i alone: with seed + 1, row i plays what row i + 1 played."""
    if player.num_envs < 2:
        return
    actions = player.actions(SHORT)
    shifted = [map_leaves(action, lambda leaf: np.roll(leaf, -1, axis=0)) for action in actions]
    first = list(player.play(actions))
    second = list(player.play(shifted, player.seed + 1))
    for t, (one, other) in enumerate(zip(first, second, strict=True)):
        for name, leaf in leaves(one.observations).items():
            here = leaves(other.observations)[name]
            rows = different(leaf[1:], here[:-1]) + 1
            require(
                not len(rows),
                f"rows {rows} with seed {player.seed} are not rows {rows - 1} with seed "
                f"{player.seed + 1} at step {t}: a row must depend on seed + row alone",
            )


def new_episodes(player: Player) -> None:
    """A reset without a seed starts a new episode, not the first one again."""
    starts = [next(player.play([], seed)).observations for seed in (player.seed, player.seed + 999)]
    if same(*starts):
        return  # every episode has the same start
    next(player.play([]))
    again, _ = player.env.reset()
    require(
        not same(starts[0], again), "reset() without a seed gives the same start as the last seed"
    )


def fresh_data(player: Player) -> None:
    """Nothing that was returned is written again, and actions are not written at all."""
    actions = player.actions(SHORT)
    originals = copy.deepcopy(actions)
    held: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
    for t, step in enumerate(player.play(actions)):
        returned = {
            "observations": step.observations,
            "rewards": step.rewards,
            "terminated": step.terminated,
            "truncated": step.truncated,
            "info": step.info,
        }
        held.append((t, returned, copy.deepcopy(returned)))
    player.env.reset()
    require(same(actions, originals), "step() wrote to the caller's actions")
    for t, returned, before in held:
        was = leaves(before)
        for name, leaf in leaves(returned).items():
            require(
                same(leaf, was[name]), f"what step {t} returned in {name} was written again later"
            )


def private_state(player: Player) -> None:
    """What was returned is the caller's: writing to it does not change the future."""
    actions = player.actions(SHORT)
    clean = [copy.deepcopy(step) for step in player.play(actions)]
    spoilt: list[Step] = []
    for step in player.play(actions):
        spoilt.append(copy.deepcopy(step))
        for leaf in (*leaves(step.observations).values(), step.rewards):
            if leaf.flags.writeable and leaf.dtype.kind == "f":
                leaf.fill(12345.0)
    _same_run(clean, spoilt, "writing to what was returned changes what comes after it")


def ignored_actions(player: Player) -> None:
    """NEXT_STEP: a row that is being reset ignores its action."""
    if player.mode is not AutoresetMode.NEXT_STEP:
        return
    actions, others = player.actions(SHORT), player.actions(2 * SHORT)[SHORT:]
    first = list(player.play(actions))

    def mixed() -> Iterator[Any]:
        for t, (action, other) in enumerate(zip(actions, others, strict=True)):
            over = first[t].ended
            yield merge(over, other, action)

    _same_run(
        first, list(player.play(mixed())), "the action of a row that is being reset changes the run"
    )


def reset_mask(player: Player) -> None:
    """DISABLED: ``reset(options={"reset_mask": mask})`` resets those rows and no others."""
    n = player.num_envs
    if player.mode is not AutoresetMode.DISABLED or n < 2:
        return
    actions = player.actions(SHORT)
    mask = np.arange(n) % 2 == 0
    plain = list(player.play(actions))
    (*_, before) = player.play(actions[:2])
    now = mask | before.ended
    seen, _ = player.env.reset(options={"reset_mask": now.copy()})
    was, start = leaves(before.observations), leaves(plain[0].observations)
    for name, leaf in leaves(seen).items():
        changed = np.intersect1d(different(leaf, was[name]), np.flatnonzero(~now))
        require(not len(changed), f"rows {changed} are not in the reset_mask, and changed")
        require(
            len(different(leaf[now], was[name][now])) or same(was[name], start[name]),
            "the rows in the reset_mask were not reset",
        )
    no = np.zeros(n, bool)
    elapsed = np.where(now, 0, before.elapsed)
    after = replace(before, observations=seen, terminated=no, truncated=no, elapsed=elapsed)
    for t, step in enumerate(player.go_on(actions[2:], after), 3):
        expected = leaves(plain[t].observations)
        for name, leaf in leaves(step.observations).items():
            changed = np.intersect1d(different(leaf, expected[name]), np.flatnonzero(~mask))
            require(
                not len(changed),
                f"resetting the other rows changed what rows {changed} do at step {t}",
            )


def snapshot(player: Player) -> None:
    """``restore`` of a ``snapshot`` brings back the exact future, where there are such."""
    env: Any = player.env.unwrapped
    if not (hasattr(env, "snapshot") and hasattr(env, "restore")):
        return
    inner = Player(env, player.seed)
    actions = inner.actions(2 * SHORT)
    (*_, last) = inner.play(actions[:SHORT])
    last = copy.deepcopy(last)
    taken = env.snapshot()
    kept = copy.deepcopy(taken)
    first = [copy.deepcopy(step) for step in inner.go_on(actions[SHORT:], last)]
    require(same(taken, kept), "a snapshot changes as the environment goes on")
    env.restore(kept)
    second = list(inner.go_on(actions[SHORT:], last))
    _same_run(first, second, "the future after restore(snapshot) is another")


def bad_actions(player: Player) -> None:
    """Actions of the wrong shape, and such as are not numbers, raise."""
    (action,) = player.actions(1)
    if not is_array(action):
        return
    _raises(player, np.concatenate([action, action[:1]]), "actions of one row too many")
    if action.dtype.kind == "f":
        for bad in (np.nan, np.inf):
            spoilt = action.copy()
            spoilt[-1] = bad
            _raises(player, spoilt, f"an action of {bad}")


RUN_RULES = (
    fresh_data,
    determinism,
    private_state,
    ignored_actions,
    reset_mask,
    seeds,
    new_episodes,
    snapshot,
    bad_actions,
)


def _raises(player: Player, action: Any, what: str) -> None:
    player.env.reset(seed=player.seed)
    try:
        player.env.step(action)
    except Exception:  # which error it is, is the environment's choice
        return
    raise VectorEnvError(f"{what} must raise, and was taken")


def _same_run(first: list[Step], second: list[Step], message: str) -> None:
    """Compare two runs in all but their infos, of which only final_obs is compared."""
    for t, (one, other) in enumerate(zip(first, second, strict=True)):
        for name in ("observations", "rewards", "terminated", "truncated"):
            require(
                same(getattr(one, name), getattr(other, name)),
                f"{message}: in {name}, at step {t}",
            )
        require(
            same(one.info.get("final_obs", ()), other.info.get("final_obs", ())),
            f"{message}: in final_obs, at step {t}",
        )
