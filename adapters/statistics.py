# SPDX-License-Identifier: Apache-2.0
"""RolloutStatistics: rewards, episodes and metrics of a vector environment, by TensorBoard tag."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.ranks import ALONE, Ranks

RETURN = "Reward / Total reward"
COUNT = "Episode / Count"
RATES = ("Episode / Success rate", "Episode / Terminated rate")  # a mean says it all


class RolloutStatistics:
    """Gathers step by step what `summary()` gives out once per rollout.

    Tags, each with " (max)", " (min)" and " (mean)" over all environments and steps since the last
    summary, or over all episodes that ended since then:

        Reward / Instantaneous reward   Reward / Total reward
        Reward Instant / <term>         Reward Total/ <term>
        metrics / <metric>              Episode / Total timesteps

    and as plain shares of the episodes that ended: `Episode / Success rate` (by `info["success"]`
    at the last step) and `Episode / Terminated rate`. `Episode / Count` is their number; while it
    is 0 there are no other tags of episodes.

    Where several environments are side by side, each has all of these tags, after its name and a
    "/". Those without a name are then of all rows, without reward terms and metrics, in which the
    environments differ.

    Args:
        num_envs: Rows of the environment.
        time_limit: Steps of a whole episode, one number or (num_envs,). Episodes that are truncated
            after fewer, since their age was above 0 when they began, are left out of the tags of
            episodes. With 0 all count.
        rows: The rows of each environment by name, where there are several.
    """

    def __init__(
        self,
        num_envs: int,
        time_limit: int | np.ndarray = 0,
        rows: Mapping[str, slice] | None = None,
    ):
        self.num_envs = num_envs
        self.time_limit = time_limit
        self._rows = dict(rows or {})
        self._each = {
            name: RolloutStatistics(
                own.stop - own.start, np.broadcast_to(time_limit, num_envs)[own]
            )
            for name, own in self._rows.items()
        }
        self._running: dict[
            str, np.ndarray
        ] = {}  # tag -> sum over the episode under way, (num_envs,)
        self._window: dict[
            str, np.ndarray
        ] = {}  # tag -> count, sum, min, max since the last summary

    def step(
        self,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        info: dict[str, Any],
        rows: np.ndarray | None = None,
    ) -> None:
        """Takes in what `env.step` returned.

        Args:
            reward: (num_envs,) rewards.
            terminated: (num_envs,) bool.
            truncated: (num_envs,) bool.
            info: Read are `reward_terms` and `metrics` (name -> (num_envs,) values of the step,
                before any reset) and `success` ((num_envs,) bool); each may be missing.
            rows: (num_envs,) bool, the environments that count; None: all.

        Raises:
            ValueError: an array is not (num_envs,).
        """
        for name, own in self._rows.items():
            mask = None if rows is None else rows[own]
            part = _of_rows(info, own)
            self._each[name].step(reward[own], terminated[own], truncated[own], part, mask)
        if self._rows:  # their terms and metrics differ
            info = {k: v for k, v in info.items() if k == "success" and info["_success"].all()}
        terms = self._columns(info, "reward_terms")
        counted = slice(None) if rows is None else rows
        self._add("Reward / Instantaneous reward", reward[counted])
        for name, value in terms.items():
            self._add(f"Reward Instant / {name}", value[counted])
        for name, value in self._columns(info, "metrics").items():
            self._add(f"metrics / {name}", value[counted])

        self._accumulate(RETURN, reward, counted)
        self._accumulate("Episode / Total timesteps", np.ones(self.num_envs), counted)
        for name, value in terms.items():
            self._accumulate(f"Reward Total/ {name}", value, counted)

        ends = np.zeros(self.num_envs, bool)
        ends[counted] = (terminated | truncated)[counted]
        ended = np.flatnonzero(ends)
        if ended.size:
            long = self._running["Episode / Total timesteps"] >= self.time_limit
            whole = ended[(terminated | long)[ended]]
            for tag, total in self._running.items():
                self._add(tag, total[whole])
                total[ended] = 0.0
            self._add("Episode / Terminated rate", terminated[whole])
            if "success" in info:
                self._add("Episode / Success rate", np.asarray(info["success"])[whole])

    def summary(self, ranks: Ranks = ALONE) -> dict[str, float]:
        """Returns the scalars by tag since the last summary, of all ranks, and forgets them."""
        window: dict[str, np.ndarray] = {}
        for part in ranks.gathered({tag: new.tolist() for tag, new in self._window.items()}):
            for tag, new in part.items():
                window[tag] = _merged(window.get(tag), np.array(new))
        episodes = window.get(RETURN, [0])[0]
        scalars = {COUNT: float(episodes)}
        for tag, (count, total, low, high) in window.items():
            if tag in RATES:
                scalars[tag] = float(total / count)
            else:
                scalars[f"{tag} (max)"] = float(high)
                scalars[f"{tag} (min)"] = float(low)
                scalars[f"{tag} (mean)"] = float(total / count)
        self._window = {}
        for name, own in self._each.items():
            scalars |= {f"{name}/{tag}": value for tag, value in own.summary().items()}
        return scalars

    def state(self) -> dict[str, np.ndarray]:
        """Returns copies of all accumulators."""
        parts = {"running": self._running, "window": self._window}
        state = {
            f"{part}|{tag}": array.copy()
            for part, tags in parts.items()
            for tag, array in tags.items()
        }
        for name, own in self._each.items():
            state |= {f"{name}|{key}": array for key, array in own.state().items()}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a `state()`.

        Raises:
            ValueError: the state is of another number of environments.
        """
        parts: dict[str, dict[str, np.ndarray]] = {"running": {}, "window": {}}
        each: dict[str, dict[str, np.ndarray]] = {name: {} for name in self._each}
        for key, array in state.items():
            part, _, tag = key.partition("|")
            if part == "last":  # in older states; nothing depends on it
                continue
            if part in each:
                each[part][tag] = array
                continue
            wanted = (self.num_envs,) if part == "running" else (4,)
            if part not in parts or array.shape != wanted:
                raise ValueError(f"statistics {key!r} has shape {array.shape}, expected {wanted}")
            parts[part][tag] = np.array(array, np.float64)
        self._running, self._window = parts.values()
        for name, own in self._each.items():
            own.restore(each[name])

    def _columns(self, info: dict[str, Any], key: str) -> dict[str, np.ndarray]:
        """Returns info[key] without Gymnasium's "_name" masks."""
        columns = info.get(key) or {}
        return {k: np.asarray(v) for k, v in columns.items() if not k.startswith("_")}

    def _add(self, tag: str, values: np.ndarray) -> None:
        """Counts values into the window of a tag."""
        if not values.size:
            return
        total = values.sum(dtype=np.float64)
        new = np.array([values.size, total, values.min(), values.max()])
        self._window[tag] = _merged(self._window.get(tag), new)

    def _accumulate(self, tag: str, values: np.ndarray, counted: Any) -> None:
        """Adds a step's values to the sums of the episodes under way."""
        if values.shape != (self.num_envs,):
            raise ValueError(f"{tag!r} has shape {values.shape}, expected {(self.num_envs,)}")
        if tag not in self._running:
            self._running[tag] = np.zeros(self.num_envs)
        self._running[tag][counted] += values[counted]


def _of_rows(info: Mapping[str, Any], rows: slice) -> dict[str, Any]:
    """Returns the entries of an info that some rows have, for these rows."""
    found: dict[str, Any] = {}
    for key, value in info.items():
        if (
            key in ("final_obs", "final_info")
            or key.startswith("_")
            or not info[f"_{key}"][rows].any()
        ):
            continue
        found[key] = _of_rows(value, rows) if isinstance(value, Mapping) else value[rows]
    return found


def _merged(old: np.ndarray | None, new: np.ndarray) -> np.ndarray:
    """Returns count, sum, least and largest of two parts of a window; the old may be missing."""
    if old is None:
        return new
    return np.array([*(new[:2] + old[:2]), min(new[2], old[2]), max(new[3], old[3])])
