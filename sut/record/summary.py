"""The figures of a result that come from the trace of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.record.result import PERCENTILES, Batches, Latency, Part, Parts
from sut.record.trace import Close, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Trace


def batches(trace: Trace) -> Batches:
    """Count the batches, their sizes, and what closed them."""
    sizes = trace.batches["samples"]
    values, counts = np.unique(sizes, return_counts=True)
    reasons = np.bincount(trace.batches["why"], minlength=len(Close))
    return Batches(
        count=len(sizes),
        mean_size=float(sizes.mean()) if len(sizes) else 0.0,
        histogram={int(v): int(c) for v, c in zip(values, counts, strict=True)},
        closed_by={
            why.name.lower(): int(reasons[why.value]) for why in Close if reasons[why.value]
        },
    )


def parts_ns(trace: Trace) -> Parts | None:
    """Split each sample's latency; None without a sample.

    The parts of a sample add up exactly to its latency, because all times are on one clock.
    queue: from IssueQuery until its batch is closed. dispatch: until the worker starts it.
    compute: the engine and the postprocess. completion: until QuerySamplesComplete returns.
    LoadGen counts from the scheduled time, which is earlier than IssueQuery if LoadGen was late.
    """
    b = trace.batches
    samples = b["samples"]
    if not len(samples):
        return None
    arrivals = trace.sample_arrivals_ns()
    return Parts(
        queue=_part(np.repeat(b["closed_ns"], samples) - arrivals),
        dispatch=_part(np.repeat(b["started_ns"] - b["closed_ns"], samples)),
        compute=_part(np.repeat(b["finished_ns"] - b["started_ns"], samples)),
        completion=_part(np.repeat(b["completed_ns"] - b["finished_ns"], samples)),
        total=_part(np.repeat(b["completed_ns"], samples) - arrivals),
    )


def latency_ns(trace: Trace) -> Latency | None:
    """Latencies from IssueQuery to completion of the samples in the trace; None without one.

    For an interrupted run, for which LoadGen reports none.
    """
    b = trace.batches
    if not len(b["samples"]):
        return None
    values = np.sort(np.repeat(b["completed_ns"], b["samples"]) - trace.sample_arrivals_ns())
    by_name = {
        name: float(values[min(int(len(values) * share), len(values) - 1)])
        for name, share in PERCENTILES.items()
    }
    return Latency(mean=float(values.mean()), **by_name)


def window(trace: Trace) -> Window | None:
    """From the first arrival to the last completion; None without one."""
    completed_ns = trace.batches["completed_ns"]
    if not len(completed_ns):
        return None
    return Window(int(trace.queries["arrival_ns"].min()), int(completed_ns.max()))


def duration_s(trace: Trace) -> float:
    """The length of `window` in s."""
    found = window(trace)
    return 0.0 if found is None else found.seconds


def busy_fractions(trace: Trace, workers: Sequence[str]) -> dict[str, float]:
    """Share of the run in which each worker's engine ran, by the worker's name."""
    b = trace.batches
    if not len(b["samples"]):
        return dict.fromkeys(workers, 0.0)
    total_ns = duration_s(trace) * 1e9
    busy_ns = np.bincount(b["worker"], b["finished_ns"] - b["started_ns"], minlength=len(workers))
    return {name: float(busy_ns[k] / total_ns) for k, name in enumerate(workers)}


def _part(values: NDArray[np.int64]) -> Part:
    p50, p99 = np.percentile(values, [50, 99])
    return Part(mean=float(values.mean()), p50=float(p50), p99=float(p99))
