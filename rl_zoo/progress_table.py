# SPDX-License-Identifier: Apache-2.0
"""The progress of a training as a table that is rewritten in place, on a terminal."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rl_zoo.progress import HINT, RETURN, SUCCESS, ProgressLine, clock

BARS = "▁▂▃▄▅▆▇█"
TREND = 24  # bars that show a figure's course over the training
INTERVAL = 0.25  # seconds between two drawings


def fits(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can rewrite what it shows."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class ProgressTable(ProgressLine):
    """Shows how far a training is, its speed, and the course of its return and metrics.

    It is drawn by a thread of rich's, at most four times a second, however short the updates are.

    Args:
        *args: As `ProgressLine`.
        **kwargs: As `ProgressLine`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._courses: dict[str, list[float]] = {}  # of each figure that is shown, by tag
        self._note = ""
        console = Console(file=self.stream, highlight=False)
        self._trends = console.encoding.startswith("utf")
        rate = 1 / INTERVAL
        self._live = Live(
            self._table(), console=console, refresh_per_second=rate, vertical_overflow="crop"
        )
        self._live.start()

    def update(self, steps: int, scalars: Mapping[str, float]) -> None:
        """Takes in an update's scalars (by TensorBoard tag); they are drawn soon."""
        for tag, value in scalars.items():
            if tag.endswith((RETURN, SUCCESS)) or tag.startswith("metrics / "):
                if math.isfinite(value):
                    self._courses.setdefault(tag, []).append(value)
        super().update(steps, scalars)

    def say(self, text: str) -> None:
        """Writes a line above the table."""
        self._live.console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Shows a line under the table."""
        self._note = text
        self._live.update(self._table())

    def close(self) -> None:
        """Draws the table a last time, and leaves it as it stands."""
        self._live.update(self._table())
        self._live.stop()

    def _show(self, now: float, steps: int) -> None:
        if now - self._shown[0] >= INTERVAL:
            self._shown = (now, steps)
            self._live.update(self._table())

    def _announce(self) -> None:
        self._note = HINT if self._is_long else ""

    def _table(self) -> Group:
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column()
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row(
            f"{100 * self._steps / self.total:3.0f}%",
            ProgressBar(self.total, self._steps),
            f"{self._steps:,} of {self.total:,} steps",
        )
        done = self._steps >= self.total
        speed = "" if done else "the first update takes longest"
        if self._measured:
            left = "" if done else f"{clock(self._seconds_left())} left, "
            speed = f"{left}{self._rate():,.0f} steps/s: {self._split()}"
        figures = Table.grid(padding=(0, 2))
        for justify in ("left", "right", "left"):
            figures.add_column(justify=justify, no_wrap=True)
        for name, (tag, text) in (self._results() | self._metrics()).items():
            figures.add_row(name, text, self._trend(tag))
        note = [Text(self._note, style="dim")] if self._note else []
        return Group(*map(Text, self.stage), bar, Text(speed), figures, *note)

    def _trend(self, tag: str) -> str:
        return trend(self._courses.get(tag, ())) if self._trends else ""


def trend(values: Sequence[float], width: int = TREND) -> str:
    """Returns the course of a figure as bars, each the mean of an equal share of the values."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [len(values) * i // width for i in range(width + 1)]
    means = [statistics.fmean(values[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)
