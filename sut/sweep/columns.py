"""A table as text: our own columns, or those of NVIDIA's study of TFT on Triton. Pure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.record.table import PARTS, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.record.table import Row, Table, Value

COLUMNS = ("own", "triton")
_MS, _US = 1e6, 1e3
# In this order in CSV files; others follow by name.
_FIGURES = (
    "samples_per_s", "requests_per_s", "offered_per_s", "spread", "latency_mean_ns",
    "latency_p50_ns", "latency_p90_ns", "latency_p95_ns", "latency_p97_ns", "latency_p99_ns",
    "latency_p99_low_ns", "latency_p99_high_ns", "latency_p999_ns",
    *(f"{part}{end}" for part in PARTS for end in ("_ns", "_p50_ns", "_p99_ns")),
    "mean_batch", "power_w", "energy_j_per_sample", "energy_above_idle_j_per_sample",
    "memory_bytes", "per_process_mean", "per_process_min", "per_process_max", "fairness",
    "accuracy", "requests", "samples", "duration_s", "turn_overs", "little", "in_flight",
    "lateness_p50_ns", "lateness_p99_ns", "lateness_max_ns", "late_share", "unanswered",
    "parts_error_ns", "lost_workers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table that people read.

    Attributes:
        title: with the unit.
        figure: its name; empty: the study has it, and ours is always 0.
        divisor: from the figure's unit to the column's.
        form: of the number.
    """

    title: str
    figure: str
    divisor: float = 1.0
    form: str = ",.1f"


_OWN = (
    Column("samples/s", "samples_per_s", form=",.6g"),
    *(
        Column(f"{name} ms", f"latency_{name}_ns", _MS, ",.4g")
        for name in ("mean", "p50", "p90", "p95", "p99", "p999")
    ),
    *(Column(f"{part} ms", f"{part}_ns", _MS, ",.4g") for part in PARTS),
    Column("mean batch", "mean_batch", form=",.4g"),
    Column("a process", "per_process_mean", form=",.5g"),
    Column("least", "per_process_min", form=",.5g"),
    Column("most", "per_process_max", form=",.5g"),
    Column("fairness", "fairness", form=".4f"),
    Column("W", "power_w"),
    Column("J a sample", "energy_j_per_sample", form=",.4g"),
    Column("above idle", "energy_above_idle_j_per_sample", form=",.4g"),
    Column("memory MiB", "memory_bytes", 1 << 20, ",.0f"),
    Column("use %", "utilisation_percent"),
    Column("SM %", "sm_percent"),
    Column("tensor %", "tensor_percent"),
    Column("DRAM %", "dram_percent"),
    Column("EC us", "ec_ns", _US, ",.4g"),
    Column("EC p99 us", "ec_p99_ns", _US, ",.4g"),
    Column("sync ms", "sync_ns", _MS, ",.4g"),
    Column("wake-up us", "wake_up_ns", _US, ",.4g"),
    Column("core wait us", "run_queue_ns", _US, ",.4g"),
    Column("forced switches", "involuntary_switches", form=",.3g"),
    Column("migrations", "migrations", form=",.3g"),
    Column("intrusion", "intrusion", form=".1%"),
    Column("accuracy", "accuracy", form=".4f"),
)
# Our parts in the study's columns. Our clients are in the process of the server: nothing is sent.
_TRITON = (
    Column("Inferences/Second", "samples_per_s"),
    Column("Client Send (ms)", "issue_ns", _MS, ".3f"),
    Column("Network+Server Send/Recv (ms)", ""),
    Column("Server Queue (ms)", "queue_ns", _MS, ".3f"),
    Column("Server Compute Input (ms)", "dispatch_ns", _MS, ".3f"),
    Column("Server Compute Infer (ms)", "compute_ns", _MS, ".3f"),
    Column("Server Compute Output (ms)", "completion_ns", _MS, ".3f"),
    Column("Client Recv (ms)", ""),
    *(
        Column(f"{name} latency (ms)", f"latency_{name}_ns", _MS, ".3f")
        for name in ("p50", "p90", "p95", "p99")
    ),
    Column("avg latency (ms)", "latency_mean_ns", _MS, ".3f"),
)
_TRITON_AXES = ("Batch", "Concurrency")


