"""trtexec's text (`=== Performance summary ===`) of TensorRT 8, 10 and 11.

Source: TensorRT's samples/common/sampleReporting.cpp. Its qps counts queries; with an implicit
batch (`--batch`, TensorRT 8) it counts samples. Its latency is copy, compute and copy, without a
queue. The defaults for copies, CUDA graphs and spin-wait differ between 10 and 11: they are kept.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.record.importers.source import NS_PER_MS, each_once, number
from sut.record.table import Row, Table

if TYPE_CHECKING:
    from sut.record.importers.source import Source

TOOL = "trtexec"
_RUN = "&&&& RUNNING TensorRT.trtexec"
_SUMMARY = "=== Performance summary ==="
_STAMP = re.compile(r"^\[[\d/:-]+\] \[(?P<level>[A-Z])\] ?")
_METRIC = re.compile(r"(?P<name>[A-Z][\w -]*): (?P<value>\S.*)")
_QUANTITY = re.compile(r"(min|max|mean|median|percentile\((\d+(?:\.\d+)?)%\)) = (\S+) ms")
# Which figure a line with min, max, mean, ... fills.
_TIMES = {
    "Latency": "latency",
    "H2D Latency": "compute_input",
    "GPU Compute Time": "compute_infer",
    "D2H Latency": "compute_output",
}
# Settings that make two runs differ, as the log names them.
_SETTINGS = (
    *("Model", "Load engine", "Precision", "Input inference shapes", "Inference Streams"),
    *("Streams", "Data transfers", "Spin-wait", "Multithreading", "CUDA Graph"),
)
_ENVIRONMENT = ("Selected Device", "TensorRT version", "Device Global Memory", "Memory Bus Width")
_BINDING = re.compile(
    r"(?:Created input binding for|Input binding for) \S+ with dimensions (\d{1,9})(?:x\d+)*\b"
)
_SHAPE = re.compile(r"[^:,\s]+:(\d{1,9})(?:x\d+)*")


def recognizes(source: Source) -> bool:
    """Say whether this is such a text."""
    return _RUN in source.text or (_SUMMARY in source.text and " qps" in source.text)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of trtexec in the text.

    Attributes:
        first: number of its first line.
        lines: without time and level; their levels.
    """

    first: int
    lines: list[tuple[str, str]]

    @property
    def summary(self) -> int | None:
        """The index of the line that begins its summary."""
        return next((k for k, (_, text) in enumerate(self.lines) if text == _SUMMARY), None)


def read(source: Source) -> list[Table]:
    """Return the runs in a text: those with the same settings are one table, a row a batch.

    Raises:
        DataError: names the line that is wrong, or what is missing.
    """
    runs = [run for run in _runs(source) if run.summary is not None]
    if not runs:
        raise source.error(
            len(source.text.splitlines()) or 1,
            f'no line "{_SUMMARY}" before the end; expected the whole output of TensorRT 8 or '
            "later. Did that run end early?",
        )
    tables: dict[tuple[tuple[str, str], ...], list[tuple[_Run, Row]]] = {}
    for run in runs:
        settings = {**_found(run, _SETTINGS), **_found(run, _ENVIRONMENT)}
        settings.pop("Input inference shapes", None)
        tables.setdefault(tuple(settings.items()), []).append((run, _row(source, run)))
    return [_table(source, rows) for rows in tables.values()]


def _runs(source: Source) -> list[_Run]:
    runs = [_Run(1, [])]
    for number_, line in enumerate(source.text.splitlines(), 1):
        if line.startswith(_RUN):
            runs.append(_Run(number_, []))
        stamp = _STAMP.match(line)
        level = stamp["level"] if stamp else ""
        runs[-1].lines.append((level, line[stamp.end() if stamp else 0 :].strip()))
    return runs


def _found(run: _Run, names: tuple[str, ...]) -> dict[str, str]:
    """Return the values of lines such as `CUDA Graph: Enabled`; the first of a name."""
    found: dict[str, str] = {}
    for _, text in run.lines[: run.summary]:
        name, colon, value = text.partition(":")
        if colon and name.strip() in names and value.strip():
            found.setdefault(name.strip().replace("inference shape ", ""), value.strip())
    return found


