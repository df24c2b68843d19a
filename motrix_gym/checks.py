# SPDX-License-Identifier: Apache-2.0
"""The checker for vector environments that Gymnasium lacks.

``check_vector_env(env)`` plays with an environment and raises a ``VectorEnvError`` at the first
rule that it breaks. It works on any ``gymnasium.vector.VectorEnv``.

Every rule is one function below, and its name is the rule's: those on the environment itself,
those that look at every step of one long run, and those that need runs of their own.
"""

import copy
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

_SHORT = 40  # steps of the runs that are compared with one another


class VectorEnvError(AssertionError):
    """A vector environment breaks a rule; the message names the rule first."""


def check_vector_env(
    env: VectorEnv, *, seed: int = 0, steps: int | None = None, skip: Collection[str] = ()
) -> None:
    """Check that a vector environment keeps the rules of its interface.

    The environment is reset and stepped, with random actions, and not closed. Rules on the ends
    of episodes see only the episodes that end within ``steps``: an environment made with a short
    time limit is checked best. Features that only some have (``snapshot`` and ``restore``,
    ``info["reward_terms"]``, a known time limit) are checked where they are found.

    Args:
        env: the environment, wrapped or not; a handful of copies is enough, and faster.
        seed: the environment's and the actions' seed.
        steps: length of the long run; by default 50 more than the time limit, or than 300 where
            there is none, or than 1000 where it is longer.
        skip: names of rules to leave out.

    Raises:
        VectorEnvError: at the first rule that is broken, which the message names.
        ValueError: if ``skip`` has a name that is no rule.
        TypeError: if ``env`` is no vector environment.
    """
    if not isinstance(env, VectorEnv):
        raise TypeError(f"{env} is no gymnasium.vector.VectorEnv: make it with gymnasium.make_vec")
    names = [rule.__name__ for rule in (*ENV_RULES, *STEP_RULES, *RUN_RULES)]
    if unknown := sorted(set(skip) - set(names)):
        raise ValueError(f"there are no rules {unknown}: the rules are {', '.join(names)}")

    def apply(rules: tuple[Callable[..., None], ...], *args: Any) -> None:
        for rule in rules:
            if rule.__name__ not in skip:
                _apply(rule, *args)

    apply(ENV_RULES, env)
    player = _Player(env, seed)
    if steps is None:
        steps = min(1000, _time_limit(env) or 300) + 50
    for step in player.play(player.actions(steps)):
        apply(STEP_RULES, player, step)
    apply(RUN_RULES, player)


@dataclass
class _Step:
    """What one ``step``, or the first ``reset``, returned, and where the episodes stand."""

    observations: Any
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    info: dict[str, Any]
    previous: Any
    """The observations before it; None at the first reset."""
    elapsed: np.ndarray
    """(num_envs,) steps made in the episodes that this step belongs to."""
    waiting: np.ndarray
    """(num_envs,) bool: rows that this step did not advance but reset (NEXT_STEP)."""

    @property
    def ended(self) -> np.ndarray:
        return self.terminated | self.truncated


class _Player:
    """Plays an environment in its own autoreset mode."""

    def __init__(self, env: VectorEnv, seed: int):
        self.env, self.seed, self.num_envs = env, seed, env.num_envs
        self.mode: AutoresetMode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.at_limit = self.terminated_at_limit = 0  # episodes that came to the time limit

    def actions(self, steps: int) -> list[Any]:
        """Random actions; the environment's own action space is not drawn from."""
        space = copy.deepcopy(self.env.action_space)
        space.seed(self.seed)
        return [space.sample() for _ in range(steps)]

    def play(self, actions: Iterable[Any], seed: int | None = None) -> Iterator[_Step]:
        """Reset with ``seed`` (its own by default), then step; the reset comes first."""
        observations, info = self.env.reset(seed=self.seed if seed is None else seed)
        no, zeros = np.zeros(self.num_envs, bool), np.zeros(self.num_envs)
        first = _Step(observations, zeros, no, no, info, None, zeros, no)
        yield first
        yield from self.go_on(actions, first)

    def go_on(self, actions: Iterable[Any], last: _Step) -> Iterator[_Step]:
        """Step on from ``last``; with autoreset DISABLED, reset rows whose episode is over."""
        for action in actions:
            over, previous = last.ended, last.observations
            if self.mode is AutoresetMode.DISABLED and over.any():
                previous, _ = self.env.reset(options={"reset_mask": over.copy()})
            waiting = over if self.mode is AutoresetMode.NEXT_STEP else np.zeros_like(over)
            elapsed = np.where(over, 0, last.elapsed) + ~waiting
            last = _Step(*self.env.step(action), previous, elapsed, waiting)
            yield last


