# SPDX-License-Identifier: Apache-2.0
"""`motrix evaluate`: measure a policy over a fixed number of whole episodes.

Every environment contributes the same number of its first whole episodes, so short episodes do not
count more often than long ones. The policy acts in NumPy; no learning library is needed.
"""

if __name__ == "__main__":
    from rl_zoo.__main__ import run_module

    run_module("evaluate")

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rl_zoo import cli

if TYPE_CHECKING:
    from adapters import Policy
    from motrix_gym import Goal, MotrixVectorEnv, TaskConfig

EPISODES, SEED = 100, 0
CHOICE_EPISODES = 50  # between two policies of a run
FEW_ENVS, MAX_ENVS = 64, 1024  # side by side, unless told
RESAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of a policy, one number per episode.

    Attributes:
        env_id: The environment.
        settings: Task settings that differ from the registered ones, by dotted name.
        num_envs: Environments side by side; each made the same number of episodes.
        seed: Of the evaluation; `adapters.seeds` derives the environments' streams from it.
        stochastic: Whether actions were drawn, instead of the mean taken.
        figures: By name (episodes,): "return", "length", "success" where the task has a goal (at
            the episode's last step), the task's metrics, and "reward/<term>" (sums).
        units: Unit and, for metrics, how steps make an episode, by figure.
        goals: What counts as solved.
        faults: Episodes that ended because the simulation diverged.
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

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.figures["return"])

    @property
    def met(self) -> "dict[Goal, bool]":
        """Whether each goal is met by the mean of its figure, and no simulation diverged."""
        means = {goal: float(self.figures[goal.figure].mean()) for goal in self.goals}
        return {goal: goal.met(mean) and not self.faults for goal, mean in means.items()}

    @property
    def rank(self) -> tuple[int, float]:
        """The higher the better: goals met, then mean return."""
        return sum(self.met.values()), float(self.figures["return"].mean())

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON; what is not finite becomes None."""
        figures = {
            name: {k: v if math.isfinite(v) else None for k, v in summarise(x)._asdict().items()}
            for name, x in self.figures.items()
        }
        return {
            "schema_version": 1,
            "env_id": self.env_id,
            "env_config": self.settings,
            "episodes": self.episodes,
            "num_envs": self.num_envs,
            "seed": self.seed,
            "stochastic": self.stochastic,
            "faults": self.faults,
            "figures": figures,
            "goals": [{"goal": str(goal), "met": met} for goal, met in self.met.items()],
            "solved": all(self.met.values()),
        }

    def report(self) -> str:
        """Returns a table for the user."""
        rows = [("", "mean", "IQ mean", "95% interval", "min", "max")]
        for name, values in self.figures.items():
            mean, middle, low, high, least, most = map(cli.number, summarise(values))
            unit = f" ({self.units[name]})" if self.units.get(name) else ""
            rows.append((name + unit, mean, middle, f"{low} to {high}", least, most))
        actions = "sampled" if self.stochastic else "deterministic"
        per_env = self.episodes // self.num_envs
        lines = [
            f"{self.env_id}: {self.episodes} whole episodes ({self.num_envs} environments x "
            f"{per_env}), {actions}, seed {self.seed}",
            *(f"  with env.{name}={value}" for name, value in self.settings.items()),
            cli.table(rows),
        ]
        if self.faults:
            lines.append(f"{self.faults} episodes ended in a diverged simulation")
        for goal, met in self.met.items():
            value = cli.number(float(self.figures[goal.figure].mean()))
            lines.append(f"goal {goal}: {'met' if met else 'NOT met'} ({value})")
        return "\n".join(lines)


def check_ends(task: "TaskConfig", env_id: str) -> None:
    """Refuses a task whose episodes may never end.

    Raises:
        CommandError: it has no time limit.
    """
    if task.max_episode_steps is None:
        raise cli.CommandError(f"episodes of {env_id} may never end: set env.max_episode_steps")


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
) -> Evaluation:
    """Measures a policy.

    Args:
        env_id: A registered environment.
        policy: The policy; without `stochastic`, its bounded mean acts.
        episodes: Number of episodes, a multiple of num_envs.
        num_envs: Environments side by side; by default as many as divide the episodes, up to 1024.
        seed: Of the environments, and of the actions if `stochastic`.
        purpose: One of `adapters.seeds.PURPOSES`, which have streams of their own.
        stochastic: Draw actions from the policy.
        settings: Task settings by dotted name.
        num_threads: Threads for the physics; 0: all cores.

    Raises:
        CommandError: the numbers do not fit, the policy is of another task, or a goal names no
            figure.
    """
    from adapters.seeds import first_stream
    from motrix_gym import registration

    if num_envs is None:
        num_envs = side_by_side(episodes)
    if episodes % num_envs:
        raise cli.CommandError(
            f"{episodes} episodes cannot be shared equally by {num_envs} environments", cli.MISUSED
        )
    settings = settings or {}
    env = cli.make_env(env_id, settings, num_envs, num_threads)
    try:
        cli.check_fits(policy, env, env_id)
        check_ends(env.config, env_id)
        generator = np.random.default_rng(seed)
        act = policy.actor(generator if stochastic else None)
        first = first_stream(seed, purpose)
        figures, faults = _play_episodes(env, act, episodes // num_envs, first)
        units = {name: f"{m.unit}, {m.reduce}" for name, m in env.task.metrics.items()}
    finally:
        env.close()
    goals = registration.entry(env_id).goals
    for goal in goals:
        if goal.figure not in figures:
            raise cli.CommandError(
                f"the goal {goal} of {env_id} names no figure; there are: {', '.join(figures)}"
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
    )


def side_by_side(episodes: int) -> int:
    """Returns the most environments, up to 1024, that can share a number of episodes equally.

    Raises:
        CommandError: they are few, which would take long, while a similar number has more.
    """

    def most(number: int) -> int:
        return next(n for n in range(min(number, MAX_ENVS), 0, -1) if number % n == 0)

    found = most(episodes)
    if found < min(FEW_ENVS, episodes):
        below = next(n for n in range(episodes, 0, -1) if most(n) >= FEW_ENVS)
        above = next(n for n in itertools.count(episodes) if most(n) >= FEW_ENVS)
        raise cli.CommandError(
            f"{episodes} episodes can be shared equally by no more than {found} environments side "
            f"by side, which is slow: take {below} or {above} episodes",
            cli.MISUSED,
        )
    return found


# How the steps of an episode make its figure: what to begin with, and how to take in a step.
FOLDS = {
    "sum": (0.0, np.add),
    "mean": (0.0, np.add),  # divided by the length in the end
    "max": (-np.inf, np.maximum),
    "last": (0.0, lambda _, new: np.array(new, float)),
}


def _play_episodes(
    env: "MotrixVectorEnv", act: Any, per_env: int, first: int
) -> tuple[dict[str, np.ndarray], int]:
    """Returns the figures of each row's first `per_env` episodes, and how many diverged."""
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