def header(table: Table, columns: str) -> list[str]:
    """Return the titles of the columns."""
    if columns == "triton":
        return [*_TRITON_AXES, *(column.title for column in _TRITON)]
    return [*axes(table), *(column.title for column in _shown(table)), "marks"]


def lines(table: Table, columns: str) -> list[list[str]]:
    """Return the rows that have figures, as text; a mark is a number that `notes` explains."""
    rows = [row for row in table.rows if row.problem is None]
    if columns == "triton":
        return [[*_triton_axes(row), *_cells(row, _TRITON, ",")] for row in rows]
    known = list(dict.fromkeys(mark for row in rows for mark in row.marks))
    return [
        [
            *(_text(row.point.get(axis, "")) for axis in axes(table)),
            *_cells(row, _shown(table)),
            " ".join(str(known.index(mark) + 1) for mark in row.marks),
        ]
        for row in rows
    ]


def notes(table: Table) -> list[str]:
    """Return what is said below a table: what each mark means, and which points are left out."""
    marks: dict[str, list[str]] = {}
    for row in table.rows:
        for mark in row.marks:
            marks.setdefault(mark, []).append(place(row.point))
    found = [
        f"{number}. {'; '.join(where)}: {mark}"
        for number, (mark, where) in enumerate(marks.items(), 1)
    ]
    left = [row for row in table.rows if row.problem is not None]
    return [*found, *(f"Left out: {place(row.point)}: {row.problem}" for row in left)]


def as_csv(titles: Sequence[str], rows: Sequence[Sequence[str]], block: Mapping[str, str]) -> str:
    """Return CSV with the configuration block above it, in lines that begin with #."""
    text = io.StringIO()
    for name, value in block.items():
        text.write(f"# {name}: {value}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    return text.getvalue()


def full(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return titles and all rows, with every figure in its own unit, and marks and problems."""
    names = [name for name in _FIGURES if any(name in row.figures for row in table.rows)]
    names += sorted({name for row in table.rows for name in row.figures} - set(names))
    titles = [*axes(table), *names, "simulated", "marks", "problem", "folder"]
    rows = [
        [
            *(_text(row.point.get(axis, "")) for axis in axes(table)),
            *(_plain(row.figures[name]) if name in row.figures else "" for name in names),
            "yes" if row.simulated else "no",
            " | ".join(row.marks),
            row.problem or "",
            row.folder or "",
        ]
        for row in table.rows
    ]
    return titles, rows


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, figures to the right."""
    body = [titles, ["---:"] * len(titles), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in body)


def axes(table: Table) -> list[str]:
    """Return the axes of all rows, in order."""
    return list(dict.fromkeys(axis for row in table.rows for axis in row.point))


def _shown(table: Table) -> list[Column]:
    return [column for column in _OWN if any(column.figure in row.figures for row in table.rows)]


def _cells(row: Row, columns: Sequence[Column], without: str = "") -> list[str]:
    """Return figures as text; `without` is what the text must not contain."""
    found = []
    for column in columns:
        if not column.figure:
            found.append("0.000")
        elif column.figure in row.figures:
            text = format(row.figures[column.figure] / column.divisor, column.form)
            found.append(text.replace(without, "") if without else text)
        else:
            found.append("")
    return found


def _triton_axes(row: Row) -> list[str]:
    point = row.point
    if "batch" in point:
        return [_text(point["batch"]), _text(row.figures.get("in_flight", 1))]
    return [_text(point.get("request_batch", 1)), _text(point.get("concurrency", ""))]


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: float) -> str:
    return f"{value:.10g}"
