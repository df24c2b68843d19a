# SPDX-License-Identifier: Apache-2.0
"""What a rule says when an environment breaks it."""

from typing import Any


class VectorEnvError(AssertionError):
    """A vector environment breaks a rule; the message names the rule first."""


def require(holds: Any, message: str) -> None:
    """Raises a VectorEnvError with the message unless something holds."""
    if not holds:
        raise VectorEnvError(message)
