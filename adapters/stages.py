# SPDX-License-Identifier: Apache-2.0
"""The setting `stages`: what one policy learns, one stage after the other.

max_env_steps: 5e6
stages:
  - {env: Mine/Flat-v0, goal: success >= 0.9}
  - {env: {Mine/Flat-v0: 0.25, Mine/Rough-v0: 0.75}, max_env_steps: 2e7, learning_rate: 3e-4}
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.run_config import RunConfig
from motrix_gym import Goal
from motrix_gym.names import did_you_mean, shown
from motrix_gym.settings import FieldError, is_number

ENV, GOAL = "env", "goal"
# Settings that are one for all stages: those of the run, and those of the policy's form.
OF_ALL = (
    *(name for name in RunConfig.names() if name != "check_point_interval"),
    "stages",
    "initial_policy",
    "policy_hidden_layer_sizes",
    "activation",
    "normalize_observations",
)
TOLERANCE = 1e-6  # of the sum of shares


@dataclass(frozen=True)
class Stage:
    """A stage of a training.

    Attributes:
        rows: How many rows of the training each environment has, by id, in order.
        goal: Ends the stage once every environment meets it; None: its budget ends it.
        config: The settings of its training, an `AlgorithmConfig`. All but the first have no
            `initial_policy`, since they start from the policy of the stage before.
    """

    rows: dict[str, int]
    goal: Goal | None
    config: Any


def read_stages(config: Any) -> tuple[Stage, ...]:
    """Returns the stages of an `AlgorithmConfig`; () if it has none.

    Raises:
        FieldError: (a ValueError) a stage names no environment, or its shares, its goal or one of
            its settings is wrong.
    """
    stages = []
    for number, values in enumerate(config.stages or (), 1):
        try:
            stages.append(_stage(config, values, first=number == 1))
        except FieldError as error:
            raise FieldError("stages", f"stage {number}: {error}") from error
    return tuple(stages)


def _stage(config: Any, values: Mapping[str, Any], first: bool) -> Stage:
    own = {name: value for name, value in values.items() if name not in (ENV, GOAL)}
    allowed = [name for name in config.names() if name not in OF_ALL]
    for name in own:
        if name in OF_ALL:
            raise _error(f"{name} is one for all stages: set it beside `stages`")
        if config.aliases.get(name, name) not in (*allowed, *config.only):
            names = (ENV, GOAL, *allowed)
            hint = did_you_mean(name, (*names, *config.aliases))
            raise _error(f"no setting {shown(name)}{hint}; allowed are: {', '.join(names)}")
    initial = config.initial_policy if first else None
    resolved = config.replace(stages=None, initial_policy=initial, **own)
    shares = _shares(values.get(ENV))
    return Stage(_rows(shares, resolved.num_envs), _goal(values.get(GOAL)), resolved)


def _shares(env: Any) -> dict[str, float]:
    """Returns the share of each environment, by id."""
    if isinstance(env, str) and env:
        return {env: 1.0}
    if not (isinstance(env, Mapping) and env and all(isinstance(name, str) for name in env)):
        given = "is missing" if env is None else f"is {shown(env)}"
        raise _error(f"env {given}: an id, or ids with their shares, is needed")
    for name, share in env.items():
        if not (is_number(share) and share > 0):
            raise _error(f"the share of {name} must be a positive number, got {shown(share)}")
    if abs((total := sum(env.values())) - 1.0) > TOLERANCE:
        raise _error(f"the shares add up to {total:g}, not to 1: {shown(dict(env))}")
    return {name: float(share) for name, share in env.items()}


def _rows(shares: dict[str, float], num_envs: int) -> dict[str, int]:
    """Returns shares as whole numbers of rows; what rounding leaves goes to the largest rests."""
    rows = {name: math.floor(share * num_envs + TOLERANCE) for name, share in shares.items()}
    rests = sorted(shares, key=lambda name: rows[name] - shares[name] * num_envs)
    for name in rests[: num_envs - sum(rows.values())]:
        rows[name] += 1
    if none := [name for name, count in rows.items() if not count]:
        raise _error(
            f"{none[0]} has a share of {shares[none[0]]:g}, which is no row of num_envs={num_envs}"
        )
    return rows


def _goal(text: Any) -> Goal | None:
    """Returns the goal that a text such as "success >= 0.9" says."""
    if text is None:
        return None
    parts = re.fullmatch(r"\s*(\S+)\s*(>=|<=)\s*(\S+)\s*", text) if isinstance(text, str) else None
    try:
        if parts and math.isfinite(value := float(parts[3])):
            return Goal(parts[1], parts[2], value)
    except ValueError:
        pass
    raise _error(f"goal must be a figure and a bound, such as success >= 0.9, got {shown(text)}")


def _error(message: str) -> FieldError:
    return FieldError("stages", message)
