# SPDX-License-Identifier: Apache-2.0
"""The first row of a training's environment, in memory that another process reads.

The training copies, at most `RATE` times a second, what the row has. It waits for nobody: who reads
gets the latest copy.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from motrix_gym.engine import Engine

if TYPE_CHECKING:
    from motrix_gym import MotrixVectorEnv

RATE = 30.0  # copies per second
CONTEXT = multiprocessing.get_context("spawn")
_HEAD = 3  # whole numbers before the fields: copies begun, copies ended, steps of the training


class SharedRow:
    """The fields of one row: state, buffers, and model fields that differ between rows.

    Attributes:
        memory: What a process gets as it starts, to make its own `SharedRow` of the same fields.
    """

    def __init__(self, engine: Engine, memory: Any = None):
        """Describes the fields of an engine.

        Args:
            engine: Of the task; its number of rows does not matter.
            memory: Of another `SharedRow` of the task; by default there is new memory.
        """
        self._engine = engine
        if memory is None:
            size = 8 * _HEAD + sum(_padded(x[:1].nbytes) for x in engine.writable.values())
            memory = CONTEXT.RawArray("B", size)
        self.memory = memory
        self._shared = np.frombuffer(memory, np.uint8)
        self._head, self._parts = _split(self._shared, engine.writable)
        self._copy = self._shared.copy()
        self._copied_head, self._copied_parts = _split(self._copy, engine.writable)

    def write(self, steps: int) -> None:
        """Copies the engine's first row into the memory.

        Args:
            steps: Environment steps of the training.
        """
        self._head[0] += 1
        self._head[2] = steps
        for name, part in self._parts.items():
            part[...] = self._engine.writable[name][0]
        self._head[1] = self._head[0]

    def read(self) -> int | None:
        """Copies the memory into the engine's first row.

        Returns:
            The training's environment steps; None if there is no new copy, or it is being written.
        """
        ended = int(self._head[1])
        if ended == self._copied_head[1]:
            return None
        self._copy[...] = self._shared
        if self._head[0] != ended:
            self._copied_head[1] = -1
            return None
        for name, part in self._copied_parts.items():
            self._engine.writable[name][0] = part
        return int(self._copied_head[2])


class Publisher:
    """What a training's environment calls in each step, as its `intervene`: it changes nothing."""

    def __init__(self, row: SharedRow, steps: Callable[[], int]):
        """Writes into a row; `steps` says how many the training has made."""
        self._row, self._steps, self._due = row, steps, 0.0

    def __call__(self, _: object) -> None:
        """Writes, if the last time was long enough ago."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + 1 / RATE
            self._row.write(self._steps())


class TrainingRow:
    """The row as a page shows it.

    Attributes:
        env: An environment of one row, which is never stepped.
        row: The row that is shown: 0.
        steps: Environment steps of the training so far.
        total: Environment steps of the whole training.
    """

    row = 0

    def __init__(self, env: "MotrixVectorEnv", shared: SharedRow, total: int):
        self.env, self._shared, self.steps, self.total = env, shared, 0, total

    def advance(self, seconds: float) -> None:
        """Takes over the latest state."""
        steps = self._shared.read()
        if steps is not None:
            self.steps = steps


def _split(
    memory: np.ndarray, fields: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the head of the memory, and by name the part that holds a row of each field."""
    start, parts = 8 * _HEAD, dict[str, np.ndarray]()
    for name, field in fields.items():
        size = field[:1].nbytes
        parts[name] = memory[start : start + size].view(field.dtype).reshape(field.shape[1:])
        start += _padded(size)
    return memory[: 8 * _HEAD].view(np.int64), parts


def _padded(size: int) -> int:
    """A number of bytes, up to the next multiple of 8."""
    return -(-size // 8) * 8
