"""model_analyzer's metrics-model-inference.csv, metrics-model-gpu.csv, metrics-server-only.csv.

Columns: model_analyzer's docs/metrics.md and record/types; a user chooses which are there, so all
are optional but the model. In the GPU's file, memory and power are added over GPUs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sut.record.importers.source import (
    BYTES_PER_MB,
    NS_PER_MS,
    Line,
    comma_lines,
    each_once,
    number,
)
from sut.record.table import Row, Table

if TYPE_CHECKING:
    from sut.record.importers.source import Source
    from sut.record.table import Value

TOOL = "model_analyzer"
_MODEL, _GPU, _CONSTRAINTS = "Model", "GPU UUID", "Satisfies Constraints"
_AXES = {
    "Model Config Path": "config",
    "Batch": "request_batch",
    "Concurrency": "concurrency",
    "Request Rate": "qps",
}
# Column to our name, and what one unit of it is in ours. "Server Queue time" is in ms, as all.
_FIGURES = {
    "Throughput (infer/sec)": ("samples_per_s", 1.0),
    "Avg Latency (ms)": ("latency_mean_ns", NS_PER_MS),
    "p90 Latency (ms)": ("latency_p90_ns", NS_PER_MS),
    "p95 Latency (ms)": ("latency_p95_ns", NS_PER_MS),
    "p99 Latency (ms)": ("latency_p99_ns", NS_PER_MS),
    "Server Queue time (ms)": ("queue_ns", NS_PER_MS),
    "Server Compute Input time (ms)": ("compute_input_ns", NS_PER_MS),
    "Server Compute Infer time (ms)": ("compute_infer_ns", NS_PER_MS),
    "Server Compute Output time (ms)": ("compute_output_ns", NS_PER_MS),
    "GPU Memory Usage (MB)": ("memory_bytes", BYTES_PER_MB),
    "GPU Power Usage (W)": ("power_w", 1.0),
}
_SETTINGS = ("Instance Group", "Max Batch Size", "Preferred Batch Sizes")


def recognizes(source: Source) -> bool:
    """Say whether this is such a file, by the columns of its first line."""
    columns = source.text.lstrip().split("\n", 1)[0].strip().split(",")
    named = {_CONSTRAINTS, _GPU, "Model Config Path"} & set(columns)
    return _MODEL in columns and bool(named or set(_FIGURES) & set(columns))


def read(source: Source) -> list[Table]:
    """Return a table for each model, or for each set of models that were measured together.

    Raises:
        DataError: names the line that is wrong.
    """
    header, lines = comma_lines(source)
    if not set(_FIGURES) & set(header):
        raise source.error(
            lines[0].number, f"no column with a figure; expected one of {', '.join(_FIGURES)}."
        )
    models = dict.fromkeys(line.cells[_MODEL] for line in lines)
    return [
        _table(source, header, model, [line for line in lines if line.cells[_MODEL] == model])
        for model in models
    ]


def _table(source: Source, header: list[str], model: str, lines: list[Line]) -> Table:
    rows: dict[tuple[object, ...], tuple[int, Row]] = {}
    for line, point in zip(lines, _points(lines), strict=True):
        row = _row(line, point)
        key = tuple(row.point.values()) if _GPU in header else (line.number,)
        first, before = rows.get(key, (line.number, None))
        rows[key] = (first, row if before is None else _added(before, row))
    taken = {_MODEL, _GPU, _CONSTRAINTS, *_AXES, *_FIGURES, *_SETTINGS}
    ignored = [column for column in header if column not in taken]
    configuration = {"Tool": TOOL, "Model": model}
    for column in _SETTINGS:
        values = dict.fromkeys(line.cells[column] for line in lines if column in line.cells)
        if len(values) == 1:
            configuration[column] = next(iter(values))
    if ignored:
        configuration["Not imported"] = ", ".join(ignored)
    return Table(
        title=f"{TOOL}, {model}: {source.where}",
        source=TOOL,
        load="open" if "Request Rate" in header else "closed",
        configuration=configuration,
        rows=each_once(source, list(rows.values())),
    )


def _points(lines: list[Line]) -> list[dict[str, Value]]:
    """Return the point of each line, numbered where the columns do not tell two lines apart.

    One configuration of a model that calls others ran with several configurations of those, which
    the file does not name.
    """
    points: list[dict[str, Value]] = [
        {axis: line.value(column) for column, axis in _AXES.items() if column in line.cells}
        for line in lines
    ]
    seen: Counter[tuple[object, ...]] = Counter()
    numbers = []
    for line, point in zip(lines, points, strict=True):
        key = (*point.values(), line.cells.get(_GPU))
        seen[key] += 1
        numbers.append(seen[key])
    if max(numbers) > 1:
        points = [{**point, "repeat": k} for point, k in zip(points, numbers, strict=True)]
    return points


def _row(line: Line, point: dict[str, Value]) -> Row:
    figures = {}
    for column, (name, unit) in _FIGURES.items():
        if line.cells.get(column):
            figures[name] = _first(line, column) * unit
    batch, rate = line.cells.get("Batch", ""), figures.get("samples_per_s")
    if rate is not None and batch.isdecimal() and int(batch):
        figures["requests_per_s"] = rate / int(batch)
    failed = line.cells.get(_CONSTRAINTS) == "No"
    return Row(
        point=point,
        figures=figures,
        marks=("does not satisfy the constraints of that search",) if failed else (),
    )


def _first(line: Line, column: str) -> float:
    """Return a figure; of several models that ran together, of all: `421.0, [184.5,236.5]`."""
    text = line.cells[column].partition(", [")[0]
    return number(line.source, line.number, f'column "{column}"', text)


def _added(before: Row, row: Row) -> Row:
    """Return the figures of several GPUs together."""
    figures = {
        name: before.figures[name] + value
        for name, value in row.figures.items()
        if name in before.figures
    }
    return Row(point=row.point, figures=figures, marks=row.marks)