# Rules on the environment itself.


def spaces(env: VectorEnv) -> None:
    """The batched spaces are the single ones, num_envs times."""
    n = env.num_envs
    _require(
        isinstance(n, int | np.integer) and n >= 1, f"num_envs must be at least 1, it is {n!r}"
    )
    for what in ("observation", "action"):
        single = getattr(env, f"single_{what}_space")
        batched = getattr(env, f"{what}_space")
        _require(
            batched == batch_space(single, n),
            f"{what}_space is {batched}, not single_{what}_space {single} {n} times",
        )


def autoreset_mode(env: VectorEnv) -> None:
    """``metadata["autoreset_mode"]`` is set."""
    mode = env.metadata.get("autoreset_mode")
    _require(
        isinstance(mode, AutoresetMode),
        f"metadata['autoreset_mode'] must be an AutoresetMode, it is {mode!r}",
    )


def returns(env: VectorEnv) -> None:
    """``reset`` returns (observations, info), ``step`` five things, in tuples."""
    space = copy.deepcopy(env.action_space)  # the environment's own is not drawn from
    for call, got, length in (
        ("reset", env.reset(seed=0), 2),
        ("step", env.step(space.sample()), 5),
    ):
        _require(
            isinstance(got, tuple) and len(got) == length,
            f"{call}() must return a tuple of {length}, got {type(got).__name__} {_kinds(got)}",
        )
        _require(isinstance(got[-1], dict), f"the info of {call}() is no dict: {got[-1]!r}")


# Rules on every step.


def observations(player: _Player, step: _Step) -> None:
    """Observations lie in the batched space, and are finite."""
    space = player.env.observation_space
    for name, leaf in _leaves(step.observations).items():
        if leaf.dtype.kind == "f":
            rows = np.unique(np.argwhere(~np.isfinite(np.atleast_1d(leaf)))[:, 0])
            _require(not len(rows), f"the observations{name} of rows {rows} are not finite")
    _require(
        step.observations in space,
        f"{_kinds(step.observations)} is not in the observation space {space}",
    )


def rewards(player: _Player, step: _Step) -> None:
    """Rewards are (num_envs,) floats, and finite."""
    value = step.rewards
    _require(
        isinstance(value, np.ndarray)
        and value.shape == (player.num_envs,)
        and value.dtype.kind == "f",
        f"rewards must be a float array of shape ({player.num_envs},), got {_kinds(value)}",
    )
    rows = np.flatnonzero(~np.isfinite(value))
    _require(not len(rows), f"the rewards of rows {rows} are not finite")


def flags(player: _Player, step: _Step) -> None:
    """terminated and truncated are (num_envs,) bool."""
    for name in ("terminated", "truncated"):
        value = getattr(step, name)
        _require(
            _is_mask(value, player.num_envs),
            f"{name} must be bool of shape ({player.num_envs},), got {_kinds(value)}",
        )


def info_masks(player: _Player, step: _Step) -> None:
    """Each info ``key`` has one entry per row, and a mask ``_key`` of the rows that have it."""
    for key in step.info:
        if not key.startswith("_"):
            _require(f"_{key}" in step.info, f"info[{key!r}] has no mask info['_{key}']")
    for name, leaf in _leaves(step.info).items():
        n = player.num_envs
        _require(leaf.shape[:1] == (n,), f"info{name} has shape {leaf.shape}, not {n} rows")
        if _is_mask_name(name):
            _require(_is_mask(leaf, n), f"info{name} must be a bool mask, got {_kinds(leaf)}")


