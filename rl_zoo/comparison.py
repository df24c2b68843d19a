# SPDX-License-Identifier: Apache-2.0
"""What `motrix compare` tells: figures over seeds as Markdown, as a picture and as plain JSON."""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adapters import STOCK, STOCK_PREFIX, counterpart
from motrix_gym import Goal

# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom (any table, such as NIST's).
T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
TOLERANCE = 0.01  # of the stock loop's return: what is less makes no difference
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Point:
    """A checkpoint and its evaluation.

    Attributes:
        steps: Environment steps made.
        seconds: Of the run's clock, start-up included.
        figures: Means over the episodes; None where not finite.
        faults: Episodes whose simulation diverged.
    """

    steps: int
    seconds: float
    figures: dict[str, float | None]
    faults: int

    def meets(self, goals: Sequence[Goal]) -> bool:
        """Whether there are goals and all are met."""
        means = [self.figures[goal.figure] for goal in goals]
        met = [m is not None and g.met(m) for g, m in zip(goals, means, strict=True)]
        return bool(met) and all(met) and not self.faults


@dataclass(frozen=True)
class Result:
    """One run: its facts, and its checkpoints by steps; the last one is the final policy."""

    folder: str
    trainer: str
    seed: int
    steps_per_second: float
    peak_memory_mib: float
    curve: tuple[Point, ...]

    @property
    def final(self) -> Point:
        """The final policy's evaluation."""
        return self.curve[-1]

    def threshold(self, goals: Sequence[Goal]) -> Point | None:
        """The first checkpoint that meets all goals."""
        return next((point for point in self.curve if point.meets(goals)), None)


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns the mean and half its 95 % interval (Student's t); None for a single value."""
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return mean, None
    return mean, _t(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)


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


@dataclass(frozen=True)
class Comparison:
    """All runs of an environment.

    Attributes:
        env_id: The environment.
        settings: Task settings that differ from the registered ones, by dotted name.
        goals: Of the environment.
        units: Of the metrics, by name.
        trainers: Results by trainer, in the table's order; the same seeds for each.
    """

    env_id: str
    settings: dict[str, Any]
    goals: tuple[Goal, ...]
    units: dict[str, str]
    trainers: dict[str, list[Result]]

    @property
    def seeds(self) -> list[int]:
        """The seeds of each trainer."""
        return sorted(result.seed for result in next(iter(self.trainers.values())))

    @cached_property
    def stock(self) -> list[dict[str, Any]]:
        """For each trainer whose library's own loop was run too, how their final returns differ.

        `not_worse`: the 95 % interval of ours minus theirs reaches zero, or the difference is
        within a hundredth of the stock return; None where one seed has no interval.
        """
        pairs = []
        for name in self.trainers:
            if f"{STOCK_PREFIX}{name}" in self.trainers:
                ours, theirs = self._returns(name), self._returns(f"{STOCK_PREFIX}{name}")
                gap, half = difference(ours, theirs)
                close = abs(gap) <= TOLERANCE * abs(float(np.mean(theirs)))
                reaches = None if half is None else gap + half >= 0
                pair = {"trainer": name, "difference": gap, "half_interval": half}
                pairs.append(pair | {"not_worse": close or reaches})
        return pairs

    def _returns(self, trainer: str) -> list[float]:
        return [_figure("return")(result) for result in self.trainers[trainer]]

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON."""
        return {
            "env_id": self.env_id,
            "env_config": self.settings,
            "goals": [str(goal) for goal in self.goals],
            "seeds": self.seeds,
            "trainers": {
                name: [self._run(result) for result in results]
                for name, results in self.trainers.items()
            },
            "ours_minus_stock": self.stock,
        }

    def _run(self, result: Result) -> dict[str, Any]:
        reached = result.threshold(self.goals)
        return {
            "folder": result.folder,
            "seed": result.seed,
            "steps_per_second": result.steps_per_second,
            "peak_memory_mib": result.peak_memory_mib,
            "steps": result.final.steps,
            "seconds": result.final.seconds,
            "goals_met": result.final.meets(self.goals),
            "steps_to_threshold": reached and reached.steps,
            "seconds_to_threshold": reached and reached.seconds,
            "curve": [vars(point) for point in result.curve],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Returns all figures, means over seeds: the head of the table, and a line per trainer."""
        first = next(iter(self.trainers.values()))[0].final.figures
        columns: dict[str, Callable[[Result], float]] = {"return": _figure("return")}
        if "success" in first:
            columns["success"] = _figure("success")
        for name, unit in self.units.items():
            columns[f"{name} ({unit})" if unit not in ("", "1") else name] = _figure(name)
        rows = [("trainer", "seeds", *columns)]
        for name, results in self.trainers.items():
            spreads = (_spread([figure(r) for r in results]) for figure in columns.values())
            rows.append((name, str(len(results)), *spreads))
        return rows

    def summary(self) -> list[tuple[str, ...]]:
        """Returns its lines of `summary`, one per trainer."""
        names = dict.fromkeys(goal.figure for goal in self.goals) or ["return"]
        rows = []
        for trainer, results in self.trainers.items():
            spreads = (f"{name} {_spread([_figure(name)(r) for r in results])}" for name in names)
            met = sum(result.final.meets(self.goals) for result in results)
            reached = [point for r in results if (point := r.threshold(self.goals))]
            row = (
                self.env_id,
                trainer,
                ", ".join(spreads),
                f"{met} of {len(results)}" if self.goals else "-",
                _number(results[0].final.steps),
                _spread([result.final.seconds for result in results]),
                self._reached([point.steps for point in reached], len(results)),
                self._reached([point.seconds for point in reached], len(results)),
                _spread([result.steps_per_second for result in results]),
            )
            rows.append(row)
        return rows

    def _reached(self, values: Sequence[float], runs: int) -> str:
        if not self.goals:
            return "-"
        if len(values) == runs:
            return _spread(values)
        mean = f"{_number(float(np.mean(values)))} " if values else ""
        return f"{mean}({len(values)} of {runs} seeds)"

    def markdown(self) -> str:
        """Returns the environment's section."""
        lines = [f"## {self.env_id}", ""]
        goals = ", ".join(map(str, self.goals)) or "none"
        lines += [f"Goals: {goals}. {_seeds(self.seeds)}.", ""]
        if self.settings:
            changed = ", ".join(f"`env.{name}={value}`" for name, value in self.settings.items())
            lines += [f"With {changed}.", ""]
        lines.append(_table(self.rows()))
        if self.stock:
            lines += [
                "",
                "Final return, ours minus the library's own loop (95 % interval, Welch):",
                "",
            ]
        for pair in self.stock:
            gap, half = pair["difference"], pair["half_interval"]
            bounds = (
                "no interval" if half is None else f"{_signed(gap - half)} to {_signed(gap + half)}"
            )
            verdict = {True: "not worse", False: "WORSE", None: "not known"}[pair["not_worse"]]
            lines.append(f"- {pair['trainer']}: {_signed(gap)} ({bounds}): {verdict}")
        if self.stock:
            rule = "the interval reaches zero, or the difference is within 1 % of the stock return"
            lines += ["", f"*Not worse*: {rule}."]
        return "\n".join(lines)


def summary(comparisons: Sequence[Comparison]) -> str:
    """Returns a table of all environments: what has a goal, or the return, and what it took."""
    head = ("environment", "trainer", "result", "goals met", "steps", "seconds")
    head += ("steps to threshold", "seconds to threshold", "steps/s")
    return _table([head, *(row for c in comparisons for row in c.summary())])


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Returns a Markdown table, its head first."""
    head, *body = rows
    dashes = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, dashes, *body))


def _figure(name: str) -> Callable[[Result], float]:
    def read(result: Result) -> float:
        value = result.final.figures[name]
        return math.nan if value is None else value

    return read


def _spread(values: Sequence[float]) -> str:
    mean, half = mean_and_half(values)
    return _number(mean) if half is None else f"{_number(mean)} ± {_number(half, 2)}"


def _number(value: float, digits: int = 4) -> str:
    """A figure for the table: that many digits, but all that are left of the point."""
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{_number(value)}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def picture(comparisons: Sequence[Comparison]) -> bytes:
    """Returns a PNG: a row per environment, return against environment steps and against seconds.

    A line is the mean over seeds and its band goes from the lowest to the highest; a triangle on
    the axis is the mean threshold, if each seed reached it. Seconds are the seeds' mean at the same
    steps.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(9, 3.1 * len(comparisons)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(comparisons), 2, squeeze=False, sharey="row")
    names = list(dict.fromkeys(name for c in comparisons for name in c.trainers))
    ours = list(dict.fromkeys(counterpart(name) for name in names))
    for comparison, (left, right) in zip(comparisons, grid, strict=True):
        for name, results in comparison.trainers.items():
            colour = COLOURS[ours.index(counterpart(name)) % len(COLOURS)]
            style = "--" if name in STOCK else "-"
            steps, seconds, returns = _curves(results)
            reached = [point for r in results if (point := r.threshold(comparison.goals))]
            for axes, x, at in (
                (left, steps, [point.steps for point in reached]),
                (right, seconds, [point.seconds for point in reached]),
            ):
                low, high = returns.min(axis=0), returns.max(axis=0)
                axes.plot(x, returns.mean(axis=0), style, color=colour, linewidth=1.6, label=name)
                axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
                if len(at) == len(results):
                    on_axis = {"transform": axes.get_xaxis_transform(), "clip_on": False}
                    mark = {"color": colour, "markeredgecolor": "white", "markersize": 8}
                    axes.plot(np.mean(at), 0.0, "^", **mark, **on_axis)
        for goal in comparison.goals:
            if goal.figure == "return":
                for axes in (left, right):
                    axes.axhline(goal.value, color="0.45", linewidth=0.9, linestyle=":")
        left.set_title(comparison.env_id, loc="left", fontsize=10, fontweight="bold")
        left.set_ylabel("return")
        left.set_xlabel("environment steps")
        right.set_xlabel("seconds, start-up included")
        left.xaxis.set_major_formatter(EngFormatter(sep=""))
        for axes in (left, right):
            axes.set_xlim(left=0)
            axes.grid(color="0.92", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0][1].legend(frameon=False, fontsize=9, loc="lower right")
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

    returns = read(lambda point: math.nan if (r := point.figures["return"]) is None else r)
    return steps, read(lambda point: point.seconds).mean(axis=0), returns
