"""Figures of equal parts of a run, from its trace: what intervals are made of.

Consecutive parts of a run resemble each other, so they must be few and long; see
sut.report.compare_statistics. Reads only arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.record.summary import judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.record.trace import Trace

    Floats = NDArray[np.float64]

# Parts of a run; a multiple of the groups that an interval is made of.
PARTS = 16
# A part with fewer completions says little about a percentile, and one batch more or less about a
# rate.
_LEAST_BATCHES = 4 * PARTS
_LEAST_SAMPLES = 100 * PARTS
# Where each part of a latency ends and begins; "": at the arrival of the sample.
_FIELDS = {
    "queue": ("closed_ns", ""),
    "dispatch": ("started_ns", "closed_ns"),
    "compute": ("finished_ns", "started_ns"),
    "completion": ("completed_ns", "finished_ns"),
    "total": ("completed_ns", ""),
}


def rates(ends_ns: Floats, samples: NDArray[np.int64], start_ns: float) -> tuple[float, ...]:
    """Return samples/s in equal parts of the time from `start_ns` to the last completion.

    Args:
        ends_ns: when each batch was completed, ascending, [B] float64.
        samples: of each batch, [B] int64.
        start_ns: of the measurement.

    Returns:
        PARTS rates; none of a run with too few batches. A batch counts as if its samples were
        completed evenly since the batch before, so a part has no jumps of a whole batch.
    """
    if len(ends_ns) < _LEAST_BATCHES or ends_ns[-1] <= start_ns:
        return ()
    edges = np.linspace(start_ns, ends_ns[-1], PARTS + 1)
    done = np.interp(edges, np.append(start_ns, ends_ns), np.append(0, np.cumsum(samples)))
    return tuple((np.diff(done) / np.diff(edges) * 1e9).tolist())


def rates_of(trace: Trace) -> tuple[float, ...]:
    """Return samples/s in equal parts of a run; none if its trace has gaps or too few batches."""
    queries = trace.queries["arrival_ns"]
    if not trace.is_whole or not len(queries):
        return ()
    order = np.argsort(trace.batches["completed_ns"], kind="stable")
    ends = trace.batches["completed_ns"][order].astype(float)
    return rates(ends, trace.batches["samples"][order], float(queries.min()))


def times_of(trace: Trace, part: str = "total") -> list[Floats]:
    """Return the latencies of the samples, or a part of them, in ns, by equal parts of the run.

    Each part of the run has the same share of the samples, in order of arrival: so two runs with
    the same queries have the same samples in each. Latencies count from IssueQuery.

    Args:
        trace: of the run.
        part: "total", or one of sut.record.summary.parts_ns.

    Returns:
        PARTS arrays; none if the trace has gaps or too few samples.
    """
    if not trace.is_whole:
        return []
    b, samples, arrivals, known = judged(trace)
    if len(arrivals) < _LEAST_SAMPLES:
        return []
    later, earlier = _FIELDS[part]
    starts = np.repeat(b[earlier], samples)[known] if earlier else arrivals
    firsts = np.repeat(b["first_sample"] - np.cumsum(samples) + samples, samples)
    order = np.argsort((firsts + np.arange(len(firsts)))[known])
    times = (np.repeat(b[later], samples)[known] - starts)[order].astype(float)
    return np.array_split(times, PARTS)
