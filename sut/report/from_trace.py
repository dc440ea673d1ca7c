"""What a chart needs of a trace: distributions and courses over time, thinned to a few points.

Knows only arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.record.summary import judged, window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.record.trace import Trace

    Points = list[tuple[float, float]]
    Array = NDArray[np.int64]

_NS_PER_MS, _NS_PER_S = 1e6, 1e9
_WINDOWS = 120
# With fewer in each part of the test, a rate shows only whether one more batch fell into it.
_BATCHES_A_RATE = 20
# Shares of a distribution to keep: evenly up to 0.9, then evenly in nines.
_BODY, _PER_NINE = 45, 16


def latencies_ns(trace: Trace) -> Array:
    """Return the latency of each recorded sample from IssueQuery to completion, ascending."""
    b, samples, arrivals, known = judged(trace)
    return np.sort(np.repeat(b["completed_ns"], samples)[known] - arrivals)


def distribution(values: Array) -> Points:
    """Return (ms, share of the samples within it) of ascending latencies in ns.

    By LoadGen's rule: the value at share s of n values is the one of index floor(n s).
    """
    count = len(values)
    if not count:
        return []
    nines = np.log10(max(count, 10))
    tail = 1 - 10 ** -np.append(np.arange(1.0, nines, 1 / _PER_NINE), nines)
    shares = np.concatenate([np.linspace(0.0, 0.9, _BODY, endpoint=False), tail])
    chosen = values[np.minimum((count * shares).astype(int), count - 1)]
    return [(float(v) / _NS_PER_MS, float(s)) for v, s in zip(chosen, shares, strict=True)]


def waiting(trace: Trace) -> Points:
    """Return (s, most samples that waited for a batch in that part of the test).

    Nothing for a trace that does not have everything: what is missing would seem to wait.
    """
    found = window(trace)
    if found is None or not trace.is_whole or trace.first_samples is not None:
        return []
    at_ns = np.concatenate([trace.queries["arrival_ns"], trace.batches["closed_ns"]])
    steps = np.concatenate([trace.queries["samples"], -trace.batches["samples"]])
    order = np.argsort(at_ns, kind="stable")
    at_ns, steps = at_ns[order], steps[order]
    lengths = np.cumsum(steps)
    lengths = np.maximum(lengths, lengths - steps)  # what waited before counts, too
    part = _parts_of(at_ns, found.start_ns, found.end_ns)
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    most = np.maximum.reduceat(lengths, starts)
    width_s = found.seconds / _WINDOWS
    return [
        ((float(k) + 0.5) * width_s, float(max(n, 0)))
        for k, n in zip(part[starts], most, strict=True)
    ]


def batch_sizes(trace: Trace) -> Points:
    """Return (s, mean size of the batches that were closed in that part of the test)."""
    found = window(trace)
    if found is None:
        return []
    part = _parts_of(trace.batches["closed_ns"], found.start_ns, found.end_ns)
    counts = np.bincount(part, minlength=_WINDOWS)
    sums = np.bincount(part, trace.batches["samples"], minlength=_WINDOWS)
    width_s = found.seconds / _WINDOWS
    return [
        ((float(k) + 0.5) * width_s, float(sums[k] / counts[k])) for k in np.flatnonzero(counts)
    ]


def rates(trace: Trace) -> Points:
    """Return (s, samples/s completed in that part of the test); nothing for a trace with gaps."""
    found = window(trace)
    if found is None or not trace.is_whole or not found.seconds:
        return []
    batches = len(trace.batches["samples"])
    windows = min(max(batches // _BATCHES_A_RATE, 1), _WINDOWS // 2)
    part = _parts_of(trace.batches["completed_ns"], found.start_ns, found.end_ns, windows)
    sums = np.bincount(part, trace.batches["samples"], minlength=windows)
    width_s = found.seconds / windows
    return [((k + 0.5) * width_s, float(n) / width_s) for k, n in enumerate(sums)]


def _parts_of(at_ns: Array, start_ns: int, end_ns: int, windows: int = _WINDOWS) -> Array:
    """Return in which of equally long parts of the test each time lies."""
    length = max(end_ns - start_ns, 1)
    found: Array = np.clip((at_ns - start_ns) * windows // length, 0, windows - 1)
    return found
