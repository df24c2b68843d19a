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
        counts: "end": the goal is reached now, and was during the last ``seconds``. "once": it was
            reached in some step of the episode. "held": it was reached for ``seconds`` without a
            break, at some time in the episode.
        seconds: how long the goal must be held (s); 0 for "once".
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
        allowed = {"end": self.seconds >= 0, "once": self.seconds == 0, "held": self.seconds > 0}
        if not allowed[self.counts]:
            raise ValueError(
                "seconds must be above 0 for 'held', 0 for 'once' and at least 0 for 'end', got "
                f"{self.seconds} for {self.counts!r}"
            )

    @property
    def buffers(self) -> dict[str, Buffer]:
        """The per-environment arrays that the rule needs, by name."""
        if self.counts != "end":
            return {"succeeded": Buffer(dtype=np.bool_), "time_at_goal": Buffer()}
        return {"time_at_goal": Buffer()} if self.seconds else {}

    def judge(self, v: View, reached: np.ndarray, dt: float) -> np.ndarray:
        """(n,) bool: success so far.

        Args:
            v: the view of the rows, with ``buffers``; they are updated.
            reached: (n,) bool, whether the goal is reached after this step.
            dt: length of the step (s).
        """
        if not self.buffers:
            return reached
        v.time_at_goal = np.where(reached, v.time_at_goal + dt, 0.0)
        long_enough = reached & (v.time_at_goal >= self.seconds - dt / 2)
        if self.counts == "end":
            return long_enough
        v.succeeded |= long_enough
        return v.succeeded
