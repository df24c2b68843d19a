# SPDX-License-Identifier: Apache-2.0
"""What `motrix compare` tells: figures over seeds as Markdown, as a picture and as plain JSON."""

import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from adapters import ALGORITHMS, STOCK, STOCK_PREFIX, counterpart
from adapters.run_config import RunConfig
from motrix_gym import Goal
from rl_zoo.runs import sessions
from rl_zoo.statistics import MET, NOT_MET, ON_AVERAGE, Summary, interquartile_mean, verdict

# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom (any table, such as NIST's).
T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
RESAMPLES = 50_000  # of the bootstrap over seeds, as in rliable
# Of the stock loop's mean return: smaller differences count as none. On most tasks the seeds of one
# trainer differ by more, so nobody would choose a trainer for it. Set on 2026-11-24, after the
# runs of 2026-11-21 in docs/parity.md were known: only for later ones is it chosen in advance.
MARGIN = 0.05
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Point:
    """A checkpoint and its evaluation.

    Attributes:
        steps: Environment steps made.
        seconds: Of the run's clock, start-up included.
        figures: Means over the episodes; NaN where not known.
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
        ignored: Those that are on and without effect in the trainer.
        origin: From the run's manifest: "device", "created", and "sessions" as of `runs.sessions`.
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

    @property
    def fixed(self) -> dict[str, Any]:
        """The settings that decide what is learned."""
        return fixed(self.settings)

    def mean(self, figure: str) -> float:
        """The final policy's mean of a figure; NaN if it is not known."""
        return self.figures[figure].mean if figure in self.figures else math.nan

    def verdicts(self, goals: Sequence[Goal]) -> list[str]:
        """How the final policy meets each goal."""
        return [verdict(goal, self.figures[goal.figure], self.faults) for goal in goals]

    def verdict(self, goals: Sequence[Goal]) -> str:
        """The worst of the verdicts."""
        found = self.verdicts(goals)
        return next((worst for worst in (NOT_MET, ON_AVERAGE) if worst in found), MET)

    def threshold(self, goals: Sequence[Goal]) -> Point | None:
        """The first of two consecutive checkpoints that both meet all goals on average."""
        pairs = zip(self.curve, self.curve[1:], strict=False)
        return next((p for p, after in pairs if p.meets(goals) and after.meets(goals)), None)

    def as_dict(self, goals: Sequence[Goal]) -> dict[str, Any]:
        """Returns plain JSON, with what follows from the goals."""
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
        """Returns what `as_dict` was made from.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it was not.
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
            **values,
        )


def read_figures(figures: dict[str, Any]) -> dict[str, Summary]:
    """Returns figures from what `Summary.as_dict` made of them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: they are not.
    """
    return {
        str(figure): Summary(*(_real(x[name]) for name in Summary._fields))
        for figure, x in figures.items()
    }


def read_origin(found: dict[str, Any]) -> dict[str, Any]:
    """Returns where a run comes from, by its manifest, or by what this made of it.

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
    """A value as JSON has it: None for what is not a finite number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    return _plain(vars(value)) if isinstance(value, Point) else value


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
    """Returns `name=value`; "no name" if it is not among the settings, as in another version."""
    return f"{name}={json.dumps(settings[name])}" if name in settings else f"no {name}"


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns the mean and half its 95 % interval (Student's t); None for a single value."""
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return mean, None
    return mean, _t(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)


