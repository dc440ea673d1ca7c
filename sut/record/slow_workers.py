"""Which workers of a run are slower than the others, or further away. Pure.

Batches are compared with batches of the same size, so it does not matter who got which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.record.trace import Trace

# Equal devices differ by a few per cent; from this factor on one of them is held back.
SLOW = 1.25
# Below this difference the host, not the device, makes it.
LEAST_NS = 100_000
# What a way to a worker and back may take longer than to the others.
LEAST_WAY_NS, FAR = 1_000_000, 2.0
# Batches of one size, for a median; and of all compared sizes together, to judge a worker.
_OF_A_SIZE, _OF_A_WORKER = 5, 20


class Worker(NamedTuple):
    """A worker of a run.

    Attributes:
        name: such as `beta/device 0`.
        kind: of its device, as its engine calls it; workers of one kind are compared.
    """

    name: str
    kind: str


def findings(trace: Trace, workers: Sequence[Worker]) -> tuple[str, ...]:
    """Name the workers that are slower than the others of their kind, or further away.

    Args:
        trace: of the run.
        workers: in the order of the trace's numbers.
    """
    return tuple(line for line in (_slow(trace, workers), _far(trace, workers)) if line)


def _slow(trace: Trace, workers: Sequence[Worker]) -> str | None:
    medians = [_medians(trace, index) for index in range(len(workers))]
    slow = []
    for index, worker in enumerate(workers):
        others = [
            medians[k]
            for k, other in enumerate(workers)
            if k != index and other.kind == worker.kind
        ]
        factor = _factor(medians[index], others)
        if factor >= SLOW:
            slow.append(f"{worker.name} took {factor:.1f} times as long")
    if not slow:
        return None
    return (
        f"{', '.join(slow)} for batches of the same size as others on the same kind of device. Ask "
        "`sut doctor` on its machine whether it is throttled, hot, or has other work, or leave it "
        "out."
    )


def _far(trace: Trace, workers: Sequence[Worker]) -> str | None:
    ways_ns = [_way_ns(trace, index) for index in range(len(workers))]
    far = []
    for index, worker in enumerate(workers):
        own_ns, others = ways_ns[index], [ns for k, ns in enumerate(ways_ns) if k != index and ns]
        usual_ns = float(np.median(others)) if others else 0.0
        if own_ns - usual_ns >= LEAST_WAY_NS and usual_ns and own_ns >= FAR * usual_ns:
            own_ms, usual_ms = own_ns / 1e6, usual_ns / 1e6
            far.append(f"{worker.name} for {own_ms:.1f} ms instead of {usual_ms:.1f} ms")
    if not far:
        return None
    return (
        f"Batches are on their way there and back longer than to the others: {', '.join(far)}. "
        "See its network, and whether its host has a free core."
    )


def _way_ns(trace: Trace, worker: int) -> float:
    """Return the median time of a worker's batches outside its device; 0.0 if that is not known.

    Only of batches whose device was free when they were closed.
    """
    b = trace.batches
    own = b["worker"] == worker
    order = np.argsort(b["started_ns"][own])
    closed, started, finished, completed = (
        b[name][own][order] for name in ("closed_ns", "started_ns", "finished_ns", "completed_ns")
    )
    free = np.r_[True, finished[:-1] <= closed[1:]] if len(closed) else np.zeros(0, np.bool_)
    if free.sum() < _OF_A_WORKER:
        return 0.0
    return float(np.median((started - closed + completed - finished)[free]))


def _medians(trace: Trace, worker: int) -> dict[int, tuple[float, int]]:
    """Return the median time of a worker's batches in ns, and their number, by size."""
    own = trace.batches["worker"] == worker
    sizes = trace.batches["samples"][own]
    times_ns = (trace.batches["finished_ns"] - trace.batches["started_ns"])[own]
    found = {}
    for size in np.unique(sizes).tolist():
        of_size = times_ns[sizes == size]
        if len(of_size) >= _OF_A_SIZE:
            found[size] = (float(np.median(of_size)), len(of_size))
    return found


def _factor(
    own: dict[int, tuple[float, int]], others: Sequence[dict[int, tuple[float, int]]]
) -> float:
    """Return how many times as long as others a worker takes; 0.0 if that is not known."""
    own_ns = usual_ns = 0.0
    batches = 0
    for size, (median_ns, count) in own.items():
        known = [of_other[size][0] for of_other in others if size in of_other]
        if known:
            own_ns += count * median_ns
            usual_ns += count * float(np.median(known))
            batches += count
    if batches < _OF_A_WORKER or not usual_ns or own_ns - usual_ns < batches * LEAST_NS:
        return 0.0
    return own_ns / usual_ns
