# SPDX-License-Identifier: Apache-2.0
"""An evaluation's episodes by groups, such as those on each kind of ground."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rl_zoo.errors import UsageError
from rl_zoo.evaluation import Evaluation, check_figures
from rl_zoo.statistics import summarise
from rl_zoo.tables import table, with_interval

MOST = 200  # groups; a longer table is not shown


def groups(result: Evaluation, names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the figures of the episodes that share the values of some figures.

    Args:
        result: An evaluation.
        names: Figures by which to group, metrics for example.

    Returns:
        Plain JSON for each group, in order: "group", the values of `names`, as words where the task
        has words for them; "episodes", how many; and "figures", the rates and the figures of goals.

    Raises:
        UsageError: There is no such figure, or it has too many values.
    """
    check_figures(names, result.figures)
    keys = np.stack([np.round(result.figures[name], 4) for name in names], axis=1)
    values, member = np.unique(keys, axis=0, return_inverse=True)
    if len(values) > MOST:
        given = " and ".join(names)
        raise UsageError(f"{given}: {len(values)} groups, at most {MOST} are shown")
    wanted = [*sorted(result.rates), *(goal.figure for goal in result.goals)]
    found = []
    for index, value in enumerate(values):
        rows = member.reshape(-1) == index
        figures = {
            name: summarise(result.figures[name][rows], name in result.rates).as_dict()
            for name in dict.fromkeys(wanted)
        }
        group = {name: result.word(name, v) for name, v in zip(names, value, strict=True)}
        found.append({"group": group, "episodes": int(rows.sum()), "figures": figures})
    return found


def as_table(found: Sequence[dict[str, Any]]) -> str:
    """Returns the groups as a table for the user: means, and in brackets 95 % intervals."""
    names, figures = list(found[0]["group"]), list(found[0]["figures"])
    rows = [[*names, "episodes", *figures]]
    for entry in found:
        cells = [with_interval(x["mean"], x["low"], x["high"]) for x in entry["figures"].values()]
        rows.append([*map(str, entry["group"].values()), f"{entry['episodes']:,}", *cells])
    return table(rows, left=len(names))
