"""perf_analyzer's CSV (`-f FILE`, `--verbose-csv`), in us; and the same columns in ms.

Columns: perf_analyzer's report_writer.cc. With " (ms)" in their names they are those of NVIDIA's
studies of models on Triton (offline_summary.csv, online_summary.csv), which also name the batch.
Inferences/Second counts samples (inference_profiler.cc: requests x batch / s).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sut.record.importers.source import (
    NS_PER_MS,
    NS_PER_US,
    Line,
    comma_lines,
    each_once,
    first_line,
    told,
)
from sut.record.table import Row, Table

if TYPE_CHECKING:
    from sut.record.importers.source import Source
    from sut.record.table import Value

TOOL = "perf_analyzer"
RATE = "Inferences/Second"
_BATCHES = ("Batch", "Batch Size", "Batch size")
_AXES = {"Concurrency": "concurrency", "Request Rate": "qps", **dict.fromkeys(_BATCHES, "batch")}
_TIMES = {
    "Client Send": "client_send_ns",
    "Network+Server Send/Recv": "network_ns",
    "Server Queue": "queue_ns",
    "Server Compute Input": "compute_input_ns",
    "Server Compute Infer": "compute_infer_ns",
    "Server Compute Output": "compute_output_ns",
    "Client Recv": "client_recv_ns",
    "Avg latency": "latency_mean_ns",
    "avg latency": "latency_mean_ns",
}
_PERCENTILE = re.compile(r"p(\d{1,2}) latency")
_UNIT = " (ms)"
# One value a GPU: `UUID:VALUE;UUID:VALUE;`.
_GPU_FIGURES = {"Avg GPU Power Usage": "power_w", "Max GPU Memory Usage": "memory_bytes"}
_LITTLE = (0.97, 1.03)


def recognizes(source: Source) -> bool:
    """Say whether this is such a table, by its first line."""
    first = first_line(source)
    return RATE in first and "Client Send" in first and "," in first


def read(source: Source) -> list[Table]:
    """Return the one table of a file.

    Raises:
        DataError: names the line that is wrong.
    """
    header, lines = comma_lines(source)
    return [table_of(source, header, lines, told(source))]


def table_of(
    source: Source, header: list[str], lines: list[Line], configuration: dict[str, str]
) -> Table:
    """Return the table of these lines.

    Args:
        source: the file.
        header: the names of the columns.
        lines: with the cells by those names.
        configuration: what the file says of the measurement.

    Raises:
        DataError: a column is missing, or a cell is no number.
    """
    load_axes = {"Concurrency", "Request Rate"} & set(header)
    if RATE not in header or not load_axes:
        raise source.error(
            lines[0].number, f'no column "{RATE}", or neither "Concurrency" nor "Request Rate".'
        )
    known = {column: name for column in header if (name := _name(column)) is not None}
    taken = {*known, *_AXES, RATE, *_GPU_FIGURES}
    ignored = [column for column in header if column not in taken]
    offline = any(name in header for name in _BATCHES) and len(lines) > 1 and _constant(lines)
    rows = [(line.number, _row(line, known, offline)) for line in lines]
    configuration = {**(configuration or {"Tool": TOOL})}
    if source.batch is not None:
        configuration["Batch"] = f"{source.batch}, as given on the command line"
    if ignored:
        configuration["Not imported"] = ", ".join(ignored)
    load = "offline" if offline else "closed" if "Concurrency" in header else "open"
    return Table(
        title=f"{TOOL}: {source.where}",
        source=TOOL,
        load=load,
        configuration=configuration,
        rows=each_once(source, rows),
    )


def _constant(lines: list[Line]) -> bool:
    """Say whether all have one request in flight: the study's offline tables sweep the batch."""
    return all(line.cells.get("Concurrency") == "1" for line in lines)


def _name(column: str) -> str | None:
    """Return our name of a time; None for another column."""
    plain = column.removesuffix(_UNIT)
    if found := _PERCENTILE.fullmatch(plain):
        return f"latency_p{found[1]}_ns"
    return _TIMES.get(plain)


def _row(line: Line, known: dict[str, str], offline: bool) -> Row:
    point: dict[str, Value] = {}
    for column, axis in _AXES.items():
        if column in line.cells:
            point[axis] = line.value(column)
    batch = point.pop("batch", None if line.source.batch is None else line.source.batch)
    if offline:
        point.pop("concurrency")
    if batch is not None:
        point = {"batch": batch} if offline else {**point, "request_batch": batch}
    figures = {"samples_per_s": line.figure(RATE)}
    for column, name in known.items():
        scale = NS_PER_MS if column.endswith(_UNIT) else NS_PER_US
        figures[name] = line.figure(column) * scale
    if isinstance(batch, int) and batch:
        figures["requests_per_s"] = figures["samples_per_s"] / batch
    for column, name in _GPU_FIGURES.items():
        if line.cells.get(column):
            figures[name] = _sum_of_gpus(line, column)
    return _with_little(Row(point=point, figures=figures), 1 if offline else None)


def _sum_of_gpus(line: Line, column: str) -> float:
    values = [part.rpartition(":")[2] for part in line.cells[column].split(";") if part]
    return sum(replace(line, cells={column: value}).figure(column) for value in values)


def _with_little(row: Row, concurrency: Value | None) -> Row:
    """Add throughput x mean latency / samples in flight, where all three are known."""
    rate, mean_ns = row.figures.get("requests_per_s"), row.figures.get("latency_mean_ns")
    clients = concurrency if concurrency is not None else row.point.get("concurrency")
    if not isinstance(clients, int) or not clients or rate is None or mean_ns is None:
        return row
    little = rate * mean_ns / 1e9 / clients
    low, high = _LITTLE
    mark = f"breaks Little's law: throughput x mean latency is {little:.3f} of what is in flight"
    return Row(
        point=row.point,
        figures={**row.figures, "little": little},
        marks=() if low <= little <= high else (mark,),
    )
