"""Figures of equal parts of a run, from its trace: what intervals are made of.

Consecutive parts of a run resemble each other, so they must be few and long; see
sut.report.compare_statistics. Reads only arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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


def latencies_of(trace: Trace) -> list[Floats]:
    """Return the latencies of the samples, in ns, by equal parts of the run.

    Latencies count from IssueQuery, and by the time of arrival. A part has the same share of the
    samples, so parts of two runs with the same queries have the same samples.

    Returns:
        PARTS arrays; none if the trace has gaps or too few samples.
    """
    if not trace.is_whole or int(trace.batches["samples"].sum()) < _LEAST_SAMPLES:
        return []
    arrivals, known = trace.sample_arrivals_ns()
    if not known.all():
        return []
    firsts, samples = trace.batches["first_sample"], trace.batches["samples"]
    numbers = np.repeat(firsts, samples) + (
        np.arange(int(samples.sum())) - np.repeat(np.cumsum(samples) - samples, samples)
    )
    latencies = np.repeat(trace.batches["completed_ns"], samples) - arrivals
    return np.array_split(latencies[np.argsort(numbers)].astype(float), PARTS)