def _table(source: Source, rows: list[tuple[_Run, Row]]) -> Table:
    run = rows[0][0]
    batches = dict.fromkeys(_batch(source, run)[1] for run, _ in rows)
    command = run.lines[0][1].partition(" # ")[2] if run.lines[0][1].startswith(_RUN) else ""
    settings = _found(run, _SETTINGS)
    settings.pop("Input inference shapes", None)
    return Table(
        title=f"{TOOL}: {source.where}",
        source=TOOL,
        load="offline",
        configuration={"Tool": TOOL, **settings, "Batch": "; ".join(batches)},
        environment=_found(run, _ENVIRONMENT),
        command=command,
        rows=each_once(source, [(run.first, row) for run, row in rows]),
    )


def _row(source: Source, run: _Run) -> Row:
    batch, _, implicit = _batch(source, run)
    assert run.summary is not None, "runs without one are left out"
    figures: dict[str, float] = {}
    marks = []
    for offset, (level, text) in enumerate(run.lines[run.summary :]):
        line = run.first + run.summary + offset
        if offset and text.startswith(("=== ", "Explanations of ")):  # of each figure, in words
            break
        if level == "W" and text.startswith("* "):
            marks.append(text.removeprefix("* "))
        elif metric := _METRIC.fullmatch(text):
            figures |= _figures(source, line, metric["name"], metric["value"])
    rate = figures.pop("qps", None)
    if rate is None:
        raise source.error(run.first + run.summary, 'no line "Throughput: ... qps" below it.')
    if batch is None:
        figures["requests_per_s"] = rate
    else:
        figures["samples_per_s"] = rate if implicit else rate * batch
        figures["requests_per_s"] = rate / batch if implicit else rate
    traced = next((t for _, t in run.lines if t.startswith("Timing trace has ")), "")
    if found := re.match(r"Timing trace has (\d{1,15}) queries", traced):
        figures["requests"] = int(found[1])
    return Row(point={} if batch is None else {"batch": batch}, figures=figures, marks=tuple(marks))


def _figures(source: Source, line: int, name: str, value: str) -> dict[str, float]:
    """Return the figures of one line of the summary; none of a line that has none of ours."""
    if name == "Throughput":
        text, _, unit = value.partition(" ")
        if unit != "qps":
            raise source.error(line, f"throughput is {value[:40]!r}; expected a number and qps.")
        return {"qps": number(source, line, "throughput", text)}
    if name == "Total Host Walltime":
        return {"duration_s": number(source, line, name, value.removesuffix(" s"))}
    if name not in _TIMES:
        return {}
    found = list(_QUANTITY.finditer(value))
    if not found:
        raise source.error(line, f"{name} is {value[:40]!r}; expected min, max, mean, ... in ms.")
    figures = {}
    for quantity, percent, text in (match.groups() for match in found):
        suffix = "p50" if quantity == "median" else f"p{percent}" if percent else quantity
        key = f"{_TIMES[name]}_{suffix.replace('.', '')}_ns"
        if quantity == "mean" and name != "Latency":
            key = f"{_TIMES[name]}_ns"
        if quantity in {"min", "max"}:
            continue
        figures[key] = number(source, line, f"{name}, {quantity}", text) * NS_PER_MS
    return figures


def _batch(source: Source, run: _Run) -> tuple[int | None, str, bool]:
    """Return the samples of a query, how that is known, and whether qps counts samples."""
    implicit = re.fullmatch(r"\d{1,9}", _found(run, ("Batch",)).get("Batch", ""), re.ASCII)
    if implicit and (batch := int(implicit[0])) > 1:
        return batch, "implicit", True
    if source.batch is not None:
        return source.batch, "as given on the command line", False
    firsts = {found[1] for _, text in run.lines if (found := _BINDING.match(text))}
    if not firsts:
        shapes = _option(run, "--shapes") or _option(run, "--optShapes")
        firsts = set(_SHAPE.findall(shapes))
    if len(firsts) == 1 and (batch := int(firsts.pop())) > 0:
        return batch, "the first dimension of the inputs", False
    return None, "unknown: give it with --batch", False


def _option(run: _Run, name: str) -> str:
    """Return the value of an option of the command; empty without it."""
    try:
        words = shlex.split(run.lines[0][1])
    except ValueError:  # a quote that is not closed
        return ""
    return next((word.partition("=")[2] for word in words if word.startswith(f"{name}=")), "")