def final_obs(player: _Player, step: _Step) -> None:
    """SAME_STEP: the last observations of just the episodes that ended, in one dense array."""
    if player.mode is not AutoresetMode.SAME_STEP:
        return
    ended = step.ended
    if not ended.any():
        _require("final_obs" not in step.info, "there is a final_obs, and no episode ended")
        return
    for key in ("final_obs", "_final_obs"):
        _require(key in step.info, f"episodes ended, and there is no info[{key!r}]")
    final, mask = step.info["final_obs"], step.info["_final_obs"]
    _require(
        np.array_equal(mask, ended),
        f"_final_obs marks rows {np.flatnonzero(mask)}, ended are rows {np.flatnonzero(ended)}",
    )
    if not isinstance(player.env.single_observation_space, Box):
        return
    seen = step.observations
    _require(
        isinstance(final, np.ndarray) and (final.dtype, final.shape) == (seen.dtype, seen.shape),
        f"final_obs must be one array like the observations, {_kinds(seen)}, got {_kinds(final)}",
    )
    _require(np.isfinite(final[ended]).all(), "final_obs is not finite in a row that ended")
    # Only where the observation moves at all can the two be told apart.
    moved = (final[ended] != step.previous[ended]).any()
    _require(
        not (moved and np.array_equal(final[ended], seen[ended])),
        "final_obs and the observations are the same in the rows that ended: one must be the last "
        "of the old episode, the other the first of the new",
    )


def next_step(player: _Player, step: _Step) -> None:
    """NEXT_STEP: the step after an end only resets: reward 0, neither terminated nor truncated."""
    rows = np.flatnonzero(step.waiting)
    _require(
        not step.rewards[rows].any(), f"the step that resets rows {rows} must give them reward 0"
    )
    _require(not step.ended[rows].any(), f"the step that resets rows {rows} must not end them")


def time_limit(player: _Player, step: _Step) -> None:
    """A time limit truncates, at its step, and does not terminate."""
    limit = _time_limit(player.env)
    if limit is None:
        return
    last = (step.elapsed == limit) & ~step.waiting
    missed = np.flatnonzero(last & ~step.truncated)
    _require(not len(missed), f"rows {missed} reached the limit of {limit} steps: not truncated")
    # One row may happen to terminate just there; not each that comes so far.
    player.at_limit += last.sum()
    player.terminated_at_limit += step.terminated[last].sum()
    _require(
        player.at_limit < 3 or player.terminated_at_limit < player.at_limit,
        f"the limit of {limit} steps terminates: it must only truncate",
    )


def reward_terms(player: _Player, step: _Step) -> None:
    """The reward is the sum of ``info["reward_terms"]``, where there are such."""
    terms = {k: v for k, v in step.info.get("reward_terms", {}).items() if not k.startswith("_")}
    if not terms:
        return
    total = np.sum(list(terms.values()), axis=0)
    rows = np.flatnonzero(~np.isclose(total, step.rewards, rtol=1e-5, atol=1e-6))
    _require(not len(rows), f"in rows {rows} the reward terms {list(terms)} do not add up to it")


# Rules that need runs of their own.


