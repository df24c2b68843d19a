# SPDX-License-Identifier: Apache-2.0
"""When reaching a task's goal counts as success: at the end of an episode, once, or held."""

from dataclasses import dataclass

import numpy as np

from motrix_gym.buffer import Buffer
from motrix_gym.view import View


@dataclass(frozen=True)
class SuccessRule:
    """What ``info["success"]`` says, of which the last step of an episode counts.

    Attributes:
        counts: "end": whether the goal is reached now. "once": whether it was reached in some step
            of the episode. "held": whether it was reached for ``seconds`` without a break.
        seconds: of "held".
    """

    counts: str = "end"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Check the rule.

        Raises:
            ValueError: if there is no such rule, or nothing to be held.
        """
        if self.counts not in ("end", "once", "held"):
            raise ValueError(f"counts must be 'end', 'once' or 'held', got {self.counts!r}")
        if (self.counts == "held") != (self.seconds > 0):
            raise ValueError(f"seconds must be above 0 for 'held', and 0 else, got {self.seconds}")

    @property
    def buffers(self) -> dict[str, Buffer]:
        """What must be remembered."""
        if self.counts == "end":
            return {}
        return {"succeeded": Buffer(dtype=np.bool_), "time_at_goal": Buffer()}

    def judge(self, v: View, reached: np.ndarray, dt: float) -> np.ndarray:
        """(n,) bool: success so far, after a step of ``dt`` seconds in which (n,) reached it."""
        if self.counts == "end":
            return reached
        v.time_at_goal = np.where(reached, v.time_at_goal + dt, 0.0)
        v.succeeded |= reached & (v.time_at_goal >= self.seconds - dt / 2)
        return v.succeeded
