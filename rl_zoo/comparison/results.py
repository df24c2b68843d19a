# SPDX-License-Identifier: Apache-2.0
"""The results of a comparison: runs, their checkpoints and figures; also as plain JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from adapters import ALGORITHMS, STOCK_PREFIX
from adapters.run_config import RunConfig
from motrix_gym import Goal
from rl_zoo.comparison.statistics import difference, equivalence
from rl_zoo.provenance import sessions
from rl_zoo.statistics import MET, NOT_MET, ON_AVERAGE, Summary, verdict

# What reading a stored file of results may raise, if the file holds something else.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
# Share of the stock loop's mean return: smaller differences count as none. On most tasks the seeds
# of one trainer differ by more, so nobody would choose a trainer for it. It was set on 2026-11-24,
# when the runs of 2026-11-21 in docs/parity.md were known: it is chosen in advance for later runs
# only.
MARGIN = 0.05


@dataclass(frozen=True)
class Point:
    """A checkpoint and its evaluation.

    Attributes:
        steps: Environment steps made.
        seconds: Of the run's clock, start-up included.
        figures: Means over the episodes by name; NaN where not known.
        faults: Episodes whose simulation diverged.
    """

    steps: int
    seconds: float
    figures: dict[str, float]
    faults: int

    def meets(self, goals: Sequence[Goal]) -> bool:
        """Whether there are goals and all are met on average."""
        return bool(goals) and not self.faults and all(g.met(self.figures[g.figure]) for g in goals)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run: what it was made with, and how its final policy and its checkpoints do.

    Attributes:
        trainer: The trainer's name.
        algo: The algorithm's name.
        seed: The run's.
        folder: Where the run was.
        settings: All of the algorithm's settings.
        ignored: Names of the settings that are on and have no effect in the trainer.
        origin: From the run's manifest: "device", "created", and "sessions", as
            `provenance.sessions` returns them.
        policy: SHA-256 of the final policy's weights.
        steps_per_second: Of the updates alone.
        peak_memory_mib: The most memory that the training process held.
        steps: Environment steps made.
        seconds: Of the run's clock, start-up included.
        episodes: How many judged the final policy.
        curve_episodes: How many judged each earlier checkpoint.
        evaluation_seed: Of all evaluations.
        figures: Of the final policy, over the episodes.
        faults: Episodes of the final policy whose simulation diverged.
        curve: The checkpoints by steps, the final one included; empty if they were not kept.
        stages: The stages that came before the run's own training: "envs", "steps", "seconds" and
            "ended" of each. Steps and seconds of the run, and of its checkpoints, count them.
    """

    trainer: str
    algo: str
    seed: int
    folder: str
    settings: dict[str, Any]
    ignored: list[str]
    origin: dict[str, Any]
    policy: str
    steps_per_second: float
    peak_memory_mib: float
    steps: int
    seconds: float
    episodes: int
    curve_episodes: int
    evaluation_seed: int
    figures: dict[str, Summary]
    faults: int
    curve: tuple[Point, ...]
    stages: tuple[dict[str, Any], ...] = ()

    @property
    def fixed(self) -> dict[str, Any]:
        """The settings that decide what is learned.

        Of those that the run's version did not have yet, the defaults, which change nothing.
        """
        known = ALGORITHMS.get(self.algo)
        return fixed(known().as_dict() if known else {}) | fixed(self.settings)

    def mean(self, figure: str) -> float:
        """The final policy's mean of a figure; NaN if it is not known."""
        return self.figures[figure].mean if figure in self.figures else math.nan

    def verdicts(self, goals: Sequence[Goal]) -> list[str]:
        """How the final policy meets each goal."""
        return [verdict(goal, self.figures[goal.figure], self.faults) for goal in goals]

    def verdict(self, goals: Sequence[Goal]) -> str:
        """The worst of `verdicts`."""
        found = self.verdicts(goals)
        return next((worst for worst in (NOT_MET, ON_AVERAGE) if worst in found), MET)

    def threshold(self, goals: Sequence[Goal]) -> Point | None:
        """The first of two consecutive checkpoints that both meet all goals on average."""
        pairs = zip(self.curve, self.curve[1:], strict=False)
        return next((p for p, after in pairs if p.meets(goals) and after.meets(goals)), None)

    def as_dict(self, goals: Sequence[Goal]) -> dict[str, Any]:
        """Returns plain JSON, with verdicts on the goals and the threshold."""
        reached = self.threshold(goals)
        goals_met = {str(g): text for g, text in zip(goals, self.verdicts(goals), strict=True)}
        figures = {name: summary.as_dict() for name, summary in self.figures.items()}
        threshold = {
            "steps_to_threshold": reached and reached.steps,
            "seconds_to_threshold": reached and reached.seconds,
        }
        return _plain(vars(self) | {"figures": figures, "goals": goals_met} | threshold)

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Self:
        """Returns the result from which `as_dict` made an entry.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it made no such entry.
        """
        whole = ("seed", "steps", "episodes", "curve_episodes", "evaluation_seed", "faults")
        values: dict[str, Any] = {k: int(entry[k]) for k in whole}
        values |= {k: str(entry[k]) for k in ("trainer", "algo", "folder", "policy")}
        values |= {k: _real(entry[k]) for k in ("steps_per_second", "peak_memory_mib", "seconds")}
        points = [
            Point(
                int(point["steps"]),
                _real(point["seconds"]),
                {str(k): _real(x) for k, x in point["figures"].items()},
                int(point["faults"]),
            )
            for point in entry["curve"]
        ]
        return cls(
            settings=_by_our_names(str(entry["algo"]), dict(entry["settings"])),
            ignored=[str(name) for name in entry["ignored"]],
            origin=read_origin(entry["origin"]),
            figures=read_figures(entry["figures"]),
            curve=tuple(points),
            stages=tuple(
                {
                    "envs": list(map(str, stage["envs"])),
                    "steps": int(stage["steps"]),
                    "seconds": _real(stage["seconds"]),
                    "ended": str(stage["ended"]),
                }
                for stage in entry.get("stages", ())
            ),
            **values,
        )


