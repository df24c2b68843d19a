# SPDX-License-Identifier: Apache-2.0
"""The progress of a training: its figures, and the lines that show them in a file or a pipe."""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TextIO

EPISODES = "Episode / Count"
RETURN = "Reward / Total reward (mean)"  # of those episodes
SUCCESS = "Episode / Success rate"
PARTS = ("Physics", "Policy", "Update")
LONG = 60.0  # seconds; a training that is expected to take longer says so at its start
INTERVAL = 10.0  # seconds between lines
SHARE = 0.1  # of the training between lines, if that comes first
HINT = "--minutes M or a lower max_env_steps asks for less"
WINDOW = 32  # updates that rate, split and time left are measured over


class ProgressLine:
    """Writes a line every tenth of the training or ten seconds: steps, time left, return, rate.

    `ProgressTable` has the same figures as a table that is rewritten, for a terminal.

    Args:
        total: Environment steps of the whole run.
        done: Environment steps made before.
        metrics: Names of the task's metrics.
        deadline: When the run ends at the latest (`time.monotonic()`).
        stream: Where to write.
        stage: Such as "stage 2 of 3"; "" where there are no stages.
        environments: Ids of the environments; if there are several, the line has success or return
            of each.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        metrics: Sequence[str] = (),
        deadline: float = math.inf,
        stream: TextIO | None = None,
        stage: str = "",
        environments: Sequence[str] = (),
    ):
        self.stage = [stage] if stage else []
        self.environments = environments if len(environments) > 1 else ()
        self.total, self.metrics, self.deadline = total, metrics, deadline
        self.stream = stream or sys.stdout
        self._shown = (time.monotonic(), done)
        self._latest: dict[str, float] = {}  # by tag: not every update has every scalar
        # The first update compiles, and says nothing of the speed: its end is the first entry.
        self._history = deque[tuple[float, int, tuple[float, ...]]](maxlen=WINDOW + 1)

    def update(self, steps: int, scalars: Mapping[str, float]) -> None:
        """Takes in an update's scalars (by TensorBoard tag) and shows them if it is time to."""
        now = time.monotonic()
        self._latest |= scalars
        seconds = tuple(scalars.get(f"Time / {part} (s)", 0.0) for part in PARTS)
        self._history.append((now, steps, seconds))
        if len(self._history) == 2:
            self._announce()
        self._show(now, steps)

    def note(self, text: str) -> None:
        """Tells the user something at once; a handler of a signal may call it."""
        os.write(2, f"\n{text}\n".encode())

    def close(self) -> None:
        """Leaves what is shown as it stands."""

    def line(self) -> str:
        """Returns the line as it is now."""
        steps = self._steps
        parts = [f"{steps:,} steps {100 * steps / self.total:3.0f}%"]
        if self._measured:
            parts[0] += f", {clock(self._seconds_left())} left"
        parts += [f"{name} {text}" for name, (_, text) in self._results().items()]
        if self._measured:
            parts.append(f"{self._rate():,.0f}/s ({self._split()})")
        if SUCCESS not in self._latest:
            parts += [f"{name} {text}" for name, (_, text) in self._metrics().items()]
        return " | ".join(self.stage + parts)

    def say(self, text: str) -> None:
        """Writes a line of its own."""
        print(text, file=self.stream, flush=True)

    def _show(self, now: float, steps: int) -> None:
        """Writes the line if it is time to."""
        shown_at, shown_steps = self._shown
        grown = steps - shown_steps >= SHARE * self.total
        if grown or now - shown_at >= INTERVAL or steps >= self.total:
            self._shown = (now, steps)
            print(self.line(), file=self.stream, flush=True)

    def _announce(self) -> None:
        """Says how long the rest will take, if it is long."""
        if self._is_long:
            text = f"expected: {clock(self._seconds_left())} for {self.total - self._steps:,} steps"
            print(f"{text}; {HINT}", file=self.stream, flush=True)

    @property
    def _steps(self) -> int:
        """Environment steps made, over the whole run."""
        return self._history[-1][1] if self._history else self._shown[1]

    @property
    def _measured(self) -> bool:
        """Whether rate, split and time left are known."""
        return len(self._history) > 1

    @property
    def _is_long(self) -> bool:
        """Whether the rest will take long, and no time was set."""
        return self._seconds_left() > LONG and self.deadline == math.inf

    def _results(self) -> dict[str, tuple[str, str]]:
        """Returns return and success rate, and one of them for each of several environments.

        They have tag and value by name, as far as they are known.
        """
        tags = {"return": RETURN, "success": SUCCESS}
        for env_id in self.environments:
            kind = "success" if f"{env_id}/{SUCCESS}" in self._latest else "return"
            tags[f"{env_id.rpartition('/')[2]} {kind}"] = f"{env_id}/{tags[kind]}"
        known = {name: tag for name, tag in tags.items() if tag in self._latest}
        return {name: (tag, self._shown_as(tag)) for name, tag in known.items()}

    def _metrics(self) -> dict[str, tuple[str, str]]:
        """Returns the task's metrics in the same way."""
        tags = {name: f"metrics / {name} (mean)" for name in self.metrics}
        known = {name: tag for name, tag in tags.items() if tag in self._latest}
        return {name: (tag, f"{self._latest[tag]:.3g}") for name, tag in known.items()}

    def _shown_as(self, tag: str) -> str:
        value = self._latest[tag]
        return f"{100 * value:.0f}%" if tag.endswith(SUCCESS) else f"{value:.4g}"

    def _rate(self) -> float:
        """Returns steps per second, without the first update."""
        (then, before, _), *_, (now, steps, _) = self._history
        return (steps - before) / max(now - then, 1e-9)

    def _split(self) -> str:
        """Returns which parts of an update took how much of its time."""
        spent = [sum(part) for part in zip(*(s for *_, s in list(self._history)[1:]), strict=True)]
        whole = sum(spent) or 1.0
        shares = zip(PARTS, spent, strict=True)
        return ", ".join(f"{name.lower()} {100 * s / whole:.0f}%" for name, s in shares)

    def _seconds_left(self) -> float:
        """Returns the time until the budget of steps or the time is spent."""
        now, steps, _ = self._history[-1]
        seconds = max(self.total - steps, 0) / max(self._rate(), 1e-9)
        return min(seconds, max(self.deadline - now, 0.0))


def clock(seconds: float) -> str:
    """Returns a time for the user, such as 1:05 or 2:00:00."""
    minutes, seconds = divmod(round(min(seconds, 360_000)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
