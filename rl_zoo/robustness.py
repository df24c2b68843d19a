# SPDX-License-Identifier: Apache-2.0
"""Evaluations under changed physics: randomised, or with one change at a time."""

from collections.abc import Callable, Iterator
from typing import Any

from rl_zoo.errors import UsageError
from rl_zoo.evaluation import Evaluation
from rl_zoo.tables import table, with_interval

AS_IS = "as it is"


def randomized(env_id: str) -> dict[str, Any]:
    """Returns the settings, by dotted name, of `--randomize` for an environment.

    Raises:
        UsageError: Its task has none.
    """
    from motrix_gym import registration

    settings = registration.make_task(env_id).randomized
    if not settings:
        raise UsageError(f"--randomize: the task of {env_id} names no physics to randomise")
    return dict(settings)


def robustness(
    env_id: str, evaluate: Callable[[dict[str, Any]], Evaluation]
) -> Iterator[tuple[str, Evaluation]]:
    """Yields an evaluation without any change, and one for each change that a task names.

    Args:
        env_id: The environment.
        evaluate: Measures the policy with settings of the task by dotted name.

    Raises:
        UsageError: Its task names no changes.
    """
    from motrix_gym import registration

    changes = registration.make_task(env_id).changes
    if not changes:
        raise UsageError(f"--robustness: the task of {env_id} names no changes of the physics")
    for label, settings in {AS_IS: {}, **changes}.items():
        yield label, evaluate(dict(settings))


def as_table(found: list[tuple[str, Evaluation]]) -> str:
    """Returns a row for each change: means, and in brackets 95 % intervals."""
    _, first = found[0]
    names = list(dict.fromkeys([*(goal.figure for goal in first.goals), *sorted(first.rates)]))
    rows = [["change", *(names or ["return"])]]
    for label, result in found:
        cells = [result.summaries[name] for name in rows[0][1:]]
        rows.append([label, *(with_interval(x.mean, x.low, x.high) for x in cells)])
    return table(rows)
