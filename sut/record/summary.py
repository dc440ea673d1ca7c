"""The figures of a result that come from the trace of batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sut.record.result import PERCENTILES, Batches, Latency, Part, Parts, Recorded
from sut.record.trace import Close, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Trace


# Samples for the parts of the latency and for percentiles: more take seconds and gigabytes.
_MOST_SAMPLES = 4_000_000
# With fewer known arrivals, samples without one count from the oldest sample of their batch.
_LEAST_KNOWN = 1_000


def batches(trace: Trace) -> Batches:
    """Count the batches, their sizes, and what closed them; the latter two as recorded."""
    sizes = trace.batches["samples"]
    values, counts = np.unique(sizes, return_counts=True)
    reasons = np.bincount(trace.batches["why"], minlength=len(Close))
    return Batches(
        count=trace.total_batches,
        mean_size=trace.total_samples / trace.total_batches if len(sizes) else 0.0,
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
    b, samples, arrivals, known = judged(trace)
    if not len(samples):
        return None

    def part(later: NDArray[np.int64], earlier: NDArray[np.int64] | None = None) -> Part:
        ends = np.repeat(later, samples)[known]
        return _part(ends - (arrivals if earlier is None else np.repeat(earlier, samples)[known]))

    return Parts(
        queue=part(b["closed_ns"]),
        dispatch=part(b["started_ns"], b["closed_ns"]),
        compute=part(b["finished_ns"], b["started_ns"]),
        completion=part(b["completed_ns"], b["finished_ns"]),
        total=part(b["completed_ns"]),
    )


def judged(
    trace: Trace,
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return what the latencies are computed from.

    Returns:
        Batches by field, their sizes, the arrivals of those of their samples that count, and
        which of their samples these are.
    """
    b = trace.batches
    step = max(1, -(-int(b["samples"].sum()) // _MOST_SAMPLES))
    if step > 1:
        b = {name: values[::step] for name, values in b.items()}
    samples = b["samples"]
    arrivals, known = replace(trace, batches=b).sample_arrivals_ns()
    if trace.is_whole or known.sum() < _LEAST_KNOWN:
        known = np.ones(len(arrivals), np.bool_)
    return b, samples, arrivals[known], known


def recorded(trace: Trace) -> Recorded:
    """Say how much of the run the trace has, and how many samples stand for all."""
    return Recorded(
        batches=len(trace.batches["samples"]),
        queries=len(trace.queries["samples"]),
        one_in=trace.one_in,
        parts_from_samples=int(judged(trace)[3].sum()),
    )


def finding(found: Recorded, trace: Trace) -> str | None:
    """Return what a trace that is not whole means; None for a whole one."""
    if trace.is_whole:
        return None
    what = f"The trace has {found.batches:,} of {trace.total_batches:,} batches"
    if found.one_in == 1:
        return (
            f"{what}, those at the beginning: its disk was full. `parts_ns` and the busy fractions "
            "know nothing of the rest. Free some space, and run again."
        )
    return (
        f"{what}, evenly spread in blocks, because it reached its bound; totals are of all. "
        f"`parts_ns` is of {found.parts_from_samples:,} of {trace.total_samples:,} samples. "
        "--trace-mb sets the bound; `--trace-mb all` records all."
    )


def latency_ns(trace: Trace) -> Latency | None:
    """Latencies from IssueQuery to completion of the samples in the trace; None without one.

    For an interrupted run, for which LoadGen reports none.
    """
    b, samples, arrivals, known = judged(trace)
    if not len(samples):
        return None
    values = np.sort(np.repeat(b["completed_ns"], samples)[known] - arrivals)
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
    end_ns = max(int(completed_ns.max()), trace.last_ns)
    return Window(int(trace.queries["arrival_ns"].min()), end_ns)


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
    share = len(b["samples"]) / trace.total_batches if trace.one_in > 1 else 1.0
    return {name: float(busy_ns[k] / share / total_ns) for k, name in enumerate(workers)}


def _part(values: NDArray[np.int64]) -> Part:
    p50, p99 = np.percentile(values, [50, 99])
    return Part(mean=float(values.mean()), p50=float(p50), p99=float(p99))
