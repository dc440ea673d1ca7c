"""The figures of one point, from the trace of its batches and the schedule of its requests.

Pure. docs/sweeps.md gives the rule of each figure. Percentiles are LoadGen's: of n sorted values
the one at index floor(n p).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import WorkerError
from sut.record.result import PERCENTILES
from sut.record.table import PARTS
from sut.sweep.steady import T_95, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sut.record.trace import Trace, Window

    Array = NDArray[np.int64]

NS_PER_S = 1e9
# A request is late from here on, or from this share of the mean interval if that is longer.
LATE_NS, LATE_SHARE = 1_000_000, 0.01
_TAIL = 0.99
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Sent:
    """What a load did.

    Attributes:
        trace: its batches and queries; none may be missing.
        scheduled_ns: when each request was due, [R], in the order of their samples.
        request_batch: samples of a request.
        concurrency: requests in flight, in a closed loop; None in an open one.
        seen_ns: until when answers were waited for.

    Raises:
        WorkerError: the trace reached its bound, and thinned itself.
    """

    trace: Trace
    scheduled_ns: Array
    request_batch: int
    concurrency: int | None
    seen_ns: int

    def __post_init__(self) -> None:
        """Refuse a trace that has only a part of what was sent."""
        if self.trace.one_in > 1 or self.trace.first_samples is not None:
            raise WorkerError(
                "the trace has only a part of the batches or requests, so its figures would be "
                "wrong. Lower --limit-s or the rate."
            )


def figures(sent: Sent, window: Window) -> dict[str, float]:
    """Return the figures of a window by name, and `unanswered` requests if there are any.

    A closed loop's requests belong to the window in which they are answered, an open loop's to the
    one in which they are due. One without an answer counts with the time that it was waited for.
    """
    due, done = sent.scheduled_ns, _done_ns(sent)
    at = due if sent.concurrency is None else done
    chosen = (at > window.start_ns) & (at <= window.end_ns)
    latencies = np.minimum(done[chosen], sent.seen_ns) - due[chosen]
    if not len(latencies):
        return {}
    batches = sent.trace.batches
    ended = (batches["completed_ns"] > window.start_ns) & (batches["completed_ns"] <= window.end_ns)
    samples = int(batches["samples"][ended].sum())
    rate = samples / window.seconds
    found = {
        "samples_per_s": rate,
        "requests_per_s": rate / sent.request_batch,
        **_latencies(latencies),
        **_parts(sent, chosen),
        "mean_batch": samples / max(int(ended.sum()), 1),
        "busy": _busy(sent.trace, ended, window),
        "requests": float(len(latencies)),
        "samples": float(samples),
        "duration_s": window.seconds,
        "turn_overs": window.seconds * NS_PER_S / max(float(latencies.mean()), 1.0),
        **_lateness(sent, chosen),
    }
    if sent.concurrency is not None:
        in_flight = found["requests_per_s"] * found["latency_mean_ns"] / NS_PER_S
        found["little"] = in_flight / sent.concurrency
        found["in_flight"] = float(sent.concurrency)
    else:
        found["offered_per_s"] = len(latencies) * sent.request_batch / window.seconds
    if lost := int((done[chosen] == _NEVER).sum()):
        found["unanswered"] = float(lost)
    return found


def _busy(trace: Trace, ended: NDArray[np.bool_], window: Window) -> float:
    """Return the share of the window in which a worker ran a batch, as a mean of all workers."""
    batches = trace.batches
    ran_ns = (batches["finished_ns"] - batches["started_ns"])[ended].sum()
    workers = int(batches["worker"].max()) + 1
    return float(ran_ns) / (window.seconds * NS_PER_S * workers)


def latencies_ns(sent: Sent) -> Array:
    """Return the latency of every request, [R]; -1 without an answer."""
    done = _done_ns(sent)
    return np.where(done == _NEVER, -1, done - sent.scheduled_ns)


def _done_ns(sent: Sent) -> Array:
    """Return when the last sample of each request was answered, [R]; _NEVER without an answer."""
    done = np.full(len(sent.scheduled_ns) * sent.request_batch, _NEVER)
    done[_numbers(sent.trace)] = np.repeat(
        sent.trace.batches["completed_ns"], sent.trace.batches["samples"]
    )
    found: Array = done.reshape(-1, sent.request_batch).max(axis=1)
    return found


def _numbers(trace: Trace) -> Array:
    """Return the number of every sample, in the order of the batches."""
    first, samples = trace.batches["first_sample"], trace.batches["samples"]
    within = np.arange(int(samples.sum())) - np.repeat(np.cumsum(samples) - samples, samples)
    numbers: Array = np.repeat(first, samples) + within
    return numbers


def _latencies(values: Array) -> dict[str, float]:
    """Return mean and percentiles of latencies in order of time, and the interval of p99."""
    ordered = np.sort(values)
    found = {"latency_mean_ns": float(values.mean())}
    for name, share in PERCENTILES.items():
        found[f"latency_{name}_ns"] = float(ordered[_index(share, len(ordered))])
    beyond = values > found["latency_p99_ns"]
    parts = np.array([part.mean() for part in np.array_split(beyond, WINDOWS) if len(part)])
    independent = (_TAIL * (1 - _TAIL) / len(values)) ** 0.5
    # Requests that follow each other are slow together, so the share differs more from part to
    # part than chance would have it.
    error = max(independent, float(parts.std(ddof=1)) / len(parts) ** 0.5 if len(parts) > 1 else 0)
    low, high = _TAIL - T_95 * error, _TAIL + T_95 * error
    if _TAIL + T_95 * independent < 1:  # with fewer requests nothing is known of its upper end
        found["latency_p99_low_ns"] = float(ordered[_index(low, len(ordered))])
        found["latency_p99_high_ns"] = float(ordered[_index(high, len(ordered))])
    return found


def _index(share: float, count: int) -> int:
    return min(int(max(share, 0.0) * count), count - 1)


def _parts(sent: Sent, chosen: NDArray[np.bool_]) -> dict[str, float]:
    """Return mean, p50 and p99 of each part of a sample's latency, and how far they are off.

    Times in a wrong order, as of clocks that disagree, would be a part below zero. It counts as
    zero, so that the parts are more than the latency, and the difference shows it.
    """
    trace = sent.trace
    batches, sizes = trace.batches, trace.batches["samples"]
    requests = _numbers(trace) // sent.request_batch
    kept = chosen[requests]
    arrived, _ = trace.sample_arrivals_ns()
    times = [sent.scheduled_ns[requests][kept], arrived[kept]]
    for name in ("closed_ns", "started_ns", "finished_ns", "completed_ns"):
        times.append(np.repeat(batches[name], sizes)[kept])
    found: dict[str, float] = {}
    total = np.zeros(int(kept.sum()), np.int64)
    for name, before, after in zip(PARTS, times, times[1:], strict=False):
        part = np.maximum(after - before, 0)
        total += part
        found |= _part(name, part)
    off = np.abs(total - (times[-1] - times[0]))
    found["parts_error_ns"] = float(off.max(initial=0))
    return found


def _part(name: str, values: Array) -> dict[str, float]:
    middle, tail = _index(0.5, len(values)), _index(_TAIL, len(values))
    ordered = np.partition(values, sorted({middle, tail}))
    return {
        f"{name}_ns": float(values.mean()),
        f"{name}_p50_ns": float(ordered[middle]),
        f"{name}_p99_ns": float(ordered[tail]),
    }


def _lateness(sent: Sent, chosen: NDArray[np.bool_]) -> Mapping[str, float]:
    """Return how late requests were sent, and the share of them that were late."""
    queries = sent.trace.queries
    sent_ns = np.repeat(queries["arrival_ns"], queries["samples"] // sent.request_batch)
    late = np.sort((sent_ns - sent.scheduled_ns)[chosen])
    due = sent.scheduled_ns[chosen]
    interval_ns = float(due.max() - due.min()) / len(due)
    allowed_ns = max(LATE_NS, LATE_SHARE * interval_ns)
    return {
        "lateness_p50_ns": float(late[_index(0.5, len(late))]),
        "lateness_p99_ns": float(late[_index(_TAIL, len(late))]),
        "lateness_max_ns": float(late[-1]),
        "late_share": float((late > allowed_ns).mean()),
    }
