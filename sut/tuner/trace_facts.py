"""What a run's trace says of the parts that the model is made of: service times and hops.

Reads arrays only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.tuner.messages import TraceFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from backends.simulated.curve import Curve

    Array = NDArray[np.int64]

# Quantiles that are kept of a distribution: its 1 % tail is the last two.
_QUANTILES = 200
_LEAST_BATCHES = 20
# The first batches meet cold caches, and the last ones are cut short.
_SETTLING = 5


def seen(batches: Mapping[str, Array], curves: Sequence[Curve]) -> TraceFacts | None:
    """Return what a trace shows; None where it is too short to show anything.

    Args:
        batches: by field of sut.record.trace.BATCH_FIELDS, each [B] int64.
        curves: S(b) of each worker, as measured before.
    """
    if len(batches["samples"]) < _LEAST_BATCHES:
        return None
    kept = {name: values[_SETTLING:] for name, values in batches.items()}
    out_ns = (kept["completed_ns"] - kept["finished_ns"]).astype(float)
    ratios, factors = _service(kept, curves)
    return TraceFacts(
        service_ratio=round(ratios, 4),
        service_factors=_quantiles(factors),
        hop_in_ns=_hop_in_ns(kept),
        hop_out_ns=float(out_ns.mean()),
        hop_factors=_quantiles(out_ns / max(out_ns.mean(), 1.0)),
    )


def _service(
    batches: Mapping[str, Array], curves: Sequence[Curve]
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean ratio of the batches' times to S(b), and the single ratios over it."""
    times_ns = (batches["finished_ns"] - batches["started_ns"]).astype(float)
    largest = int(batches["samples"].max())
    table = np.array(
        [[curve.service_ns(size) for size in range(1, largest + 1)] for curve in curves]
    )
    ratios = times_ns / table[batches["worker"], batches["samples"] - 1]
    mean = float(ratios.mean())
    return mean, ratios / mean


def _hop_in_ns(batches: Mapping[str, Array]) -> float | None:
    """Return the mean time from closing to start, of batches that met an idle worker."""
    hops: list[Array] = []
    for worker in np.unique(batches["worker"]):
        mine = batches["worker"] == worker
        order = np.argsort(batches["started_ns"][mine])
        started, closed, finished = (
            batches[name][mine][order] for name in ("started_ns", "closed_ns", "finished_ns")
        )
        idle = closed[1:] >= finished[:-1]
        hops.append((started[1:] - closed[1:])[idle])
    together = np.concatenate(hops)
    return float(together.mean()) if len(together) >= _LEAST_BATCHES else None


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    found = np.quantile(values, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    return tuple(round(float(value), 4) for value in found)
