"""The charts of a table: p99 against throughput, average parts by load, distributions.

Only draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.table import PARTS, TRITON_PARTS, place
from sut.report import from_trace
from sut.report.bars import Layer, stacked
from sut.report.folder import point_of
from sut.report.run_charts import distributions
from sut.report.svg import Axes, Ring, Series, chart
from sut.sweep.budgets import LOAD_AXES, RATE, TAIL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.record.table import Row, Value
    from sut.report.folder import Sweep

    Picture = tuple[str, str]
    Group = tuple[str, list[Row]]

_MS = 1e6
_LEAST = 2  # a chart of one point shows nothing
_LINES = 6  # distributions in one chart
UNITS = {"batch": "batch, samples", "qps": "queries/s", "interval_ms": "interval, ms"}
_PERCENTILES = {"latency_p50_ns": "p50", "latency_p90_ns": "p90", TAIL: "p99"}


def pictures(sweep: Sweep, groups: Sequence[Group], knees: Sequence[Row]) -> list[Picture]:
    """Return (picture, caption) of each chart that the rows have figures for.

    Args:
        sweep: the table, and its folder.
        groups: see `groups_of`.
        knees: the rows to ring.

    Raises:
        DataError: the trace of a row cannot be read.
    """
    axis = main_axis(sweep.table.rows)
    found = [picture for name, mine in groups for picture in _parts(name, mine, axis)]
    return [*_tail(groups, axis, knees), *found, *_percentiles(groups, axis), *_traces(sweep)]


def main_axis(rows: Sequence[Row]) -> str:
    """Return the axis of the load: a known one that varies, or else the first that varies."""
    values: dict[str, set[Value]] = {}
    for row in rows:
        for axis, value in row.point.items():
            values.setdefault(axis, set()).add(value)
    varying = [axis for axis, found in values.items() if len(found) > 1]
    known = [axis for axis in LOAD_AXES if axis in varying]
    return next(iter([*known, *varying, *values]), "")


def parts_of(rows: Sequence[Row]) -> list[str]:
    """Return the parts of the latency that some row knows: ours, or those of Triton."""
    for names in (TRITON_PARTS, PARTS):
        if any(f"{names[-1]}_ns" in row.figures for row in rows):
            return [name for name in names if any(f"{name}_ns" in row.figures for row in rows)]
    return []


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Return the rows that differ in the load alone, by load, with their setting in words."""
    axis = main_axis(rows)
    constant = {name: {row.point.get(name) for row in rows} for row in rows for name in row.point}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        rest = {k: v for k, v in row.point.items() if k != axis and len(constant[k]) > 1}
        groups.setdefault(place(rest), []).append(row)
    return [(name, sorted(mine, key=lambda row: _load(row, axis))) for name, mine in groups.items()]


def _load(row: Row, axis: str) -> float:
    """Return the load, to sort by; rows whose load is no number stay in order."""
    value = row.point.get(axis)
    return value if isinstance(value, int | float) else 0.0


def _tail(groups: Sequence[Group], axis: str, knees: Sequence[Row]) -> list[Picture]:
    lines = []
    for name, rows in groups:
        known = [row for row in rows if {RATE, TAIL} <= row.figures.keys()]
        lines.append(
            Series(
                name,
                [(row.figures[RATE], row.figures[TAIL] / _MS) for row in known],
                "points" if any(isinstance(row.point.get(axis), str) for row in known) else "both",
                labels=[place(row.point) for row in known],
                words=[at(row, axis) for row in known],
            )
        )
    if sum(len(line.points) for line in lines) < _LEAST:
        return []
    rings = [
        Ring(row.figures[RATE], row.figures[TAIL] / _MS, f"knee: {place(row.point)}")
        for row in knees
        if TAIL in row.figures
    ]
    axes = Axes("throughput, samples/s", "p99 latency, ms", y_scale="log", x_from_zero=True)
    caption = f"The {axis.replace('_', ' ')} is written at each point; a ring marks a knee."
    return [(chart("p99 against throughput", axes, lines, rings=rings), caption)]


def _parts(name: str, rows: Sequence[Row], axis: str) -> list[Picture]:
    names = parts_of(rows)
    known = [row for row in rows if row.problem is None]
    if not names or len(known) < _LEAST:
        return []
    values = {n: [_ms(row, f"{n}_ns") for row in known] for n in names}
    layers = [Layer(words(n), heights) for n, heights in values.items() if any(heights)]
    line = ("throughput, right axis", [row.figures.get(RATE) for row in known])
    axes = Axes(UNITS.get(axis, axis), "average parts, ms", y2="samples/s")
    title = f"Average parts of the latency{f', {name}' if name else ''}"
    caption = (
        "Bars: the average of each part over all requests, not of the slow ones. Line: throughput."
    )
    return [(stacked(title, axes, [at(row, axis) for row in known], layers, line), caption)]


def _percentiles(groups: Sequence[Group], axis: str) -> list[Picture]:
    """Return percentiles by load, of tables whose load is a number."""
    lines = []
    for name, rows in groups:
        for key, percentile in _PERCENTILES.items():
            points = [
                (float(value), row.figures[key] / _MS)
                for row in rows
                if isinstance(value := row.point.get(axis), int | float) and key in row.figures
            ]
            both = ", ".join(filter(None, (percentile, name)))
            lines.append(Series(both, points, "both" if key == TAIL else "line"))
    if len(groups) > 1:  # more lines than can be told apart
        lines = [line for line in lines if line.name.startswith(_PERCENTILES[TAIL])]
    if sum(len(line.points) for line in lines) < _LEAST * len(lines) or not lines:
        return []
    axes = Axes(UNITS.get(axis, axis), "latency, ms", "log", "log")
    return [(chart("Latency by load", axes, lines), "")]


def _traces(sweep: Sweep) -> list[Picture]:
    """Return the distributions of latencies of evenly chosen rows that have a trace."""
    rows = [row for row in sweep.table.rows if row.folder]
    step = max(1, -(-len(rows) // _LINES))
    lines, samples, are_due = [], 0, True
    for row in rows[::step]:
        if (found := point_of(sweep.folder / str(row.folder))) is not None:
            values = from_trace.latencies_ns(found[0])
            lines.append((place(row.point), from_trace.distribution(values)))
            samples += len(values)
            are_due = are_due and found[1]
    start = "when it was due" if are_due else "IssueQuery"
    return [distributions(lines, samples, start=start)] if lines else []


def words(name: str) -> str:
    """Return the name of a part in words."""
    return name.replace("_", " ")


def at(row: Row, axis: str) -> str:
    """Return the load of a row, as text."""
    value = row.point.get(axis, "-")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _ms(row: Row, key: str) -> float | None:
    value = row.figures.get(key)
    return None if value is None else value / _MS
