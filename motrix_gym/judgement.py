# SPDX-License-Identifier: Apache-2.0
"""Checks the shapes and types of what a task returns for a step, once per environment."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from motrix_gym.task import Task, TaskError


def check_judgement(
    task: Task,
    n: int,
    terminated: Any,
    terms: Mapping[str, Any],
    metrics: Mapping[str, Any],
    success: Any,
) -> None:
    """Checks shapes and types.

    Args:
        task: the task.
        n: number of rows that made the step.
        terminated: what the task's ``terminated`` gave.
        terms: the same of ``rewards``.
        metrics: the same of ``measure``.
        success: the same of ``success``.

    Raises:
        TaskError: if the reward terms are not those of ``reward_weights``, or a value is no array
            (n,) of truth values or real numbers; the message has the function and the term.
    """
    weights, name = task.config.reward_weights, type(task).__name__
    if terms.keys() != weights.keys():
        odd = ", ".join(sorted(terms.keys() ^ weights.keys()))
        raise TaskError(
            f"{name}.rewards and reward_weights must have the same names; not in both: {odd}"
        )
    _check(f"{name}.terminated", terminated, n, "b")
    if success is not None:
        _check(f"{name}.success", success, n, "b")
    for function, values in ("rewards", terms), ("measure", metrics):
        for key, value in values.items():
            _check(f"{name}.{function}[{key!r}]", value, n, "biuf")


def _check(what: str, value: Any, n: int, kinds: str) -> None:
    array = np.asarray(value)
    if array.shape != (n,):
        raise TaskError(f"{what} gives shape {array.shape}, and it should give ({n},)")
    if array.dtype.kind not in kinds:
        wanted = "bool" if kinds == "b" else "real numbers"
        raise TaskError(f"{what} gives {array.dtype}, and it should give {wanted}")
