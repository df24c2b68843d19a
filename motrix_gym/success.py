# SPDX-License-Identifier: Apache-2.0
"""When an episode is a success: the goal is reached at its end, once, or for some time."""

from dataclasses import dataclass

import numpy as np

from motrix_gym.buffer import Buffer
from motrix_gym.view import View


@dataclass(frozen=True)
class SuccessRule:
    """How ``info["success"]`` is computed; an episode's success is that of its last step.

    Attributes:
        counts: "end": the goal is reached now. "once": it was reached in some step of the episode.
            "held": it was reached for ``seconds`` without a break, at some time in the episode.
        seconds: how long the goal must be held (s); 0 unless ``counts`` is "held".
    """

    counts: str = "end"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Check the rule.

        Raises:
            ValueError: if ``counts`` is another word, or ``seconds`` does not go with it.
        """
        if self.counts not in ("end", "once", "held"):
            raise ValueError(f"counts must be 'end', 'once' or 'held', got {self.counts!r}")
        if (self.counts == "held") != (self.seconds > 0):
            raise ValueError(f"seconds must be above 0 for 'held', and 0 else, got {self.seconds}")

    @property
    def buffers(self) -> dict[str, Buffer]:
        """The per-environment arrays that the rule needs, by name."""
        if self.counts == "end":
            return {}
        return {"succeeded": Buffer(dtype=np.bool_), "time_at_goal": Buffer()}

    def judge(self, v: View, reached: np.ndarray, dt: float) -> np.ndarray:
        """(n,) bool: success so far.

        Args:
            v: the view of the rows, with ``buffers``; they are updated.
            reached: (n,) bool, whether the goal is reached after this step.
            dt: length of the step (s).
        """
        if self.counts == "end":
            return reached
        v.time_at_goal = np.where(reached, v.time_at_goal + dt, 0.0)
        v.succeeded |= reached & (v.time_at_goal >= self.seconds - dt / 2)
        return v.succeeded
