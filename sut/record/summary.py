"""summary.json: what a run measured, from LoadGen's logs and the per-batch trace.

The keys are fixed in docs/run-folder.md. Reads files only; it never runs anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from sut.record.trace import Close, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Trace

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p999": 0.999}


class Part(TypedDict):
    """One part of the latency, over all samples, in ns."""

    mean: float
    p50: float
    p99: float


class Batches(TypedDict):
    """The batch sizes of a run."""

    count: int
    mean_size: float
    histogram: dict[str, int]
    closed_by: dict[str, int]


def batches(trace: Trace) -> Batches:
    """Count the batches, their sizes, and what closed them."""
    sizes = trace.batches["samples"]
    values, counts = np.unique(sizes, return_counts=True)
    reasons = np.bincount(trace.batches["why"], minlength=len(Close))
    return Batches(
        count=len(sizes),
        mean_size=float(sizes.mean()) if len(sizes) else 0.0,
        histogram={str(v): int(c) for v, c in zip(values, counts, strict=True)},
        closed_by={
            why.name.lower(): int(reasons[why.value]) for why in Close if reasons[why.value]
        },
    )


def parts_ns(trace: Trace) -> dict[str, Part]:
    """Split each sample's latency; the parts of a sample add up to it exactly, on one clock.

    queue: from IssueQuery to the closing of its batch. dispatch: to the worker taking it up.
    compute: the engine and the postprocess. completion: to the return of QuerySamplesComplete.
    LoadGen counts from the scheduled time, which lies before IssueQuery by what the load
    generator was late.
    """
    b = trace.batches
    samples = b["samples"]
    if not len(samples):
        return {}
    closed = np.repeat(b["closed_ns"], samples)
    by_sample = {
        "queue": closed - trace.sample_arrivals_ns(),
        "dispatch": np.repeat(b["started_ns"] - b["closed_ns"], samples),
        "compute": np.repeat(b["finished_ns"] - b["started_ns"], samples),
        "completion": np.repeat(b["completed_ns"] - b["finished_ns"], samples),
    }
    by_sample["total"] = np.repeat(b["completed_ns"], samples) - trace.sample_arrivals_ns()
    return {name: _part(values) for name, values in by_sample.items()}


def latency_ns(trace: Trace) -> dict[str, float]:
    """Latencies from IssueQuery to completion, of the samples in the trace: mean and percentiles.

    For an interrupted run, where LoadGen gives none.
    """
    b = trace.batches
    if not len(b["samples"]):
        return {}
    values = np.sort(np.repeat(b["completed_ns"], b["samples"]) - trace.sample_arrivals_ns())
    found = {"mean": float(values.mean())}
    for name, share in PERCENTILES.items():
        found[name] = float(values[min(int(len(values) * share), len(values) - 1)])
    return found


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
