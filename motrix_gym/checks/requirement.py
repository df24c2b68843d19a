# SPDX-License-Identifier: Apache-2.0
"""The error that a rule raises when an environment breaks it."""

from typing import Any


class VectorEnvError(AssertionError):
    """A vector environment breaks a rule; the message names the rule first."""


def require(holds: Any, message: str) -> None:
    """Raises a VectorEnvError with the message unless a condition holds."""
    if not holds:
        raise VectorEnvError(message)