def iqm_and_interval(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Returns the interquartile mean over runs and its 95 % interval; None for a single run.

    As in Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    NeurIPS 2021: the mean of the middle half, and the percentile interval of a bootstrap that draws
    runs with replacement within each task. A row of the table is of one task, hence of one stratum.
    Their library, rliable, is not used: these lines would bring scipy, pandas, seaborn and arch.
    """
    scores = np.array(values, float)
    middle = float(interquartile_mean(scores))
    if len(scores) == 1:
        return middle, None
    draws = np.random.default_rng(0).integers(len(scores), size=(RESAMPLES, len(scores)))
    low, high = np.percentile(interquartile_mean(scores[draws]), [2.5, 97.5])
    return middle, (float(low), float(high))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float | None]:
    """Returns the difference of two means and half its 95 % interval (Welch).

    The interval is None if either side has a single value, or one that is not finite. Degrees of
    freedom are rounded down.
    """
    gap = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) == 1:
        return gap, None
    parts = [(float(np.var(x, ddof=1)) / len(x), len(x) - 1) for x in (ours, theirs)]
    total = sum(part for part, _ in parts)
    if not math.isfinite(total):
        return gap, None
    if total == 0:
        return gap, 0.0
    freedom = total**2 / sum(part**2 / df for part, df in parts)
    return gap, _t(int(freedom)) * math.sqrt(total)


def _t(freedom: int) -> float:
    return T[min(max(freedom, 1), len(T)) - 1]  # beyond the table, the last: slightly too wide


def equivalence(low: float, high: float, margin: float) -> str:
    """Returns what the interval of a difference, ours minus theirs, shows.

    "equivalent": all of it is within the margin. "not worse": all of it is above minus the margin
    (non-inferiority). "worse": all of it is below zero, and it leaves the margin. "not shown to be
    worse": it leaves the margin, but reaches zero; more seeds are needed to tell.
    """
    if low >= -margin:
        return "equivalent" if high <= margin else "not worse"
    return "worse" if high < 0 else "not shown to be worse"


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
        """The runs by row of the table: those of a trainer with the same settings, by seed.

        Where a trainer has several rows, their names say what differs.
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
                notes += [setting(group[0].settings, name) for name in names]
                label = f"{trainer} ({', '.join(notes)})" if notes else trainer
                rows[label] = sorted(group, key=lambda result: result.seed)
        return rows

    @cached_property
    def stock(self) -> list[dict[str, Any]]:
        """For each row with its library's own loop beside it, how their final returns differ.

        `verdict` is one of `equivalence`, for a margin of 5 % of the stock loop's mean return; None
        where one seed has no interval.
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
        """Returns what `as_dict` was made from.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it was not.
        """
        goals = [Goal(g["figure"], g["comparison"], float(g["value"])) for g in entry["goals"]]
        return cls(
            env_id=str(entry["env_id"]),
            settings=dict(entry["env_config"]),
            goals=tuple(goals),
            units={str(name): str(unit) for name, unit in entry["units"].items()},
            results=tuple(Result.from_dict(run) for run in entry["runs"]),
        )

    def figures(self) -> list[tuple[str, ...]]:
        """Returns all figures over seeds: the head of the table, and a line per row and figure."""
        known = {name for result in self.results for name in result.figures}
        names = [name for name in ("return", "success", *self.units) if name in known]
        rows = [("trainer", "figure", "seeds", "mean", "interquartile mean", "lowest to highest")]
        for label, results in self.rows.items():
            for name in names:
                unit = self.units.get(name, "")
                values = [result.mean(name) for result in results]
                rows.append(
                    (
                        label,
                        f"{name} ({unit})" if unit not in ("", "1") else name,
                        str(len(results)),
                        _spread(values),
                        _middle(values),
                        f"{_number(min(values))} to {_number(max(values))}",
                    )
                )
        return rows

    def summary(self) -> list[tuple[str, ...]]:
        """Returns its lines of `summary`, one per row."""
        names = dict.fromkeys(goal.figure for goal in self.goals) or ["return"]
        rows = []
        for label, results in self.rows.items():
            spreads = (f"{name} {_spread([r.mean(name) for r in results])}" for name in names)
            curves = [result for result in results if result.curve]
            reached = [point for r in curves if (point := r.threshold(self.goals))]
            row = (
                self.title,
                label,
                ", ".join(spreads),
                self._goals_met(results),
                _number(float(np.mean([result.steps for result in results]))),
                _spread([result.seconds for result in results]),
                self._reached([point.steps for point in reached], len(curves)),
                self._reached([point.seconds for point in reached], len(curves)),
                _spread([result.steps_per_second for result in results]),
            )
            rows.append(row)
        return rows

    def _goals_met(self, results: Sequence[Result]) -> str:
        if not self.goals:
            return "-"
        verdicts = [result.verdict(self.goals) for result in results]
        text = f"{verdicts.count(MET)} of {len(results)}"
        on_average = verdicts.count(ON_AVERAGE)
        return f"{text}, {on_average} on average" if on_average else text

    def _reached(self, values: Sequence[float], runs: int) -> str:
        if not (self.goals and runs):
            return "-"
        if len(values) == runs:
            return _spread(values)
        mean = f"{_number(float(np.mean(values)))} " if values else ""
        return f"{mean}({len(values)} of {runs} seeds)"

    def markdown(self, notes: Sequence[str] = ()) -> str:
        """Returns the environment's section, with notes on its runs under the table."""
        lines = [f"## {self.title}", ""]
        goals = ", ".join(map(str, self.goals)) or "none"
        seeds = {label: listed([r.seed for r in results]) for label, results in self.rows.items()}
        if len(set(seeds.values())) == 1:
            told = next(iter(seeds.values()))
        else:
            told = "; ".join(f"{numbers} of {label}" for label, numbers in seeds.items())
        lines += [f"Goals: {goals}; {told}.", "", _table(self.figures(), left=2)]
        notes = [*self._differences(), *notes]
        lines += ["", *(f"- {note}" for note in notes)] if notes else []
        if self.stock:
            lines += ["", "Final return, ours minus the library's own loop (95 % interval, Welch):"]
            lines += ["", *map(_verdict_line, self.stock), "", STOCK_RULE]
        return "\n".join(lines)

    def _differences(self) -> list[str]:
        """What the settings of different trainers differ in."""
        lines = []
        for algo in dict.fromkeys(result.algo for result in self.results):
            rows = {r[0].trainer: r[0].settings for r in self.rows.values() if r[0].algo == algo}
            for name in differing([fixed(settings) for settings in rows.values()]):
                values: dict[str, list[str]] = {}
                for trainer, settings in rows.items():
                    value = json.dumps(settings[name]) if name in settings else "none"
                    values.setdefault(value, []).append(trainer)
                each = (f"{value} ({', '.join(trainers)})" for value, trainers in values.items())
                lines.append(f"`{name}` differs: {', '.join(each)}.")
        return lines


STOCK_RULE = (
    f"The margin is {MARGIN:.0%} of the own loop's mean return. *Equivalent*: the interval is "
    "within the margin. *Not worse*: it is above minus the margin. *Worse*: it is below zero, and "
    "leaves the margin. *Not shown to be worse*: it leaves the margin, but reaches zero."
)


def _verdict_line(pair: dict[str, Any]) -> str:
    gap, half, margin = pair["difference"], pair["half_interval"], pair["margin"]
    interval = "no interval" if half is None else f"{_signed(gap - half)} to {_signed(gap + half)}"
    shown = pair["verdict"] or "not known"
    return f"- {pair['trainer']}: {_signed(gap)} ({interval}; margin {_number(margin)}): {shown}"


def summary(comparisons: Sequence[Comparison]) -> str:
    """Returns a table of all environments: what has a goal, or the return, and what it took."""
    results = [result for c in comparisons for result in c.results]
    judged = f"({either(r.episodes for r in results)} episodes)"
    curve = f"({either(r.curve_episodes for r in results)} episodes)"
    head = ("environment", "trainer", "result", f"goals met {judged}", "steps", "seconds")
    head += (f"steps to threshold {curve}", f"seconds to threshold {curve}", "steps/s")
    return _table([head, *(row for c in comparisons for row in c.summary())])


def either(numbers: Iterable[int]) -> str:
    """Returns the different ones of some numbers: "100", "50 or 100"."""
    return " or ".join(f"{number:,}" for number in sorted(set(numbers)))


def _table(rows: Sequence[tuple[str, ...]], left: int = 1) -> str:
    """Returns a Markdown table, its head first; all but the first columns to the right."""
    head, *body = rows
    dashes = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, dashes, *body))


