# SPDX-License-Identifier: Apache-2.0
"""Numbers and tables, for a terminal and in Markdown."""

from collections.abc import Sequence

WIDTH = 80  # of what is printed, where it can be broken into lines


def number(value: float) -> str:
    """A figure for a table: four digits, without an exponent from 0.0001 to 1e9."""
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def with_interval(mean: float, low: float | None, high: float | None) -> str:
    """A mean for a table, and in brackets its interval, if it has one."""
    interval = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return number(mean) + interval


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Lines of aligned columns; the first `left` columns to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        aligned = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(cells)]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table, its head first; all but the first `left` columns to the right."""
    head, *body = rows
    dashes = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, dashes, *body))