def determinism(player: _Player) -> None:
    """The same seed and actions give the same run, whatever was played before."""
    actions = player.actions(2 * _SHORT)
    first = list(player.play(actions[:_SHORT]))
    for _ in player.play(actions[_SHORT + _SHORT // 3 :], player.seed + 999):
        pass
    second = list(player.play(actions[:_SHORT]))
    _same_run(first, second, "two runs with the same seed and actions differ")


def seeds(player: _Player) -> None:
    """Row i draws from seed + i alone: with seed + 1, row i plays what row i + 1 played."""
    if player.num_envs < 2:
        return
    actions = player.actions(_SHORT)
    shifted = [_map(action, lambda leaf: np.roll(leaf, -1, axis=0)) for action in actions]
    first = list(player.play(actions))
    second = list(player.play(shifted, player.seed + 1))
    for t, (one, other) in enumerate(zip(first, second, strict=True)):
        for name, leaf in _leaves(one.observations).items():
            here = _leaves(other.observations)[name]
            rows = _different(leaf[1:], here[:-1]) + 1
            _require(
                not len(rows),
                f"rows {rows} with seed {player.seed} are not rows {rows - 1} with seed "
                f"{player.seed + 1} at step {t}: a row must depend on seed + row alone",
            )


def new_episodes(player: _Player) -> None:
    """A reset without a seed starts a new episode, not the first one again."""
    starts = [next(player.play([], seed)).observations for seed in (player.seed, player.seed + 999)]
    if _same(*starts):
        return  # every episode starts alike
    next(player.play([]))
    again, _ = player.env.reset()
    _require(
        not _same(starts[0], again), "reset() without a seed gives the same start as the last seed"
    )


def fresh_data(player: _Player) -> None:
    """Nothing that was returned is written again, and actions are not written at all."""
    actions = player.actions(_SHORT)
    originals, held = copy.deepcopy(actions), []
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
    _require(_same(actions, originals), "step() wrote to the caller's actions")
    for t, returned, before in held:
        was = _leaves(before)
        for name, leaf in _leaves(returned).items():
            _require(
                _same(leaf, was[name]), f"what step {t} returned in {name} was written again later"
            )


def private_state(player: _Player) -> None:
    """What was returned is the caller's: writing to it does not change the future."""
    actions = player.actions(_SHORT)
    clean = [copy.deepcopy(step) for step in player.play(actions)]
    spoilt = []
    for step in player.play(actions):
        spoilt.append(copy.deepcopy(step))
        for leaf in (*_leaves(step.observations).values(), step.rewards):
            if leaf.flags.writeable and leaf.dtype.kind == "f":
                leaf.fill(12345.0)
    _same_run(clean, spoilt, "writing to what was returned changes what comes after it")


def ignored_actions(player: _Player) -> None:
    """NEXT_STEP: a row that is being reset ignores its action."""
    if player.mode is not AutoresetMode.NEXT_STEP:
        return
    actions, others = player.actions(_SHORT), player.actions(2 * _SHORT)[_SHORT:]
    first = list(player.play(actions))

    def mixed() -> Iterator[Any]:
        for t, (action, other) in enumerate(zip(actions, others, strict=True)):
            over = first[t].ended
            yield _merge(over, other, action)

    _same_run(
        first, list(player.play(mixed())), "the action of a row that is being reset changes the run"
    )


def reset_mask(player: _Player) -> None:
    """DISABLED: ``reset(options={"reset_mask": mask})`` resets those rows and no others."""
    n = player.num_envs
    if player.mode is not AutoresetMode.DISABLED or n < 2:
        return
    actions = player.actions(_SHORT)
    mask = np.arange(n) % 2 == 0
    plain = list(player.play(actions))
    (*_, before) = player.play(actions[:2])
    now = mask | before.ended
    seen, _ = player.env.reset(options={"reset_mask": now.copy()})
    was, start = _leaves(before.observations), _leaves(plain[0].observations)
    for name, leaf in _leaves(seen).items():
        changed = np.intersect1d(_different(leaf, was[name]), np.flatnonzero(~now))
        _require(not len(changed), f"rows {changed} are not in the reset_mask, and changed")
        _require(
            len(_different(leaf[now], was[name][now])) or _same(was[name], start[name]),
            "the rows in the reset_mask were not reset",
        )
    no = np.zeros(n, bool)
    elapsed = np.where(now, 0, before.elapsed)
    after = replace(before, observations=seen, terminated=no, truncated=no, elapsed=elapsed)
    for t, step in enumerate(player.go_on(actions[2:], after), 3):
        expected = _leaves(plain[t].observations)
        for name, leaf in _leaves(step.observations).items():
            changed = np.intersect1d(_different(leaf, expected[name]), np.flatnonzero(~mask))
            _require(
                not len(changed),
                f"resetting the other rows changed what rows {changed} do at step {t}",
            )


def snapshot(player: _Player) -> None:
    """``restore`` of a ``snapshot`` brings back the exact future, where there are such."""
    env: Any = player.env.unwrapped
    if not (hasattr(env, "snapshot") and hasattr(env, "restore")):
        return
    inner = _Player(env, player.seed)
    actions = inner.actions(2 * _SHORT)
    (*_, last) = inner.play(actions[:_SHORT])
    last = copy.deepcopy(last)
    taken = env.snapshot()
    kept = copy.deepcopy(taken)
    first = [copy.deepcopy(step) for step in inner.go_on(actions[_SHORT:], last)]
    _require(_same(taken, kept), "a snapshot changes as the environment goes on")
    env.restore(kept)
    second = list(inner.go_on(actions[_SHORT:], last))
    _same_run(first, second, "the future after restore(snapshot) is another")


def bad_actions(player: _Player) -> None:
    """Actions of the wrong shape, and such as are not numbers, raise."""
    (action,) = player.actions(1)
    if not isinstance(action, np.ndarray):
        return
    _raises(player, np.concatenate([action, action[:1]]), "actions of one row too many")
    if action.dtype.kind == "f":
        for bad in (np.nan, np.inf):
            spoilt = action.copy()
            spoilt[-1] = bad
            _raises(player, spoilt, f"an action of {bad}")


ENV_RULES = (spaces, autoreset_mode, returns)
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


def _require(holds: Any, message: str) -> None:
    if not holds:
        raise VectorEnvError(message)


def _apply(rule: Callable[..., None], *args: Any) -> None:
    """Apply a rule; its name goes in front of the message."""
    try:
        rule(*args)
    except VectorEnvError as error:
        raise VectorEnvError(f"{rule.__name__}: {error}") from None


def _raises(player: _Player, action: Any, what: str) -> None:
    player.env.reset(seed=player.seed)
    try:
        player.env.step(action)
    except Exception:  # which error it is, is the environment's choice
        return
    raise VectorEnvError(f"{what} must raise, and was taken")


def _time_limit(env: VectorEnv) -> int | None:
    """The number of steps after which episodes are truncated, if the environment says so."""
    base: Any = env.unwrapped
    config: Any = getattr(base, "config", None)
    for owner in (base, config):
        if hasattr(owner, "max_episode_steps"):
            return owner.max_episode_steps
    if base.spec is None:
        return None
    return base.spec.kwargs.get("max_episode_steps", base.spec.max_episode_steps)


def _map(data: Any, function: Callable[[np.ndarray], Any]) -> Any:
    """Apply ``function`` to every array of nested dicts and tuples."""
    if isinstance(data, dict):
        return {key: _map(value, function) for key, value in data.items()}
    if isinstance(data, tuple | list):
        return tuple(_map(value, function) for value in data)
    return function(np.asarray(data))


def _merge(mask: np.ndarray, yes: Any, no: Any) -> Any:
    """The rows of ``yes`` in ``mask``, of ``no`` elsewhere."""
    chosen = iter([leaf[mask] for leaf in _leaves(yes).values()])

    def fill(leaf: np.ndarray) -> np.ndarray:
        leaf = leaf.copy()
        leaf[mask] = next(chosen)
        return leaf

    return _map(no, fill)


def _leaves(data: Any, path: str = "") -> dict[str, np.ndarray]:
    """The arrays of nested dicts and tuples, by path."""
    if isinstance(data, dict):
        items: Iterable[tuple[Any, Any]] = data.items()
    elif isinstance(data, tuple | list):
        items = enumerate(data)
    else:
        return {path: np.asarray(data)}
    return {k: v for key, value in items for k, v in _leaves(value, f"{path}[{key!r}]").items()}


def _is_mask_name(path: str) -> bool:
    return path.rpartition("[")[2].startswith("'_")


def _is_mask(value: Any, n: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == bool and value.shape == (n,)


def _kinds(data: Any) -> str:
    """The types and shapes of the arrays in ``data``, for a message."""
    return ", ".join(f"{v.dtype} {v.shape}{name}" for name, v in _leaves(data).items())


def _different(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rows in which two arrays of one shape differ; NaN equals NaN."""
    unequal = (a != b) & ((a == a) | (b == b))
    return np.flatnonzero(unequal.reshape(len(a), -1).any(axis=1))


def _same(a: Any, b: Any) -> bool:
    """Whether two nestings of arrays are the same, bit by bit; NaN equals NaN."""
    one, other = _leaves(a), _leaves(b)
    return one.keys() == other.keys() and all(
        leaf.dtype == other[name].dtype
        and leaf.shape == other[name].shape
        and not ((leaf != other[name]) & ((leaf == leaf) | (other[name] == other[name]))).any()
        for name, leaf in one.items()
    )


def _same_run(first: list[_Step], second: list[_Step], message: str) -> None:
    """Compare two runs in all but their infos, of which only final_obs is compared."""
    for t, (one, other) in enumerate(zip(first, second, strict=True)):
        for name in ("observations", "rewards", "terminated", "truncated"):
            _require(
                _same(getattr(one, name), getattr(other, name)),
                f"{message}: in {name}, at step {t}",
            )
        _require(
            _same(one.info.get("final_obs", ()), other.info.get("final_obs", ())),
            f"{message}: in final_obs, at step {t}",
        )
