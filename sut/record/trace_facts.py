"""What the trace of a run shows: service times compared with S(b), and hops.

Reads only arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backends.ladder import fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from backends.simulated.curve import Curve

    Array = NDArray[np.int64]

# Quantiles to keep of a distribution; the last two are its 1 % tail.
_QUANTILES = 200
_LEAST_BATCHES = 20
# The first batches have cold caches, and the last ones are small.
_SETTLING = 5


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """The facts in the trace of one run.

    Attributes:
        service_ratio: the mean time of a batch over its S(b).
        service_factors: quantiles of the times of batches over S(b), of mean 1, ascending.
        hop_in_ns: from closing a batch to its start on an idle device, less the copies of its
            samples and the wire; None if none was idle.
        hop_out_ns: from the device's answer to the end of QuerySamplesComplete, less the wire.
        hop_factors: quantiles of the latter over their mean, ascending.
    """

    service_ratio: float
    service_factors: tuple[float, ...]
    hop_in_ns: float | None
    hop_out_ns: float
    hop_factors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one worker before the run.

    Attributes:
        curve: its S(b).
        ladder: batch sizes that its engine really runs, up to its largest; empty: every size.
        copy_in_ns: what each sample adds to the way to the device.
        wire_in_ns: of the wire to its node, with LoadGen's side of it; 0.0 without one.
        wire_out_ns: of the wire back, likewise.
        sample_out_ns: what each sample adds to the latter.
    """

    curve: Curve
    ladder: Sequence[int] = ()
    copy_in_ns: float = 0.0
    wire_in_ns: float = 0.0
    wire_out_ns: float = 0.0
    sample_out_ns: float = 0.0


def trace_facts(batches: Mapping[str, Array], workers: Sequence[Measured]) -> TraceFacts | None:
    """Return the facts in a trace; None if it is too short.

    Args:
        batches: by field of sut.record.trace.BATCH_FIELDS, each [B] int64.
        workers: what was measured of each worker.
    """
    if len(batches["samples"]) < _LEAST_BATCHES:
        return None
    kept = {name: values[_SETTLING:] for name, values in batches.items()}
    out_ns = _hop_out_ns(kept, workers)
    ratios, factors = _service(kept, workers)
    return TraceFacts(
        service_ratio=round(ratios, 4),
        service_factors=_quantiles(factors),
        hop_in_ns=_hop_in_ns(kept, workers),
        hop_out_ns=float(out_ns.mean()),
        hop_factors=_quantiles(out_ns / max(out_ns.mean(), 1.0)),
    )


def _service(
    batches: Mapping[str, Array], workers: Sequence[Measured]
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean ratio of the batches' times to S(b), and the single ratios over it."""
    times_ns = (batches["finished_ns"] - batches["started_ns"]).astype(float)
    largest = int(batches["samples"].max())
    # A worker with a smaller cap has no entry beyond it, and no batch.
    table = np.ones((len(workers), largest))
    for row, worker in zip(table, workers, strict=True):
        cap = min(largest, worker.ladder[-1]) if worker.ladder else largest
        sizes = (fitting(worker.ladder, size) for size in range(1, cap + 1))
        row[:cap] = [worker.curve.service_ns(size) for size in sizes]
    ratios = times_ns / table[batches["worker"], batches["samples"] - 1]
    mean = float(ratios.mean())
    return mean, ratios / mean


def _hop_out_ns(batches: Mapping[str, Array], workers: Sequence[Measured]) -> NDArray[np.float64]:
    """Return the time from each answer to its completion, less the wire."""
    fixed = np.array([worker.wire_out_ns for worker in workers])[batches["worker"]]
    each = np.array([worker.sample_out_ns for worker in workers])[batches["worker"]]
    out_ns: NDArray[np.float64] = (
        batches["completed_ns"] - batches["finished_ns"] - fixed - each * batches["samples"]
    )
    return out_ns.clip(min=0.0)


def _hop_in_ns(batches: Mapping[str, Array], workers: Sequence[Measured]) -> float | None:
    """Return the mean time from closing to start, for batches on an idle worker.

    Less the copies and the wire.
    """
    hops: list[NDArray[np.float64]] = []
    for index in np.unique(batches["worker"]):
        mine, worker = batches["worker"] == index, workers[index]
        order = np.argsort(batches["started_ns"][mine])
        started, closed, finished, samples = (
            batches[name][mine][order]
            for name in ("started_ns", "closed_ns", "finished_ns", "samples")
        )
        idle = closed[1:] >= finished[:-1]
        ways = started[1:] - closed[1:] - worker.copy_in_ns * samples[1:] - worker.wire_in_ns
        hops.append(ways[idle])
    together = np.concatenate(hops)
    return max(0.0, float(together.mean())) if len(together) >= _LEAST_BATCHES else None


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    found = np.quantile(values, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    return tuple(round(float(value), 4) for value in found)
