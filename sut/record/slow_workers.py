"""Which workers of a run are slower than others on the same kind of device. Pure.

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


def finding(trace: Trace, workers: Sequence[Worker]) -> str | None:
    """Name the workers that are slower than the others of their kind; None without one.

    Args:
        trace: of the run.
        workers: in the order of the trace's numbers.
    """
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
        f"{', '.join(slow)} for batches of the same size as others on the same kind of device. See "
        "whether it is throttled, hot, or has other work (`sut doctor` there), or leave it out."
    )


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
