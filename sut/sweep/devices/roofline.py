"""Achieved against possible: operations and bytes a second, and what bounds a batch. Pure.

Williams, Waterman and Patterson, Roofline, CACM 52(4), 2009: a batch takes at least its operations
over the device's peak, and its bytes over the bandwidth of its memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.models.graph_cost import GraphCost

# trtexec warns of a GPU that waits for the host from here on (sampleReporting.cpp).
ENQUEUE_SHARE = 0.8
# From this share of a batch's time on, what no sample of it adds is what bounds it.
FIXED_SHARE = 0.5
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Roof:
    """The most that a device can do in one precision.

    Attributes:
        flops_per_s: operations; None: not known in this precision.
        bytes_per_s: of its memory; None: not known.
        source: where both are from, in words.
    """

    flops_per_s: float | None
    bytes_per_s: float | None
    source: str

    def floor_s(self, cost: GraphCost) -> float | None:
        """Return the least time of a batch; None: a part of the roof is not known."""
        if self.flops_per_s is None or self.bytes_per_s is None:
            return None
        return max(cost.flops / self.flops_per_s, cost.bytes / self.bytes_per_s)

    def ridge(self) -> float | None:
        """Return the operations a byte from which on a device can be kept computing."""
        if self.flops_per_s is None or self.bytes_per_s is None:
            return None
        return self.flops_per_s / self.bytes_per_s


def achieved(cost: GraphCost, compute_s: float, roof: Roof | None) -> dict[str, float]:
    """Return the figures of a row, by name."""
    found = {
        "flops": float(cost.flops),
        "bytes_moved": float(cost.bytes),
        "weight_bytes": float(cost.weight_bytes),
        "intensity": cost.intensity,
        "flops_per_s": cost.flops / compute_s,
        "bytes_per_s": cost.bytes / compute_s,
    }
    if roof is None:
        return found
    if roof.flops_per_s is not None:
        found["peak_flops_per_s"] = roof.flops_per_s
    if roof.bytes_per_s is not None:
        found["peak_bytes_per_s"] = roof.bytes_per_s
    floor_s = roof.floor_s(cost)
    if floor_s is not None:
        found["roof_share"] = floor_s / compute_s
    return found


def bound_by(
    cost: GraphCost,
    compute_s: float,
    enqueue_s: float,
    fixed_s: float | None,
    roof: Roof | None,
) -> tuple[str, str]:
    """Return what bounds a batch, "launch", "compute", "memory" or an empty text, and why.

    Args:
        cost: of the batch.
        compute_s: that the device takes for it.
        enqueue_s: that the host takes to ask for it.
        fixed_s: what no sample adds, from several batch sizes; None: there is one size.
        roof: of the device; None: not known.
    """
    if enqueue_s > ENQUEUE_SHARE * compute_s:
        return "launch", f"the host takes {enqueue_s / compute_s:.0%} of the batch's time to ask"
    bandwidth = None if roof is None else roof.bytes_per_s
    if fixed_s is not None:
        weights_s = 0.0 if bandwidth is None else cost.weight_bytes / bandwidth
        idle = (fixed_s - weights_s) / compute_s
        if idle > FIXED_SHARE:
            return "launch", f"{idle:.0%} of the batch's time is there without samples"
    ridge = None if roof is None else roof.ridge()
    if ridge is None:
        return "", "the device's peak is not known"
    side = "above" if cost.intensity >= ridge else "below"
    why = f"{cost.intensity:.3g} operations a byte, {side} the device's {ridge:.3g}"
    return ("compute" if side == "above" else "memory"), why


def fixed_part_s(times_s: Mapping[int, float]) -> float | None:
    """Return a of S(b) = a + c b, at least 0, by least squares of relative errors.

    Args:
        times_s: of a batch, by its samples; None is returned for fewer than two sizes.
    """
    if len(times_s) < _LEAST:
        return None
    sizes, times = np.array(list(times_s), float), np.array(list(times_s.values()), float)
    columns = np.stack([1 / times, sizes / times], axis=1)
    (fixed, _), *_ = np.linalg.lstsq(columns, np.ones(len(times)), rcond=None)
    return max(float(fixed), 0.0)
