"""The charts of a concurrency grid: throughput, energy, what a batch costs the host, distributions.

Only draws.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sut.base.errors import DataError
from sut.record.table import place
from sut.report.device_readings import DISTRIBUTED, cumulated, distributions, readings
from sut.report.svg import COLOURS, Axes, Series, chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sut.record.table import Row
    from sut.report.folder import Sweep

    Picture = tuple[str, str]

Item = TypeVar("Item")
SOURCE = "sut concurrency"
SPANS_FILE = "spans.json"
_PROCESSES, _BATCH, _PRECISION = "processes", "batch", "precision"
_LEAST = 2  # a chart of one point shows nothing
_MS, _US = 1e6, 1e3


@dataclass(frozen=True, slots=True)
class _Line:
    """A figure by an axis: a line for each combination of the other axes."""

    title: str
    figure: str
    axis: str
    label: str
    divisor: float = 1.0
    is_log: bool = False
    caption: str = ""


_LINES = (
    _Line("Throughput by processes", "samples_per_s", _PROCESSES, "samples/s"),
    _Line("Throughput of each process by batch", "per_process_mean", _BATCH, "samples/s", 1, True),
    _Line("Memory by processes", "memory_bytes", _PROCESSES, "MiB", 1 << 20),
    _Line("Power by processes", "power_w", _PROCESSES, "W"),
    _Line("Energy of a sample", "energy_j_per_sample", _PROCESSES, "J", 1, True,
          "Of the whole device, with what it draws when idle."),
    _Line("Time in the execution context", "ec_ns", _PROCESSES, "mean of a batch, us", _US, True,
          "From a free slot until the launch has returned."),
    _Line("Wait for the device", "sync_ns", _PROCESSES, "mean of a batch, ms", _MS, True),
    _Line("Waiting for a core", "run_queue_ns", _PROCESSES, "us for each batch", _US, True,
          "How long the threads of the processes were ready to run and had no core."),
    _Line("Forced switches", "involuntary_switches", _PROCESSES, "for each batch", 1, False,
          "How often a thread lost its core to another one."),
)  # fmt: skip
# Distributions over the batches of a point: name in spans.json, title, unit, divisor.
_SPANS = (
    ("latency_ns", "Latency of a batch", "ms", _MS),
    ("ec_ns", "Time in the execution context", "us", _US),
    ("sync_ns", "Wait for the device", "ms", _MS),
    ("wake_up_ns", "From the device to the thread", "us", _US),
)


def pictures(sweep: Sweep) -> list[Picture]:
    """Return (picture, caption) of each chart that the rows have figures for.

    Raises:
        DataError: what a row left cannot be read.
    """
    rows = [row for row in sweep.table.rows if row.problem is None]
    found = [picture for line in _LINES for picture in _drawn(line, rows)]
    for axis in (_PROCESSES, _PRECISION):
        chosen = _differing(rows, axis)
        if len(chosen) >= _LEAST:
            found += _distributions(sweep.folder, chosen, axis)
    return found


def _drawn(line: _Line, rows: Sequence[Row]) -> list[Picture]:
    """Return the chart of a figure by an axis; nothing where no line has two points."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        value, height = row.point.get(line.axis), row.figures.get(line.figure)
        if isinstance(value, int | float) and height is not None:
            rest = place({a: v for a, v in row.point.items() if a != line.axis})
            lines.setdefault(rest, []).append((float(value), height / line.divisor))
    drawn = {name: sorted(points) for name, points in lines.items() if len(points) >= _LEAST}
    if not drawn:
        return []
    series = [Series(name, points, "both") for name, points in _thinned(list(drawn.items()))]
    is_log = line.is_log and all(y > 0 for one in series for _, y in one.points)
    axes = Axes(
        "batch, samples" if line.axis == _BATCH else line.axis,
        line.label,
        "log",
        "log" if is_log else "linear",
        y_from_zero=not is_log,
    )
    return [(chart(line.title, axes, series), line.caption)]


def _differing(rows: Sequence[Row], axis: str) -> list[Row]:
    """Return the rows that differ on one axis alone: with the largest batch and most processes."""
    known = [row for row in rows if axis in row.point]

    def size(row: Row) -> tuple[float, float]:
        return tuple(float(row.point.get(a, 0)) for a in (_BATCH, _PROCESSES))  # type: ignore[return-value]  # two

    if not known:
        return []
    largest = max(known, key=size)
    rest = {a: v for a, v in largest.point.items() if a != axis}
    return [row for row in known if {a: v for a, v in row.point.items() if a != axis} == rest]


def _distributions(folder: Path, rows: Sequence[Row], axis: str) -> list[Picture]:
    """Return the distributions of what each of some rows left in its folder."""
    rest = place({a: v for a, v in rows[0].point.items() if a != axis})
    where = f" by {axis}{f', {rest}' if rest else ''}"
    named = [(place({axis: row.point[axis]}), row) for row in _thinned(rows)]
    spans = [(name, _spans(folder / str(row.folder))) for name, row in named]
    found = []
    for span, title, unit, divisor in _SPANS:
        series = [
            Series(name, [(value / divisor, share) for value, share in values[span]])
            for name, values in spans
            if span in values
        ]
        if series:
            axes = Axes(unit, "share of the batches", "log", y_from_zero=True)
            found.append((chart(title + where, axes, series), ""))
    for column, title in DISTRIBUTED.items():
        lines = {name: _told(folder, row, column) for name, row in named}
        if any(lines.values()):
            found.append(distributions(title + where, lines))
    return found


def _spans(folder: Path) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Return (ns, share of the batches) of each span of a point; nothing without its file."""
    path = folder / SPANS_FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        return {
            name: [(value, share) for value, share in cumulated(values) if value > 0]
            for name, values in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: {error}; expected what `sut concurrency` wrote.") from error


def _told(folder: Path, row: Row, column: str) -> list[float]:
    """Return what the devices reported in the window of a row."""
    until_s = row.figures.get("duration_s", 0.0)
    found = readings(folder / str(row.folder), column).values()
    return [value for device in found for at_s, value in device if 0 <= at_s <= until_s]


def _thinned(items: Sequence[Item]) -> Sequence[Item]:
    """Return as many as there are colours, evenly chosen."""
    return items[:: max(1, -(-len(items) // COLOURS))]
