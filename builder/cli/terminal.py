"""What the terminal can show: colours, bars, width. ``NO_COLOR`` is honoured (no-color.org)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO


def is_terminal(stream: TextIO) -> bool:
    """Whether STREAM is a terminal that understands cursor movement."""
    return stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def has_colour(stream: TextIO) -> bool:
    """Whether to colour text on STREAM: a terminal, and nobody said no."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream)


def human_size(count: int) -> str:
    """Return COUNT bytes in the unit people read: ``812 B``, ``3.4 MB`` (powers of 1000)."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 99.95 else f"{size:.0f} {unit}"
    return f"{size:.0f} PB"


def table(rows: Sequence[tuple[str, ...]], *, right: frozenset[int] = frozenset()) -> str:
    """Return ROWS as aligned columns, two spaces apart; those numbered in RIGHT end flush."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[column]) if column in right else cell.ljust(widths[column])
            for column, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
