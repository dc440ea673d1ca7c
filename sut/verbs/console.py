"""Lines and tables on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sut.base.ticker import spoke
from sut.report.words import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEFT = {0, 1, 3, 7}


def sayer(*, as_json: bool) -> Callable[[str], None]:
    """Return what prints a line for people: not where JSON goes."""
    out = sys.stderr if as_json else sys.stdout

    def say(line: str) -> None:
        print(line, file=out, flush=True)
        spoke()

    return say


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