def _spread(values: Sequence[float]) -> str:
    mean, half = mean_and_half(values)
    return _number(mean) if half is None else f"{_number(mean)} ± {_number(half, 2)}"


def _middle(values: Sequence[float]) -> str:
    middle, interval = iqm_and_interval(values)
    return f"{_number(middle)} ({' to '.join(map(_number, interval))})" if interval else "-"


def _number(value: float, digits: int = 4) -> str:
    """A figure for the table: that many digits, but all that are left of the point."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{_number(value)}"


def listed(seeds: Sequence[int]) -> str:
    """Seeds in order: "seed 3", "seeds 0, 2, 5", "seeds 100 to 109"."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def picture(comparisons: Sequence[Comparison]) -> bytes:
    """Returns a PNG: a row per environment, return against environment steps and against seconds.

    A line is the mean over seeds and its band goes from the lowest to the highest; a triangle on
    the axis is the mean threshold, if each seed reached it. Seconds are the seeds' mean at the same
    steps. Where no run has a curve, a point is the mean of the final policies.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(9, 3.1 * len(comparisons)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(comparisons), 2, squeeze=False, sharey="row")
    colours: dict[str, str] = {}  # a trainer's and its library's own loop's is the same
    told: set[str] = set()
    for comparison, (left, right) in zip(comparisons, grid, strict=True):
        for label, results in comparison.rows.items():
            free = COLOURS[len(colours) % len(COLOURS)]
            colour = colours.setdefault(counterpart(label), free)
            style = "--" if results[0].trainer in STOCK else "-"
            if not (curves := [result for result in results if result.curve]):
                end = float(np.mean([result.mean("return") for result in results]))
                for axes, at in (
                    (left, [result.steps for result in results]),
                    (right, [result.seconds for result in results]),
                ):
                    axes.plot(np.mean(at), end, "o", color=colour, label=label)
                continue
            steps, seconds, returns = _curves(curves)
            reached = [point for r in curves if (point := r.threshold(comparison.goals))]
            for axes, x, at in (
                (left, steps, [point.steps for point in reached]),
                (right, seconds, [point.seconds for point in reached]),
            ):
                low, high = returns.min(axis=0), returns.max(axis=0)
                axes.plot(x, returns.mean(axis=0), style, color=colour, linewidth=1.6, label=label)
                axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
                if len(at) == len(curves):
                    on_axis = {"transform": axes.get_xaxis_transform(), "clip_on": False}
                    mark = {"color": colour, "markeredgecolor": "white", "markersize": 8}
                    axes.plot(np.mean(at), 0.0, "^", **mark, **on_axis)
        for goal in comparison.goals:
            if goal.figure == "return":
                for axes in (left, right):
                    axes.axhline(goal.value, color="0.45", linewidth=0.9, linestyle=":")
        left.set_title(comparison.title, loc="left", fontsize=10, fontweight="bold")
        left.set_ylabel("return")
        left.set_xlabel("environment steps")
        right.set_xlabel("seconds, start-up included")
        left.xaxis.set_major_formatter(EngFormatter(sep=""))
        for axes in (left, right):
            axes.set_xlim(left=0)
            axes.grid(color="0.92", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        if comparison.rows.keys() - told:
            right.legend(frameon=False, fontsize=9, loc="lower right")
            told |= comparison.rows.keys()
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _curves(results: Sequence[Result]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns steps (points,), the seeds' mean seconds there, and returns (seeds, points).

    Where the seeds' checkpoints are of different steps, values between two are interpolated.
    """
    all_steps = [np.array([point.steps for point in result.curve]) for result in results]
    low, high = max(steps[0] for steps in all_steps), min(steps[-1] for steps in all_steps)
    steps = np.unique(np.concatenate(all_steps))
    steps = steps[(low <= steps) & (steps <= high)]

    def read(value: Callable[[Point], float]) -> np.ndarray:
        rows = [
            np.interp(steps, own, [value(point) for point in result.curve])
            for own, result in zip(all_steps, results, strict=True)
        ]
        return np.array(rows)

    returns = read(lambda point: point.figures.get("return", math.nan))
    return steps, read(lambda point: point.seconds).mean(axis=0), returns
