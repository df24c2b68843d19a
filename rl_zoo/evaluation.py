# SPDX-License-Identifier: Apache-2.0
"""Evaluation: the figures of a policy over a fixed number of whole episodes.

Of every environment, the same number of first episodes counts. If instead the episodes that end
first counted, short ones would be counted more often. The policy acts in NumPy; no learning library
is needed.
"""

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_zoo.environments import make_env
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.policies import check_fits
from rl_zoo.statistics import MET, NOT_MET, ON_AVERAGE, Summary, summarise, verdict
from rl_zoo.tables import number, table

if TYPE_CHECKING:
    from adapters import Policy
    from motrix_gym import Goal, MotrixVectorEnv, TaskConfig

EPISODES, SEED = 1000, 0
MAX_EPISODES = 10**6
CHOICE_EPISODES = 50  # for each of the two policies of a run between which a training chooses
FEW_ENVS, MAX_ENVS = 64, 1024  # environments side by side, unless the user gives a number


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """Figures of a policy, one number per episode.

    Attributes:
        env_id: The environment.
        settings: Task settings that differ from the registered ones, by dotted name.
        num_envs: Environments side by side; each made the same number of episodes.
        seed: Of the evaluation; `adapters.seeds` derives the environments' streams from it.
        stochastic: Whether actions were drawn, instead of the mean taken.
        figures: (episodes,) values by name: "return", "length", "success" at the episode's last
            step where the task has a goal, the task's metrics, and "reward/<term>", the sum of a
            weighted reward term.
        units: By figure, its unit and, for metrics, how an episode's value is made of its steps'.
        goals: The environment's goals; it is solved if all are met.
        faults: Episodes that ended because the simulation diverged.
        rates: Names of the figures whose mean is a rate: "success" and the metrics declared so.
        words: Words for the values 0, 1, ... of a metric that has them.
    """

    env_id: str
    settings: dict[str, Any]
    num_envs: int
    seed: int
    stochastic: bool
    figures: dict[str, np.ndarray]
    units: dict[str, str]
    goals: "tuple[Goal, ...]"
    faults: int = 0
    rates: frozenset[str] = frozenset()
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def word(self, figure: str, value: float) -> str | float:
        """Returns the word for a figure's value, or the value where there is none."""
        return self.words[figure][round(value)] if self.words.get(figure) else float(value)

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.figures["return"])

    @cached_property
    def summaries(self) -> dict[str, Summary]:
        """The summary of each figure."""
        return {name: summarise(x, name in self.rates) for name, x in self.figures.items()}

    @property
    def verdicts(self) -> "dict[Goal, str]":
        """How each goal is met."""
        return {g: verdict(g, self.summaries[g.figure], self.faults) for g in self.goals}

    @property
    def solved(self) -> bool:
        """Whether all goals are met, each by the whole 95 % interval of its figure's mean."""
        return all(verdict == MET for verdict in self.verdicts.values())

    @property
    def rank(self) -> tuple[int, float]:
        """A key that orders policies, the best last: goals met on average, then mean return."""
        met = sum(verdict != NOT_MET for verdict in self.verdicts.values())
        return met, float(self.figures["return"].mean())

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON; what is not finite becomes None."""
        return {
            "schema_version": 2,
            "env_id": self.env_id,
            "env_config": self.settings,
            "episodes": self.episodes,
            "num_envs": self.num_envs,
            "seed": self.seed,
            "stochastic": self.stochastic,
            "faults": self.faults,
            "figures": {name: x.as_dict() for name, x in self.summaries.items()},
            "rates": sorted(self.rates),
            "goals": [{"goal": str(g), "verdict": text} for g, text in self.verdicts.items()],
            "solved": self.solved,
        }

    def __str__(self) -> str:
        """Returns a table for the user."""
        rows = [("", "mean", "IQ mean", "95% interval", "min", "max")]
        for name, summary in self.summaries.items():
            if name in self.words:
                continue  # classes, which have no mean
            mean, middle, low, high, least, most = map(number, summary)
            unit = f" ({self.units[name]})" if self.units.get(name) else ""
            rows.append((name + unit, mean, middle, f"{low} to {high}", least, most))
        actions = "sampled" if self.stochastic else "deterministic"
        per_env = self.episodes // self.num_envs
        lines = [
            f"{self.env_id}: {self.episodes} whole episodes ({self.num_envs} environments x "
            f"{per_env}), {actions}, seed {self.seed}",
            *(f"  with env.{name}={value}" for name, value in self.settings.items()),
            table(rows),
        ]
        how = f"Wilson for {', '.join(sorted(self.rates))}, else " if self.rates else ""
        lines.append(f"IQ mean: interquartile mean; intervals: {how}bootstrap")
        if self.faults:
            lines.append(f"{self.faults} episodes ended in a diverged simulation")
        for goal, text in self.verdicts.items():
            mean, _, low, high, _, _ = map(number, self.summaries[goal.figure])
            beyond = "below" if goal.comparison == ">=" else "above"
            text += f", but the interval reaches {beyond}" if text == ON_AVERAGE else ""
            lines.append(f"goal {goal}: {text} ({mean}, 95% interval {low} to {high})")
        return "\n".join(lines)

    __repr__ = __str__


def check_ends(task: "TaskConfig", env_id: str) -> None:
    """Refuses a task whose episodes may never end.

    Raises:
        ZooError: it has no time limit.
    """
    if task.max_episode_steps is None:
        raise ZooError(f"episodes of {env_id} may never end: set env.max_episode_steps")


def evaluate_policy(
    env_id: str,
    policy: "Policy",
    *,
    episodes: int = EPISODES,
    num_envs: int | None = None,
    seed: int = SEED,
    purpose: str = "evaluation",
    stochastic: bool = False,
    settings: dict[str, Any] | None = None,
    num_threads: int = 0,
    by: Sequence[str] = (),
) -> Evaluation:
    """Measures a policy.

    Args:
        env_id: A registered environment.
        policy: The policy; it acts by its mean, unless `stochastic`.
        episodes: Number of episodes, a multiple of num_envs.
        num_envs: Environments side by side; by default as many as divide the episodes, up to 1024.
        seed: Of the environments, and of the actions if `stochastic`.
        purpose: One of `adapters.seeds.PURPOSES`, which have streams of their own.
        stochastic: Draw actions from the policy.
        settings: Task settings by dotted name.
        num_threads: Threads for the physics; 0: all cores.
        by: Figures that the result is to be grouped by; a wrong name is refused before the
            episodes are played.

    Raises:
        ValueError: `episodes` is none of 1 to 1,000,000.
        ZooError: `num_envs` does not divide the episodes, the seed is too large, the policy does
            not fit the task, a goal or `by` names no figure, or a rate has values other than 0 and
            1.
    """
    from adapters.seeds import first_stream
    from motrix_gym import registration
    from motrix_gym.settings import integer

    integer("episodes", episodes, 1, MAX_EPISODES)
    if num_envs is None:
        num_envs = side_by_side(episodes)
    if episodes % num_envs:
        raise UsageError(f"{episodes} episodes cannot be shared equally by {num_envs} environments")
    try:
        first = first_stream(seed, purpose)
    except ValueError as error:
        raise UsageError(str(error)) from error
    settings = settings or {}
    env = make_env(env_id, settings, num_envs, num_threads)
    try:
        check_fits(policy, env, env_id)
        check_ends(env.config, env_id)
        generator = np.random.default_rng(seed)
        act = policy.actor(generator if stochastic else None)
        goals = registration.entry(env_id).goals

        def check_names(there: Collection[str]) -> None:
            for goal in goals:
                if goal.figure not in there:
                    names = ", ".join(there)
                    raise ZooError(
                        f"the goal {goal} of {env_id} names no figure; there are: {names}"
                    )
            check_figures(by, there)

        figures, faults = _play_episodes(env, act, episodes // num_envs, first, check_names)
        units = {name: f"{m.unit}, {m.reduce}" for name, m in env.task.metrics.items()}
        rates = {name for name, m in env.task.metrics.items() if m.rate} | {"success"}
        words = {name: m.words for name, m in env.task.metrics.items() if m.words}
    finally:
        env.close()
    rates &= figures.keys()
    units |= dict.fromkeys(rates, "share of episodes")
    for name in sorted(rates):
        if len(odd := figures[name][~np.isin(figures[name], (0, 1))]):
            raise ZooError(
                f"{name} of {env_id} is a rate, but an episode has {odd[0]:g}, not 0 or 1"
            )
    return Evaluation(
        env_id=env_id,
        settings=settings,
        num_envs=num_envs,
        seed=seed,
        stochastic=stochastic,
        figures=figures,
        units=units | {"length": "steps"},
        goals=goals,
        faults=faults,
        rates=frozenset(rates),
        words=words,
    )


def check_figures(names: Sequence[str], there: Collection[str]) -> None:
    """Refuses names of figures that an evaluation does not have.

    Raises:
        UsageError: there is no such figure.
    """
    from motrix_gym.names import did_you_mean, shown

    for name in names:
        if name not in there:
            hint = did_you_mean(name, there)
            known = ", ".join(name for name in there if "/" not in name)
            raise UsageError(f"no figure {shown(name)} to group by{hint}; there are: {known}")


def side_by_side(episodes: int) -> int:
    """Returns the largest number of environments, up to 1024, that divides a number of episodes.

    Raises:
        ValueError: the number is none of 1 to 1,000,000.
        ZooError: the result is small, which would be slow, and would be larger for a similar number
            of episodes.
    """
    from motrix_gym.settings import integer

    def most(number: int) -> int:
        return next(n for n in range(min(number, MAX_ENVS), 0, -1) if number % n == 0)

    found = most(integer("episodes", episodes, 1, MAX_EPISODES))
    if found < min(FEW_ENVS, episodes):
        below = next(n for n in range(episodes, 0, -1) if most(n) >= FEW_ENVS)
        above = next(n for n in itertools.count(episodes) if most(n) >= FEW_ENVS)
        raise UsageError(
            f"{episodes} episodes can be shared equally by no more than {found} environments side "
            f"by side, which is slow: take {below} or {above} episodes"
        )
    return found


# How an episode's figure is made of its steps': the start value, and a function of the figure so
# far and the step's value.
FOLDS = {
    "sum": (0.0, np.add),
    "mean": (0.0, np.add),  # divided by the length in the end
    "max": (-np.inf, np.maximum),
    "last": (0.0, lambda _, new: np.array(new, float)),
}


def _play_episodes(
    env: "MotrixVectorEnv",
    act: Any,
    per_env: int,
    first: int,
    check_names: Callable[[Collection[str]], None],
) -> tuple[dict[str, np.ndarray], int]:
    """Returns the figures of each row's first `per_env` episodes, and how many diverged.

    `check_names` is called with the figures' names after the first step.
    """
    observations, _ = env.reset(seed=first)
    rules: dict[str, str] = {}
    running: dict[str, np.ndarray] = {}  # of the episodes under way, (num_envs,)
    episodes: dict[str, list[np.ndarray]] = {}
    left, faults = np.full(env.num_envs, per_env), 0
    ended = np.ones(env.num_envs, bool)  # so that an episode begins
    while left.any():
        observations, rewards, terminated, truncated, info = env.step(act(observations, ended))
        step = {"return": rewards, "length": np.ones(env.num_envs)}
        if "success" in info:
            step["success"] = info["success"]
        metrics = _columns(info["metrics"])
        step |= metrics
        step |= {f"reward/{name}": value for name, value in _columns(info["reward_terms"]).items()}
        if not rules:
            check_names(step)
            rules = (
                dict.fromkeys(step, "sum") | {"success": "last"} | dict.fromkeys(metrics, "mean")
            )
            rules |= {name: metric.reduce for name, metric in env.task.metrics.items()}
        for name, value in step.items():
            start, fold = FOLDS[rules[name]]
            running[name] = fold(running.get(name, start), value)

        ended = terminated | truncated
        counted = ended & (left > 0)
        if counted.any():
            left -= counted
            faults += int((info["fault"] & counted).sum()) if "fault" in info else 0
            for name, value in running.items():
                episode = value / running["length"] if rules[name] == "mean" else value
                episodes.setdefault(name, []).append(episode[counted])
        for name, value in running.items():
            value[ended] = FOLDS[rules[name]][0]
    return {name: np.concatenate(parts) for name, parts in episodes.items()}, faults


def _columns(entries: dict[str, Any]) -> dict[str, np.ndarray]:
    """The entries of an info without Gymnasium's "_name" masks."""
    return {name: value for name, value in entries.items() if not name.startswith("_")}
