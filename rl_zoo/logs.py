# SPDX-License-Identifier: Apache-2.0
"""TensorBoard events, written with TensorBoard's own code and no learning library."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

# Protobuf makes these classes when it loads, out of sight of type checkers.
Event = event_pb2.Event  # pyright: ignore[reportAttributeAccessIssue]
SessionLog = event_pb2.SessionLog  # pyright: ignore[reportAttributeAccessIssue]
Summary = summary_pb2.Summary  # pyright: ignore[reportAttributeAccessIssue]


class EventLog:
    """An events file, open for writing.

    Every `write` hands its data to the operating system before it returns. So the call that meets a
    full disk raises, and what was logged survives a kill of the process.

    Args:
        folder: Where the file goes, beside those of earlier sessions.
        step: Environment steps made so far: TensorBoard hides what an earlier session logged
            beyond it.

    Raises:
        OSError: the file cannot be written; so do the methods.
    """

    def __init__(self, folder: Path, step: int = 0):
        # TensorBoard looks for such names; the process id keeps apart two sessions in one second.
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{step}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        if step:
            start = SessionLog(status=SessionLog.SessionStatus.START)
            self._write(Event(wall_time=now, step=step + 1, session_log=start))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars by tag at a number of environment steps."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()

    def close(self) -> None:
        """Closes the file."""
        self._records.close()
