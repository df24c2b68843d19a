# SPDX-License-Identifier: Apache-2.0
"""Hints for names that are nearly right."""

import difflib
from collections.abc import Iterable


def nearest(name: str, allowed: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Returns the allowed name most like a wrong one, None if none is.

    Args:
        name: What was given.
        allowed: What may be given.
        cutoff: How alike they must be, from 0 (anything goes) to 1 (equal).
    """
    near = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Returns ' (did you mean ...?)' for a near miss of one of the allowed names, else ''."""
    near = nearest(name, allowed)
    return f" (did you mean {near!r}?)" if near else ""
