"""The rows of a table as HTML: every figure that some row has, and the parts of the latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.report import page, sweep_charts
from sut.sweep.budgets import RATE, TAIL
from sut.sweep.columns import notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.record.table import Row, Table

_MS = 1e6
_REQUESTS = "requests_per_s"
_TIMES = {
    "latency_mean_ns": "mean ms", "latency_p50_ns": "p50 ms", "latency_p90_ns": "p90 ms",
    "latency_p95_ns": "p95 ms", TAIL: "p99 ms", "latency_p999_ns": "p99.9 ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the rows: header, factor from the figure's unit, format."""

    header: str
    factor: float = 1.0
    form: str = ",.4g"


COLUMNS = {
    RATE: Column("samples/s", form=",.1f"),
    "spread": Column("± 95 %", form=".1%"),
    _REQUESTS: Column("requests/s", form=",.1f"),
    "offered_per_s": Column("offered/s", form=",.1f"),
    **{name: Column(header, 1 / _MS, ",.3f") for name, header in _TIMES.items()},
    "mean_batch": Column("mean batch", form=",.2f"),
    "requests": Column("requests", form=",.0f"),
    "duration_s": Column("duration s", form=",.1f"),
    "turn_overs": Column("turn-overs", form=",.0f"),
    "little": Column("Little's ratio", form=".3f"),
    "lateness_p99_ns": Column("lateness p99 ms", 1 / _MS, ",.3f"),
    "late_share": Column("late", form=".2%"),
    "unanswered": Column("unanswered", form=",.0f"),
    "power_w": Column("power W", form=",.1f"),
    "energy_j_per_sample": Column("J/sample"),
    "energy_above_idle_j_per_sample": Column("J/sample above idle"),
    "memory_bytes": Column("memory GiB", 1 / 2**30, ",.2f"),
    "per_process_mean": Column("samples/s a process"),
    "per_process_min": Column("least"),
    "per_process_max": Column("most"),
    "fairness": Column("fairness", form=".4f"),
    "utilisation_percent": Column("use %"),
    "sm_percent": Column("SM %"),
    "tensor_percent": Column("tensor %"),
    "dram_percent": Column("DRAM %"),
    "decoder_percent": Column("decoder %"),
    "encoder_percent": Column("encoder %"),
    "device_memory_bytes": Column("device GiB", 1 / 2**30, ",.2f"),
    "ec_ns": Column("EC us", 1e-3),
    "sync_ns": Column("sync ms", 1 / _MS),
    "wake_up_ns": Column("wake-up us", 1e-3),
    "run_queue_ns": Column("core wait us", 1e-3),
    "involuntary_switches": Column("forced switches"),
    "migrations": Column("migrations"),
    "intrusion": Column("intrusion", form=".1%"),
    "accuracy": Column("accuracy", form=".2%"),
    "fps_per_stream_mean": Column("FPS a stream", form=",.2f"),
    "fps_per_stream_worst": Column("slowest", form=",.2f"),
    "fps_per_stream_p5": Column("p5", form=",.2f"),
    "dropped": Column("dropped", form=",.0f"),
    "cpu_cores": Column("CPU cores", form=",.2f"),
    "energy_j_per_frame": Column("J/frame"),
    "objects_per_frame": Column("objects/frame", form=",.2f"),
    "hota": Column("HOTA", form=".4f"),
    "idf1": Column("IDF1", form=".4f"),
    "mota": Column("MOTA", form=".4f"),
    "map": Column("mAP", form=".4f"),
}


def rows_of(table: Table) -> str:
    """Return every row with its figures, and below them what each mark and each problem means."""
    rows = table.rows
    columns = {k: c for k, c in COLUMNS.items() if any(k in row.figures for row in rows)}
    if all(row.figures.get(_REQUESTS) == row.figures.get(RATE) for row in rows):
        columns.pop(_REQUESTS, None)  # requests of one sample
    known = list(dict.fromkeys(mark for row in rows for mark in row.marks))
    marks = [
        _mark("failed")
        if row.problem
        else " ".join(_mark(str(known.index(mark) + 1)) for mark in row.marks)
        for row in rows
    ]
    return _table("Rows", rows, columns, marks) + page.points(notes(table), is_plain=True)


def _mark(text: str) -> str:
    return f"⚠ {text}"


def parts_of(rows: Sequence[Row]) -> str:
    """Return the means of the parts, as the stacked chart has them; nothing where none is known."""
    names = sweep_charts.parts_of(rows)
    columns = {f"{n}_ns": Column(f"{sweep_charts.words(n)} ms", 1 / _MS, ",.3f") for n in names}
    return _table("Average parts of the latency", rows, columns, []) if names else ""


def cell(row: Row, name: str, column: Column | None = None) -> str:
    """Return a figure as text; the column is that of its name unless given."""
    column = column or COLUMNS[name]
    value = row.figures.get(name)
    return "-" if value is None else format(value * column.factor, column.form)


def _table(
    title: str, rows: Sequence[Row], columns: Mapping[str, Column], marks: Sequence[str]
) -> str:
    axes = list(dict.fromkeys(axis for row in rows for axis in row.point))
    header = [*(a.replace("_", " ") for a in axes), *(c.header for c in columns.values())]
    lines = [
        [
            *(sweep_charts.at(row, axis) for axis in axes),
            *(cell(row, name, column) for name, column in columns.items()),
        ]
        for row in rows
    ]
    left = [k for k, a in enumerate(axes) if any(isinstance(r.point.get(a), str) for r in rows)]
    if any(marks):  # beside the point, where they are seen without scrolling
        place = len(axes)
        left.append(place)
        header.insert(place, "marks")
        for line, mark in zip(lines, marks, strict=True):
            line.insert(place, mark)
    return page.table(header, lines, left, title)
