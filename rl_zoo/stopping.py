# SPDX-License-Identifier: Apache-2.0
"""Stopping a training by a signal, after the update under way."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stop_signals(*numbers: int, say: Callable[[str], None]) -> Iterator[list[int]]:
    """Yields a list to which the first signal adds its number; a second one ends the process.

    Signals can be caught in the main thread only; in others the list stays empty.

    Args:
        *numbers: The signals, such as `signal.SIGINT`.
        say: Tells the user what happens now.
    """
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        received.append(number)
        for other in old:
            signal.signal(other, signal.SIG_DFL)
        say("stopping after this update (again to stop at once)")

    on_main_thread = threading.current_thread() is threading.main_thread()
    old: dict[int, Any] = {}
    for number in numbers if on_main_thread else ():
        old[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
