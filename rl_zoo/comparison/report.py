# SPDX-License-Identifier: Apache-2.0
"""The report of a comparison, as Markdown."""

import json
import math
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rl_zoo.comparison.results import MARGIN, Comparison, Result, differing, fixed
from rl_zoo.comparison.statistics import iqm_and_interval, mean_and_half
from rl_zoo.statistics import MET, ON_AVERAGE
from rl_zoo.tables import markdown_table


def about(comparisons: Sequence[Comparison], argv: Sequence[str]) -> str:
    """Returns the first part of the Markdown file: what was compared, and how."""
    results = [result for c in comparisons for result in c.results]
    origins = [result.origin for result in results]
    sessions = [session | {"device": o["device"]} for o in origins for session in o["sessions"]]
    machines = sorted(
        {
            f"{s['cpu']}, {s['cores']} core{'s' * (s['cores'] != '1')}, {s['device']}"
            for s in sessions
        }
    )
    dates = sorted({origin["created"][:10] for origin in origins})
    versions: dict[str, set[str]] = {}
    for session in sessions:
        for package, version in session["versions"].items():
            versions.setdefault(package, set()).add(version)
    listed = ", ".join(f"{name} {' or '.join(sorted(found))}" for name, found in versions.items())
    trainers = ", ".join(dict.fromkeys(label for c in comparisons for label in c.rows))
    algorithms = ", ".join(dict.fromkeys(result.algo for result in results))
    final = either(result.episodes for result in results)
    curve = either(result.curve_episodes for result in results)
    mixed = "**Not all on one machine: seconds do not compare.** " if len(machines) > 1 else ""
    without = {result.trainer: result.ignored for result in results if result.ignored}
    ignored = "".join(
        f"\n  Without effect in {name}: {', '.join(names)}." for name, names in without.items()
    )
    return f"""# Comparison of {trainers}: {algorithms}

    {shlex.join(["python", "-m", "rl_zoo.compare", *argv])}

Trained {" to ".join(dict.fromkeys((dates[0], dates[-1])))} on: {"; ".join(machines)}.
{mixed}Versions: {listed}.

![return against environment steps and seconds](comparison.png)

A line is the mean over seeds, its band goes from the lowest to the highest seed. A triangle on the
axis is the mean threshold, where every seed reached it; a dotted line is a goal.

- One block of settings for all trainers; what differs is said under the tables.{ignored}
- Figures are of the last checkpoint's policy, none is picked: deterministic, {final} episodes, the
  same evaluation seeds for all. Over seeds: mean ± 95 % interval (Student's t), and interquartile
  mean with its 95 % interval (bootstrap over seeds).
- A goal is met if all of the 95 % interval of its figure over these episodes meets it (Wilson's for
  a rate, else a bootstrap's), and met on average if only the mean does.
- Threshold: the first of two consecutive checkpoints that both meet all goals on average, over
  {curve} episodes, the last one over {final}. Where a seed has none, the mean is over those that
  have one, and there is no interval.
- Seconds count from the start of the training process, start-up and compilation included,
  evaluations not. Steps/s is of the updates alone.
"""


def summary(comparisons: Sequence[Comparison]) -> str:
    """Returns a table of all environments: goals' figures (or the return), steps and seconds."""
    results = [result for c in comparisons for result in c.results]
    judged = f"({either(r.episodes for r in results)} episodes)"
    curve = f"({either(r.curve_episodes for r in results)} episodes)"
    head = ("environment", "trainer", "result", f"goals met {judged}", "steps", "seconds")
    head += (f"steps to threshold {curve}", f"seconds to threshold {curve}", "steps/s")
    return markdown_table([head, *(row for c in comparisons for row in summary_rows(c))])


def figures(comparison: Comparison) -> list[tuple[str, ...]]:
    """Returns the rows of a table of all figures over seeds, its head first."""
    known = {name for result in comparison.results for name in result.figures}
    names = [name for name in ("return", "success", *comparison.units) if name in known]
    rows = [("trainer", "figure", "seeds", "mean", "interquartile mean", "lowest to highest")]
    for label, results in comparison.rows.items():
        for name in names:
            unit = comparison.units.get(name, "")
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


