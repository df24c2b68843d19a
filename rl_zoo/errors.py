# SPDX-License-Identifier: Apache-2.0
"""The errors that the zoo raises, and the exit statuses that the commands make of them."""

from collections.abc import Sequence

FAILED, MISUSED, UNMET, INTERRUPTED = 1, 2, 3, 130


class ZooError(Exception):
    """A command, or a function of `rl_zoo`, failed; the message is written for the user.

    Attributes:
        status: The exit status of a command.
        commands: What to type instead, each shown in a line of its own.
    """

    def __init__(self, message: str, status: int = FAILED, commands: Sequence[str] = ()):
        super().__init__(message)
        self.status = status
        self.commands = commands


class UsageError(ZooError, ValueError):
    """The arguments are wrong, such as a name that does not exist."""

    def __init__(self, message: str):
        super().__init__(message, MISUSED)
