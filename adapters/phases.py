# SPDX-License-Identifier: Apache-2.0
"""PhasedTrainer: a trainer whose update first collects steps and then learns from them."""

import time
from abc import abstractmethod

import numpy as np

from adapters.base import Trainer
from adapters.states import check_all_like, with_prefix, without_prefix


class PhasedTrainer(Trainer):
    """A trainer whose update is two timed phases, and whose state is checked before it is used.

    A subclass writes the two phases, and stores and restores the learner.
    """

    own_state = ("env/", "statistics/")

    @abstractmethod
    def _collect(self) -> None:
        """Makes an update's vector steps through `measured_env`; see `update`."""

    @abstractmethod
    def _learn(self) -> dict[str, float]:
        """Learns from what was collected; returns scalars by TensorBoard tag."""

    @abstractmethod
    def _checked_state(self) -> dict[str, np.ndarray]:
        """Returns arrays of the learner's state whose shapes and types are always the same."""

    def _other_state(self) -> dict[str, np.ndarray]:
        """Returns the rest of the learner's state, which `_restore_learner` has to check."""
        return {}

    @abstractmethod
    def _restore_learner(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to the learner's part of a state."""

    def _set_log_std(self, log_std: float) -> None:
        """Sets the log standard deviation of all actions, where a schedule prescribes it."""

    def update(self) -> dict[str, float]:
        start, self.measured_env.seconds = time.perf_counter(), 0.0
        self._collect()
        collected, physics = time.perf_counter(), self.measured_env.seconds
        scalars = self._learn()
        learned = time.perf_counter()
        self.num_updates += 1
        if (log_std := self._scheduled_log_std()) is not None:
            self._set_log_std(log_std)  # of the next update
        scalars |= phase_times(physics, collected - start, learned - collected)
        return self.statistics.summary(self.ranks) | self.ranks.mean_by_name(scalars)

    def _scheduled_log_std(self) -> float | None:
        """Returns the log standard deviation by PPO's schedule; None where it is learned."""
        schedule = getattr(self.config, "planned_log_std", None)
        if schedule is None or "final_log_std" in self.without_effect:
            return None
        return schedule(self.progress)

    def state(self) -> dict[str, np.ndarray]:
        return {
            "num_updates": np.array(self.num_updates),
            **self._checked_state(),
            **self._other_state(),
            **with_prefix("statistics/", self.statistics.state()),
            **self.env_state(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a `state()` of a trainer with the same configuration.

        Raises:
            ValueError: an array is missing, or its shape or type is not that of this trainer.
        """
        own = {"num_updates": np.array(self.num_updates), **self._checked_state()}
        check_all_like(own, state)
        self._restore_learner(state)
        self.num_updates = int(state["num_updates"])
        self.statistics.restore(without_prefix("statistics/", state))
        self.restore_env(state)


def phase_times(physics: float, collecting: float, learning: float) -> dict[str, float]:
    """Returns the times of an update by TensorBoard tag.

    Args:
        physics: Seconds in the environment's own `step`.
        collecting: Seconds of the vector steps, physics and all.
        learning: Seconds of learning.
    """
    return {
        "Time / Physics (s)": physics,
        "Time / Policy (s)": collecting - physics,
        "Time / Update (s)": learning,
    }