def summary_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Returns one environment's rows of `summary`."""
    names = dict.fromkeys(goal.figure for goal in comparison.goals) or ["return"]
    rows = []
    for label, results in comparison.rows.items():
        spreads = (f"{name} {_spread([r.mean(name) for r in results])}" for name in names)
        curves = [result for result in results if result.curve]
        reached = [point for r in curves if (point := r.threshold(comparison.goals))]
        row = (
            comparison.title,
            label,
            ", ".join(spreads),
            _goals_met(comparison, results),
            _number(float(np.mean([result.steps for result in results]))),
            _spread([result.seconds for result in results]),
            _reached(comparison, [point.steps for point in reached], len(curves)),
            _reached(comparison, [point.seconds for point in reached], len(curves)),
            _spread([result.steps_per_second for result in results]),
        )
        rows.append(row)
    return rows


def _goals_met(comparison: Comparison, results: Sequence[Result]) -> str:
    if not comparison.goals:
        return "-"
    verdicts = [result.verdict(comparison.goals) for result in results]
    text = f"{verdicts.count(MET)} of {len(results)}"
    on_average = verdicts.count(ON_AVERAGE)
    return f"{text}, {on_average} on average" if on_average else text


def _reached(comparison: Comparison, values: Sequence[float], runs: int) -> str:
    if not (comparison.goals and runs):
        return "-"
    if len(values) == runs:
        return _spread(values)
    mean = f"{_number(float(np.mean(values)))} " if values else ""
    return f"{mean}({len(values)} of {runs} seeds)"


def markdown(comparison: Comparison, notes: Sequence[str] = ()) -> str:
    """Returns the environment's section, with notes on its runs under the table."""
    lines = [f"## {comparison.title}", ""]
    goals = ", ".join(map(str, comparison.goals)) or "none"
    seeds = {label: listed([r.seed for r in results]) for label, results in comparison.rows.items()}
    if len(set(seeds.values())) == 1:
        told = next(iter(seeds.values()))
    else:
        told = "; ".join(f"{numbers} of {label}" for label, numbers in seeds.items())
    lines += [f"Goals: {goals}; {told}.", "", markdown_table(figures(comparison), left=2)]
    notes = [*_differences(comparison), *_stages(comparison), *notes]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    if comparison.stock:
        lines += ["", "Final return, ours minus the library's own loop (95 % interval, Welch):"]
        lines += ["", *map(_verdict_line, comparison.stock), "", STOCK_RULE]
    return "\n".join(lines)


def _differences(comparison: Comparison) -> list[str]:
    """A line for each setting in which trainers differ."""
    lines = []
    for algo in dict.fromkeys(result.algo for result in comparison.results):
        rows = {r[0].trainer: r[0].settings for r in comparison.rows.values() if r[0].algo == algo}
        for name in differing([fixed(settings) for settings in rows.values()]):
            values: dict[str, list[str]] = {}
            for trainer, settings in rows.items():
                value = json.dumps(settings[name]) if name in settings else "none"
                values.setdefault(value, []).append(trainer)
            each = (f"{value} ({', '.join(trainers)})" for value, trainers in values.items())
            lines.append(f"`{name}` differs: {', '.join(each)}.")
    return lines


def _stages(comparison: Comparison) -> list[str]:
    """A line for each run that was trained in stages, on those before the last."""
    lines = []
    for label, results in comparison.rows.items():
        for result in results:
            before = (
                f"{' and '.join(stage['envs'])}, {stage['steps']:,} steps, ended by its "
                f"{stage['ended']}"
                for stage in result.stages
            )
            if told := "; ".join(before):
                lines.append(
                    f"Stages before, counted in steps and seconds (seed {result.seed} of {label}): "
                    f"{told}."
                )
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


def either(numbers: Iterable[int]) -> str:
    """Returns numbers as text, each once: "100", "50 or 100"."""
    return " or ".join(f"{number:,}" for number in sorted(set(numbers)))


def _spread(values: Sequence[float]) -> str:
    mean, half = mean_and_half(values)
    return _number(mean) if half is None else f"{_number(mean)} ± {_number(half, 2)}"


def _middle(values: Sequence[float]) -> str:
    middle, interval = iqm_and_interval(values)
    return f"{_number(middle)} ({' to '.join(map(_number, interval))})" if interval else "-"


def _number(value: float, digits: int = 4) -> str:
    """A figure for the table: `digits` significant ones, and never fewer than the integer part."""
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
