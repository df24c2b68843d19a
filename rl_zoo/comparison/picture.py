# SPDX-License-Identifier: Apache-2.0
"""The picture of a comparison: returns against steps and seconds."""

import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from adapters import STOCK, counterpart
from rl_zoo.comparison.results import Comparison, Point, Result

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw(comparisons: Sequence[Comparison]) -> bytes:
    """Returns a PNG: a row per environment, return against environment steps and against seconds.

    A line is the mean over seeds, and its band goes from the lowest to the highest seed. A triangle
    on the axis is the mean of the seeds' `Result.threshold`, if each seed has one. Seconds are the
    mean over seeds at the same steps. Where no run has a curve, a point shows the mean of the final
    policies.
    """
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

    Where the seeds have checkpoints at different steps, values are interpolated linearly.
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
