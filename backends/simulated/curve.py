"""S(b), the service time of a batch of b samples, as points with lines between them.

Knows no device, no clock and no queue.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CURVES_DIR = Path(__file__).parent / "curves"
NS_PER_MS = 1e6
MS_PER_S = 1e3


@dataclass(frozen=True, slots=True)
class Curve:
    """S(b) through points, the smallest batch first.

    S(b) is linear between two points. Beyond the last it continues along the line through the last
    two, but never falls. Below the first it is constant.

    Attributes:
        points_ms: (batch, milliseconds), one or more, ascending.
        provenance: their origin, in one line.
        tail_ms: the same for the 99th percentile; empty where only one time is known.
    """

    points_ms: tuple[tuple[int, float], ...]
    provenance: str
    tail_ms: tuple[tuple[int, float], ...] = ()

    def service_ns(self, batch: int) -> float:
        """Return the time of a batch of `batch` samples in ns."""
        return self._through(self.points_ms, batch)

    def tail_ns(self, batch: int) -> float:
        """Return the 99th percentile of that time in ns, for a curve that has one."""
        return self._through(self.tail_ms, batch)

    @staticmethod
    def _through(points: tuple[tuple[int, float], ...], batch: int) -> float:
        after = bisect_right(points, batch, key=lambda point: point[0])
        if after == 0 or len(points) == 1:
            return points[0][1] * NS_PER_MS
        after = min(after, len(points) - 1)
        (low, low_ms), (high, high_ms) = points[after - 1], points[after]
        slope = (high_ms - low_ms) / (high - low)
        if batch > high:
            return (high_ms + max(slope, 0.0) * (batch - high)) * NS_PER_MS
        return (low_ms + slope * (batch - low)) * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Scaled:
    """A curve that is slower or faster by a factor."""

    curve: Curve
    factor: float

    def service_ns(self, batch: int) -> float:
        """Return S(b) in ns."""
        return self.curve.service_ns(batch) * self.factor


def formula(base_ms: float, per_sample_ms: float) -> Curve:
    """Return S(b) = base_ms + per_sample_ms * b.

    Raises:
        ConfigError: a batch would take no time, or a larger batch less than a smaller one.
    """
    text = f"formula {base_ms:g} + {per_sample_ms:g} b ms"
    points = ((1, base_ms + per_sample_ms), (2, base_ms + 2 * per_sample_ms))
    if per_sample_ms < 0:
        raise ConfigError(f"{text}: a sample takes {per_sample_ms:g} ms; expected 0 or more.")
    return _checked(points, text, text)


def table(text: str) -> Curve:
    """Return the curve that `text` lists: `1:0.5,26:4.94`, batch and milliseconds of each point.

    Raises:
        ConfigError: `text` is not such a list.
    """
    where = f'table "{text}"'
    points = []
    for part in text.split(","):
        batch, colon, ms = part.partition(":")
        if not colon:
            raise ConfigError(f'{where}: "{part}" is not a point; write BATCH:MS, such as 26:4.94.')
        points.append((_batch(batch, where), _number(ms, where)))
    return _checked(points, f"table {text}", where)


def from_file(name: str, where: str = "") -> Curve:
    """Read a curve from a CSV file: the columns batch, and ms or inferences_per_second.

    A column p99_latency_ms gives it a tail. Lines that begin with # are its provenance.

    Args:
        name: a file that ends in .csv, or the name of a curve that comes with this package.
        where: which of its lines: `gpu=T4,dataset=traffic`; empty for all.

    Raises:
        ConfigError: no such file or curve, or it does not hold a curve.
    """
    path = Path(name) if name.endswith(".csv") else _shipped(name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: the curve cannot be read: {error}.") from error
    comments = [line[1:].strip() for line in lines if line.startswith("#")]
    rows = _select(csv.DictReader(line for line in lines if not line.startswith("#")), where, name)
    label = f"{name} ({where})" if where else name
    provenance = " ".join([f"{label}:", *comments]) if comments else label
    found = _checked(
        ((_batch(r.get("batch"), label), _ms(r, label)) for r in rows), provenance, label
    )
    if not all(r.get("p99_latency_ms") for r in rows):
        return found
    tail = [(_batch(r["batch"], label), _number(r["p99_latency_ms"], label)) for r in rows]
    return replace(found, tail_ms=_checked(tail, provenance, label).points_ms)


def shipped_curves() -> tuple[str, ...]:
    """Return the names of the curves that come with this package."""
    return tuple(sorted(path.stem for path in CURVES_DIR.glob("*.csv")))


def _shipped(name: str) -> Path:
    known = shipped_curves()
    if name not in known:
        raise ConfigError(
            f'curve "{name}" does not exist; known are {", ".join(known)}, and files that end in '
            f".csv.{nearest(name, known)}"
        )
    return CURVES_DIR / f"{name}.csv"


def _select(rows: csv.DictReader[str], where: str, name: str) -> list[dict[str, str]]:
    """Return the rows in which every column that `where` names has its value."""
    columns = rows.fieldnames or ()
    wanted = []
    for part in filter(None, where.split(",")):
        column, equals, value = (text.strip() for text in part.partition("="))
        if not equals or column not in columns:
            raise ConfigError(
                f'{name}: "{part}" selects nothing; write COLUMN=VALUE with a column of '
                f"{', '.join(columns) or 'an empty file'}.{nearest(column, columns)}"
            )
        wanted.append((column, value))
    chosen = list(rows)
    for column, value in wanted:
        values = sorted({row[column] or "" for row in chosen})
        chosen = [row for row in chosen if row[column] == value]
        if not chosen:
            raise ConfigError(
                f"{name}: no line has {column}={value}; found {', '.join(values)}."
                f"{nearest(value, values)}"
            )
    return chosen


def _ms(row: Mapping[str, str], where: str) -> float:
    if row.get("ms"):
        return _number(row["ms"], where)
    per_s = _number(row.get("inferences_per_second"), where)
    return _batch(row.get("batch"), where) / per_s * MS_PER_S if per_s else math.inf


def _batch(text: str | None, where: str) -> int:
    number = _number(text, where)
    if number < 1 or number != int(number):
        raise ConfigError(f"{where}: batch {text} is not a size; expected 1, 2, 3 and so on.")
    return int(number)


def _number(text: str | None, where: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(
            f'{where}: "{text or ""}" is not a number; a point has a batch, and ms or '
            "inferences_per_second."
        )
    return number


def _checked(points: Iterable[tuple[int, float]], provenance: str, where: str) -> Curve:
    ordered = sorted(points)
    if not ordered:
        raise ConfigError(f"{where}: the curve has no points; expected one or more.")
    for (batch, ms), (after, _) in zip(ordered, [*ordered[1:], (0, 0.0)], strict=True):
        if not 0 < ms < math.inf:
            raise ConfigError(f"{where}: S({batch}) is {ms:g} ms; expected more than 0.")
        if batch == after:
            raise ConfigError(
                f"{where}: batch {batch} has two times. Select one curve of the file, or drop one."
            )
    return Curve(tuple(ordered), provenance)
