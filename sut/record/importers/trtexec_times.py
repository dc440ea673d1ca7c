"""trtexec's `--exportTimes=FILE`: one JSON object a query, in ms on one clock.

Source: TensorRT's samples/common/sampleReporting.cpp, exportJSONTrace. The file does not say the
batch; give it with --batch. Percentiles are those of sut.record (LoadGen's rule), not trtexec's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sut.record.importers.source import NS_PER_MS
from sut.record.result import PERCENTILES
from sut.record.table import Row, Table
from sut.record.windows import rates

if TYPE_CHECKING:
    from sut.record.importers.source import Source

TOOL = "trtexec"


class _Query(msgspec.Struct, frozen=True, rename="camel"):
    """One query; times in ms."""

    start_enq_ms: float
    end_enq_ms: float
    start_compute_ms: float
    end_compute_ms: float
    compute_ms: float
    latency_ms: float
    end_d2h_ms: float = msgspec.field(name="endD2hMs")
    h2d_ms: float = msgspec.field(name="h2dMs")
    d2h_ms: float = msgspec.field(name="d2hMs")


def recognizes(source: Source) -> bool:
    """Say whether this is such a file: a list whose first objects have its keys."""
    return source.text.lstrip().startswith("[") and '"startEnqMs"' in source.text[:4096]


def read(source: Source) -> list[Table]:
    """Return the one table of a file: one row.

    Raises:
        DataError: names the query that is wrong.
    """
    try:
        queries = msgspec.json.decode(source.text, type=list[_Query])
    except (msgspec.DecodeError, RecursionError) as error:
        raise source.error(
            _line(source, str(error)), f"{error}; expected the file of --exportTimes."
        ) from error
    ends = np.array([query.end_d2h_ms for query in queries])
    starts = np.array([query.start_enq_ms for query in queries])
    latencies = np.array([query.latency_ms for query in queries]) * NS_PER_MS
    for name, values in (("endD2hMs", ends), ("startEnqMs", starts), ("latencyMs", latencies)):
        bad = np.flatnonzero(~np.isfinite(values) | (values < 0))
        if len(bad):
            line = _line(source, f"$[{bad[0]}]")
            raise source.error(line, f"{name} is below 0 or not finite; expected a time in ms.")
    if not len(ends) or (duration_s := float(ends.max() - starts.min()) / 1e3) <= 0:
        raise source.error(1, "no query that took any time; expected at least one.")
    figures = {
        "requests": float(len(queries)),
        "requests_per_s": len(queries) / duration_s,
        "duration_s": duration_s,
        "latency_mean_ns": float(latencies.mean()),
        **_percentiles(latencies),
        "compute_input_ns": _mean_ns([query.h2d_ms for query in queries]),
        "compute_infer_ns": _mean_ns([query.compute_ms for query in queries]),
        "compute_output_ns": _mean_ns([query.d2h_ms for query in queries]),
    }
    windows: tuple[float, ...] = ()
    if source.batch is not None:
        figures["samples"] = figures["requests"] * source.batch
        figures["samples_per_s"] = figures["requests_per_s"] * source.batch
        sizes = np.full(len(ends), source.batch)
        windows = rates(np.sort(ends) * NS_PER_MS, sizes, float(starts.min()) * NS_PER_MS)
    known = "unknown: give it with --batch"
    said = known if source.batch is None else f"{source.batch}, as given on the command line"
    return [
        Table(
            title=f"{TOOL} --exportTimes: {source.where}",
            source=TOOL,
            load="offline",
            configuration={"Tool": f"{TOOL} --exportTimes", "Batch": said},
            rows=(
                Row(
                    point={} if source.batch is None else {"batch": source.batch},
                    figures=figures,
                    windows=windows,
                ),
            ),
        )
    ]


def _line(source: Source, error: str) -> int:
    """Return the line that an error is about: trtexec writes one query a line, below a bracket."""
    if byte := re.search(r"\(byte (\d+)\)", error):
        return source.text.encode()[: int(byte[1])].count(b"\n") + 1
    if "truncated" in error:
        return source.text.count("\n") + 1
    index = re.search(r"\$\[(\d+)\]", error)
    return min(int(index[1]) + 2, source.text.count("\n") + 1) if index else 1


def _mean_ns(values_ms: list[float]) -> float:
    return float(np.mean(values_ms)) * NS_PER_MS


def _percentiles(latencies_ns: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
    """Return LoadGen's percentiles: the value at place n x p of the sorted ones."""
    ordered = np.sort(latencies_ns)
    return {
        f"latency_{name}_ns": float(ordered[min(int(len(ordered) * share), len(ordered) - 1)])
        for name, share in PERCENTILES.items()
    }
