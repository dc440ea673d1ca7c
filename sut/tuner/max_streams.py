"""The largest number that fits: doubling, then bisection, with both sides of the edge measured.

Pure: `measure` is an argument. As in the MultiStream of v0.5: N samples at a fixed interval, with
every query, or a percentile of them, within a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_STREAMS = 1 << 20


@dataclass(frozen=True, slots=True)
class Tried:
    """One number of streams, measured.

    Attributes:
        streams: samples of a query.
        reached_ns: the bounded latency; infinite if answers are missing.
        fits: it is within the bound.
    """

    streams: int
    reached_ns: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """The largest number that fits, the smallest tried that does not, and all that was tried.

    Attributes:
        best: None if not even one stream fits.
        failing: None if nothing failed.
        tried: in order.
    """

    best: Tried | None
    failing: Tried | None
    tried: tuple[Tried, ...]


def find_edge(measure: Callable[[int], Tried], start: int, resolution: float = 0.01) -> Edge:
    """Find the largest number of streams that fits.

    Args:
        measure: runs one number.
        start: the first to try, such as what S(b) promises.
        resolution: the two sides of the edge are no further apart than this share, or 1.
    """
    tried: list[Tried] = []

    def fits(streams: int) -> bool:
        tried.append(measure(streams))
        return tried[-1].fits

    low, high, step = 0, max(start, 1), max(start // 8, 1)
    if fits(high):
        while high < MOST_STREAMS and tried[-1].fits:
            low, high, step = high, high + step, 2 * step
            fits(high)
    while not low and high > 1:
        below = max(high - step, 1)
        step *= 2
        low, high = (below, high) if fits(below) else (0, below)
    while high - low > max(1, resolution * low) and low:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    best = max((t for t in tried if t.fits), key=lambda t: t.streams, default=None)
    failing = min((t for t in tried if not t.fits), key=lambda t: t.streams, default=None)
    return Edge(best, failing, tuple(tried))


def percentile_ns(latencies_ns: Sequence[int], share: float) -> float:
    """Return the latency that a share of the queries does not exceed; at 1 the longest.

    Args:
        latencies_ns: of every query; negative for one without all its answers.
        share: above 0, up to 1.
    """
    whole = sorted(latency if latency >= 0 else float("inf") for latency in latencies_ns)
    return whole[min(int(share * len(whole)), len(whole) - 1)]
