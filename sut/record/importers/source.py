"""A file of another tool: its text, strictly read, and the errors that name its lines."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sut.record.table import Row

NS_PER_US, NS_PER_MS, BYTES_PER_MB = 1e3, 1e6, 1e6
_MOST_BYTES = 256 << 20  # nobody's table is larger; a wrong file may be
_COMMENT = "#"
_SHOWN = 40  # characters of what came


@dataclass(frozen=True, slots=True)
class Source:
    """A text to import.

    Attributes:
        where: its path, for messages.
        text: of the file.
        batch: samples of a request, where the file does not say it; None: unknown.
    """

    where: str
    text: str
    batch: int | None = None

    def error(self, line: int, what: str) -> DataError:
        """Return the error for a line, counted from 1."""
        return DataError(f"{self.where}:{line}: {what}")


def read_source(path: Path, batch: int | None = None) -> Source:
    """Read a file.

    Raises:
        DataError: it cannot be read, is too large, or is no UTF-8.
    """
    try:
        if not path.is_file():  # to read a pipe or a device may never end
            raise DataError(f"{path}: no such file; expected a result of another tool.")
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES >> 20} MiB; expected a result.")
        return Source(str(path), path.read_text(encoding="utf-8-sig"), batch)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} is no UTF-8; expected a text file of another tool."
        ) from error


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table with named columns.

    Attributes:
        source: the file.
        number: of the line.
        cells: by the name of the column.
    """

    source: Source
    number: int
    cells: dict[str, str]

    def figure(self, column: str) -> float:
        """Return the number in a column.

        Raises:
            DataError: it is none, is negative, or is not finite.
        """
        return number(self.source, self.number, f'column "{column}"', self.cells[column])

    def value(self, column: str) -> int | float | str:
        """Return a place on an axis: a whole number, another number, or a text."""
        text = self.cells[column].strip()
        if text.isascii() and text.isdecimal() and len(text) < _SHOWN:
            return int(text)
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        return found if math.isfinite(found) else text


def number(source: Source, line: int, what: str, text: str) -> float:
    """Read a number that is 0 or more.

    Raises:
        DataError: it is something else.
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0) or "_" in text:
        came = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise source.error(line, f"{what} is {came!r}; expected a number, 0 or more.")
    return found


def comma_lines(source: Source) -> tuple[list[str], list[Line]]:
    """Read comma-separated values: the names of the columns, and the lines below them.

    Raises:
        DataError: a line has more or fewer cells than the first, or there is no line.
    """
    rows = list(_rows(source))
    if not rows:
        raise source.error(1, "nothing; expected a line with the names of columns.")
    (first, header), *others = rows
    return header, [named(source, number, header, cells) for number, cells in others] or _none(
        source, first
    )


def named(source: Source, line: int, header: list[str], cells: list[str]) -> Line:
    """Return the cells of a line by the names of their columns.

    Raises:
        DataError: they are more or fewer, or two columns have one name.
    """
    if len(cells) != len(header):
        raise source.error(line, f"{len(cells)} cells; expected {len(header)}, as in its header.")
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise source.error(line, f'two columns are called "{twice}"; expected one.')
    return Line(source, line, dict(zip(header, cells, strict=True)))


def first_line(source: Source) -> str:
    """Return the first line that is no comment."""
    lines = (line.strip() for line in source.text.splitlines())
    return next((line for line in lines if line and not line.startswith(_COMMENT)), "")


def told(source: Source, bullet: str = _COMMENT) -> dict[str, str]:
    """Return the lines `# NAME: VALUE` by name, which `sut sweep` writes above its tables."""
    found: dict[str, str] = {}
    for line in source.text.splitlines():
        name, colon, value = line.removeprefix(f"{bullet} ").partition(": ")
        if colon and line.startswith(f"{bullet} "):
            found.setdefault(name.strip(), value.strip())
    return found


def _rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(source.text.splitlines(keepends=True), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) and not cells[0].startswith(_COMMENT):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise source.error(reader.line_num, f"{error}; expected comma-separated values.") from error


def _none(source: Source, line: int) -> list[Line]:
    raise source.error(line, "no line below the header; expected at least one measured point.")


def each_once(source: Source, rows: list[tuple[int, Row]]) -> tuple[Row, ...]:
    """Return the rows, given with their lines.

    Raises:
        DataError: two of them are of the same point.
    """
    seen: dict[frozenset[tuple[str, object]], int] = {}
    for line, row in rows:
        key = frozenset(row.point.items())
        if key in seen:
            shown = ", ".join(f"{axis} {value}" for axis, value in row.point.items())
            raise source.error(line, f"{shown or 'the point'} is in line {seen[key]} already.")
        seen[key] = line
    return tuple(row for _, row in rows)
