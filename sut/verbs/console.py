"""Tables on the terminal. Formats text only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.report.words import HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEFT = {0, 1, 3, 7}


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Return an aligned table; text columns to the left, figures to the right."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if k in _LEFT else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