class Summary(NamedTuple):
    """Mean, interquartile mean, 95 % bootstrap interval of the mean, minimum and maximum."""

    mean: float
    iqm: float
    low: float
    high: float
    min: float
    max: float


def summarise(values: np.ndarray) -> Summary:
    """Returns the summary of a figure, (episodes,)."""
    ordered = np.sort(values)
    cut = len(values) // 4
    generator = np.random.default_rng(0)
    draws = generator.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    middle = ordered[cut : len(values) - cut].mean()
    return Summary(*map(float, (values.mean(), middle, low, high, ordered[0], ordered[-1])))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0 if all goals are met, 3 if one is not."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = cli.parser(
        "evaluate",
        "Measure a policy over a fixed number of whole episodes per environment.\n\n"
        "Exit status: 0 all goals of the environment are met (or it has none), 3 one is not,\n"
        "1 something failed, 2 wrong arguments. A run's result goes to its evaluation.json.",
    )
    cli.add_policy_arguments(p)
    p.add_argument(
        "--episodes", type=cli.whole(1), default=EPISODES, metavar="N", help="default 100"
    )
    p.add_argument("--seed", type=cli.whole(0), default=SEED, metavar="S", help=f"default {SEED}")
    p.add_argument("--stochastic", action="store_true", help="draw actions, instead of their mean")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    args = p.parse_args(argv)

    from adapters.policy import write_file
    from rl_zoo.settings import only_task

    settings = only_task(args.set)
    found = cli.find_policy(args)
    print(f"evaluating {found.label}")
    result = evaluate_policy(
        found.env_id,
        found.policy,
        episodes=args.episodes,
        num_envs=args.num_envs,
        seed=args.seed,
        stochastic=args.stochastic,
        settings=found.settings | settings,
        num_threads=args.num_threads,
    )
    print(result.report())
    if args.json:
        try:
            write_file(args.json, json.dumps(result.as_dict(), indent=2).encode() + b"\n")
        except OSError as error:
            raise cli.CommandError(f"cannot write {args.json}: {error.strerror}") from error
    if found.run:
        found.run.save_evaluation(result.as_dict())
    return 0 if all(result.met.values()) else cli.UNMET
