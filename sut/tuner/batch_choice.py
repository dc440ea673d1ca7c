"""Chooses an Offline batch from a table: the smallest near the highest rate within a budget.

A smaller batch needs less memory and ends sooner. Works on any table of batch sizes with rates and,
for a budget, latencies, even on published ones. Runs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# How far below the peak the chosen batch may be, as a share.
NEAR_PEAK = 0.01
# Relative standard uncertainty of a single measured percentile, if nothing better is known.
USUAL_UNCERTAINTY = 0.03
# A choice is a knife-edge if the uncertainty of the latencies decides about more than two steps of
# a doubling grid.
KNIFE_EDGE = 4.0
_SIGMAS = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One batch size of a table.

    Attributes:
        batch: samples.
        rate: samples/s.
        latency_ns: the percentile that a budget bounds; 0.0 without one.
        rate_uncertainty: relative standard uncertainty of the rate.
    """

    batch: int
    rate: float
    latency_ns: float = 0.0
    rate_uncertainty: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The batch size chosen from a table.

    Attributes:
        row: the batch.
        peak: the highest rate within the budget.
        notes: the reasons.
    """

    row: Row
    peak: Row
    notes: tuple[str, ...]


def choose(
    rows: Sequence[Row], budget_ns: float | None = None, near: float = NEAR_PEAK
) -> Choice | None:
    """Return the smallest batch whose rate is within `near` of the best; None if none fits.

    Args:
        rows: a table, one row per batch size.
        budget_ns: the highest allowed latency; None for no budget.
        near: as a share of the best rate.
    """
    rows = sorted(rows, key=lambda row: row.batch)
    fitting = [row for row in rows if budget_ns is None or row.latency_ns <= budget_ns]
    if not fitting:
        return None
    peak = max(fitting, key=lambda row: row.rate)
    row = next(row for row in fitting if row.rate >= (1 - near) * peak.rate)
    notes = _doubt(rows, row, peak, near)
    if budget_ns is None:
        notes = [*_fall(rows, peak), *notes]
    else:
        notes += _knife_edge(rows, row, budget_ns)
    return Choice(row, peak, tuple(notes))


def _knife_edge(rows: Sequence[Row], row: Row, budget_ns: float) -> list[str]:
    """Name batch sizes whose latency is too uncertain to compare with the budget."""
    width = _SIGMAS * max(USUAL_UNCERTAINTY, scatter([r.latency_ns for r in rows]))
    certain = [r.rate for r in rows if r.latency_ns * (1 + width) <= budget_ns]
    possible = [r.rate for r in rows if r.latency_ns * (1 - width) <= budget_ns]
    least, most = max(certain, default=0.0), max([*possible, row.rate])
    if least * KNIFE_EDGE >= most:
        return []
    cut = [r for r in rows if abs(r.latency_ns - budget_ns) <= width * r.latency_ns]
    worth = (
        f"change the rate {most / (least or row.rate):.0f}-fold"
        if most > (least or row.rate)
        else "decide whether any fits"
    )
    return [
        f"Knife-edge: latencies are known to within {width:.0%}, and the limit of "
        f"{budget_ns / 1e6:g} ms is within that of batch {', '.join(str(r.batch) for r in cut)}. "
        f"Noise alone can {worth}. Measure again, or allow a little more latency."
    ]


def scatter(latencies_ns: Sequence[float]) -> float:
    """Return the relative standard uncertainty that the table itself shows.

    A larger batch takes longer, so falling latencies are noise. The uncertainty is the distance of
    the logarithms from the nearest rising curve (pool adjacent violators).

    Args:
        latencies_ns: by ascending batch size.
    """
    pools: list[list[float]] = []
    for value in latencies_ns:
        pools.append([math.log(value)])
        while len(pools) > 1 and fmean(pools[-2]) >= fmean(pools[-1]):
            last = pools.pop()
            pools[-1].extend(last)
    freedom = len(latencies_ns) - len(pools)
    squares = sum((value - fmean(pool)) ** 2 for pool in pools for value in pool)
    return math.sqrt(squares / freedom) if freedom else 0.0


def _fall(rows: Sequence[Row], peak: Row) -> list[str]:
    after = [r for r in rows if r.batch > peak.batch and r.rate < peak.rate]
    if not after:
        return []
    least = min(after, key=lambda r: r.rate)
    return [
        f"Throughput falls above batch {peak.batch}: batch {least.batch} gives "
        f"{least.rate / peak.rate - 1:.1%}."
    ]


def _doubt(rows: Sequence[Row], row: Row, peak: Row, near: float) -> list[str]:
    """Name a smaller batch that may also be near enough, within the uncertainty of the rates."""
    doubtful = [
        r
        for r in rows
        if r.batch < row.batch
        and r.rate * (1 + _SIGMAS * (r.rate_uncertainty + peak.rate_uncertainty))
        >= (1 - near) * peak.rate
        and r.rate_uncertainty
    ]
    if not doubtful:
        return []
    least = doubtful[0]
    return [
        f"Batch {least.batch} may also be within {near:.0%} of the peak: {least.rate:,.6g} and "
        f"{peak.rate:,.6g} samples/s, known to within {least.rate_uncertainty:.1%}."
    ]
