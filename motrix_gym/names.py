# SPDX-License-Identifier: Apache-2.0
"""Parts of error messages: the nearest allowed name, and values on one short line."""

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(name: Any, allowed: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Returns the allowed name most like a wrong one, None if none is.

    Args:
        name: What was given.
        allowed: What may be given.
        cutoff: How alike they must be, from 0 (anything goes) to 1 (equal).
    """
    if not isinstance(name, str):
        return None
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(name: Any, allowed: Iterable[str]) -> str:
    """Returns ' (did you mean ...?)' for a near miss of one of the allowed names, else ''."""
    near = nearest(name, allowed)
    return f" (did you mean {near!r}?)" if near else ""


def shown(value: Any) -> str:
    """Returns a value's `repr` as one line of at most 200 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists within lists
        return f"<{type(value).__name__} too large to show>"
    return one_line(text, 200)


def one_line(text: str, longest: int) -> str:
    """Returns text as one line without control characters, which would change a terminal.

    Args:
        text: Any text. Its line breaks become spaces, other control characters escapes.
        longest: Length of the result; of a longer one, the middle is left out.
    """
    text = " ".join(text.splitlines())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) > longest:
        half = (longest - 5) // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return text
