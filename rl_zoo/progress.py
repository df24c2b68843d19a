# SPDX-License-Identifier: Apache-2.0
"""The progress line of a training."""

import math
import shutil
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
INTERVAL = 10.0  # seconds between lines where the line cannot be rewritten
SHARE = 0.1  # of the training between such lines, if that comes first
WINDOW = 32  # updates that rate, split and time left are measured over


class ProgressLine:
    """Writes steps, rate, return, success or metrics, and time left.

    On a terminal one line is rewritten; elsewhere a line is added every tenth of the training or
    ten seconds.

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
        self.rewrites = self.stream.isatty()
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
        shown_at, shown_steps = self._shown
        grown = steps - shown_steps >= SHARE * self.total
        if self.rewrites or grown or now - shown_at >= INTERVAL or steps >= self.total:
            self._shown = (now, steps)
            self._write(self.line())

    def line(self) -> str:
        """Returns the line as it is now."""
        scalars = self._latest
        _, steps, _ = self._history[-1]
        parts = [f"{steps:,} steps {100 * steps / self.total:3.0f}%"]
        measured = len(self._history) > 1
        if measured:
            parts[0] += f", {_clock(self._seconds_left())} left"
        if RETURN in scalars:
            parts.append(f"return {scalars[RETURN]:.4g}")
        if SUCCESS in scalars:
            parts.append(f"success {100 * scalars[SUCCESS]:.0f}%")
        for env_id in self.environments:
            if figure := self._figure(f"{env_id}/"):
                parts.append(f"{env_id.rpartition('/')[2]} {figure}")
        if measured:
            parts.append(f"{self._rate():,.0f}/s ({self._split()})")
        for name in () if SUCCESS in scalars else self.metrics:
            if f"metrics / {name} (mean)" in scalars:
                parts.append(f"{name} {scalars[f'metrics / {name} (mean)']:.3g}")
        # What matters most comes first: a narrow terminal cuts the rest.
        return " | ".join(self.stage + parts)

    def _figure(self, start: str) -> str:
        """Returns success, or return where there is none, by tags that start so; "" before."""
        if (tag := f"{start}{SUCCESS}") in self._latest:
            return f"success {100 * self._latest[tag]:.0f}%"
        tag = f"{start}{RETURN}"
        return f"return {self._latest[tag]:.4g}" if tag in self._latest else ""

    def say(self, text: str) -> None:
        """Writes a line of its own."""
        print(f"\r{text}\x1b[K" if self.rewrites else text, file=self.stream, flush=True)

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

    def _announce(self) -> None:
        """Says how long the rest will take, if it is long and no time was set."""
        seconds, steps = self._seconds_left(), self._history[-1][1]
        if seconds > LONG and self.deadline == math.inf:
            text = f"expected: {_clock(seconds)} for {self.total - steps:,} steps"
            hint = "--minutes M or a lower max_env_steps asks for less"
            start = "\r" if self.rewrites else ""
            print(f"{start}{text}; {hint}", file=self.stream, flush=True)

    def close(self) -> None:
        """Leaves the line as it stands."""
        if self.rewrites:
            print(file=self.stream, flush=True)

    def _write(self, line: str) -> None:
        if self.rewrites:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]}\x1b[K", end="", file=self.stream, flush=True)
        else:
            print(line, file=self.stream, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(min(seconds, 360_000)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