def read_figures(figures: dict[str, Any]) -> dict[str, Summary]:
    """Returns figures by name, from the entries that `Summary.as_dict` made.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it made no such entries.
    """
    return {
        str(figure): Summary(*(_real(x[name]) for name in Summary._fields))
        for figure, x in figures.items()
    }


def read_origin(found: dict[str, Any]) -> dict[str, Any]:
    """Returns where a run comes from: "device", "created" and "sessions".

    Args:
        found: The run's manifest, or what this function returned.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is neither.
    """
    trained = [
        {name: str(each[name]) for name in ("code", "cores", "cpu")}
        | {"versions": {str(k): str(x) for k, x in each["versions"].items()}}
        for each in sessions(found)
    ]
    if not trained:
        raise ValueError("a run has at least one session")
    return {name: str(found[name]) for name in ("device", "created")} | {"sessions": trained}


def _by_our_names(algo: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns stored settings by today's names; those of other versions stay as they are."""
    if algo not in ALGORITHMS:
        return settings
    config = ALGORITHMS[algo]
    return {
        config.aliases.get(name, name): value
        for name, value in settings.items()
        if name not in config.only
    }


def _real(value: Any) -> float:
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    """A value for JSON: a float that is not finite becomes None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    return _plain(vars(value)) if isinstance(value, Point) else value


def share(env_id: str, settings: dict[str, Any]) -> str:
    """Returns a key of what the runs of a comparison share: environment and task settings."""
    return json.dumps([env_id, settings], sort_keys=True)


def fixed(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns those of an algorithm's settings that decide what is learned."""
    of_run = RunConfig.names()
    return {name: value for name, value in settings.items() if name not in of_run}


def differing(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the names of the settings that differ, or that only some have."""
    first, *others = settings
    names = dict.fromkeys(name for each in settings for name in each)
    absent = object()
    return [
        name
        for name in names
        if any(other.get(name, absent) != first.get(name, absent) for other in others)
    ]


def setting(settings: dict[str, Any], name: str) -> str:
    """Returns "name=value", or "no name" if the settings, of another version, lack it."""
    return f"{name}={json.dumps(settings[name])}" if name in settings else f"no {name}"


@dataclass(frozen=True)
class Comparison:
    """All runs of an environment.

    Attributes:
        env_id: The environment.
        settings: Task settings that differ from the registered ones, by dotted name.
        goals: Of the environment.
        units: Of the metrics, by name.
        results: The runs, in the order of the table.
    """

    env_id: str
    settings: dict[str, Any]
    goals: tuple[Goal, ...]
    units: dict[str, str]
    results: tuple[Result, ...]

    @cached_property
    def title(self) -> str:
        """The environment, with the task settings that differ from the registered ones."""
        changed = ", ".join(f"env.{name}={value}" for name, value in self.settings.items())
        return f"{self.env_id} ({changed})" if changed else self.env_id

    @cached_property
    def rows(self) -> dict[str, list[Result]]:
        """The runs of each row of the table, by seed: one trainer's, with the same settings.

        The keys are the trainers' names. Where a trainer has several rows, they also say which
        settings differ.
        """
        trainers: dict[tuple[str, str], list[list[Result]]] = {}
        for result in self.results:
            groups = trainers.setdefault((result.trainer, result.algo), [])
            if group := next((g for g in groups if g[0].fixed == result.fixed), None):
                group.append(result)
            else:
                groups.append([result])
        rows = {}
        algorithms = {algo for _, algo in trainers}
        for (trainer, algo), groups in trainers.items():
            names = differing([group[0].fixed for group in groups])
            for group in groups:
                notes = [algo] if len(algorithms) > 1 else []
                notes += [setting(group[0].fixed, name) for name in names]
                label = f"{trainer} ({', '.join(notes)})" if notes else trainer
                rows[label] = sorted(group, key=lambda result: result.seed)
        return rows

    @cached_property
    def stock(self) -> list[dict[str, Any]]:
        """How the final returns of a row and of its library's own loop differ, for each such pair.

        "verdict" is what `equivalence` says, for a margin of 5 % of the own loop's mean return;
        None where a single seed gives no interval.
        """
        pairs = []
        for label, ours in self.rows.items():
            for theirs in self.rows.values():
                names = (ours[0].trainer, ours[0].algo), (theirs[0].trainer, theirs[0].algo)
                if names[1] != (f"{STOCK_PREFIX}{names[0][0]}", names[0][1]):
                    continue
                if ours[0].fixed != theirs[0].fixed:
                    continue
                returns = [[result.mean("return") for result in row] for row in (ours, theirs)]
                gap, half = difference(*returns)
                margin = MARGIN * abs(float(np.mean(returns[1])))
                pair = {"trainer": label, "difference": gap, "half_interval": half}
                shown = None if half is None else equivalence(gap - half, gap + half, margin)
                pairs.append(pair | {"margin": margin, "verdict": shown})
        return pairs

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON."""
        return {
            "env_id": self.env_id,
            "env_config": self.settings,
            "goals": [vars(goal) for goal in self.goals],
            "units": self.units,
            "runs": [result.as_dict(self.goals) for result in self.results],
            "ours_minus_stock": _plain(self.stock),
        }

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Self:
        """Returns the comparison from which `as_dict` made an entry.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it made no such entry.
        """
        goals = [Goal(g["figure"], g["comparison"], float(g["value"])) for g in entry["goals"]]
        return cls(
            env_id=str(entry["env_id"]),
            settings=dict(entry["env_config"]),
            goals=tuple(goals),
            units={str(name): str(unit) for name, unit in entry["units"].items()},
            results=tuple(Result.from_dict(run) for run in entry["runs"]),
        )
