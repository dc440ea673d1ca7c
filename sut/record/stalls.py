"""Finds stalls of LoadGen's own thread: pauses between arrivals that are too long for chance.

In Server, queries arrive as a Poisson process, and LoadGen issues everything that is due at once.
While the machine does not run its thread, nothing arrives. Latencies then grow with any setting.
Knows only arrival times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# In one of this many runs, a pause by chance counts as a stall.
_RUNS_PER_FALSE_ALARM = 100
_LEAST_QUERIES = 100
# A run counts as disturbed if stalls took this share of it, or if one took this share of the
# latency bound. On a quiet machine they take 0.1 to 0.3 % at 20,000 queries/s.
DISTURBING_SHARE = 0.01
_DISTURBING_BOUNDS = 0.5
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Stalls:
    """Pauses of LoadGen's thread.

    Attributes:
        count: how many.
        share: of the time between the first and the last arrival.
        longest_ns: the longest one.
        at_s: when it began, after the first arrival.
        least_ns: shorter pauses may be chance, and do not count.
    """

    count: int
    share: float
    longest_ns: int
    at_s: float
    least_ns: float


def find(
    arrival_ns: NDArray[np.int64], queries: int, follows: NDArray[np.bool_] | None = None
) -> Stalls | None:
    """Return the stalls of a Server run; None with too few arrivals to tell.

    N arrivals of a Poisson process with rate r have N exp(-r t) pauses longer than t on average.
    Pauses longer than ln(100 N) / r are too long for chance.

    Args:
        arrival_ns: of every call of IssueQuery, [Q], ascending.
        queries: number in all calls; LoadGen may issue several at once.
        follows: arrivals whose predecessor is recorded, [Q - 1]; None: all but the first. With
            gaps, counts and shares are those of the recorded part.
    """
    pauses_ns = _pauses_ns(arrival_ns, follows)
    whole_ns = int(pauses_ns.sum())
    least_ns = _least_ns(len(arrival_ns), queries, whole_ns)
    if least_ns is None:
        return None
    found_ns = pauses_ns[pauses_ns > least_ns]
    if not len(found_ns):
        return Stalls(0, 0.0, 0, 0.0, least_ns)
    longest = int(pauses_ns.argmax())
    return Stalls(
        count=len(found_ns),
        share=float(found_ns.sum() / whole_ns),
        longest_ns=int(pauses_ns[longest]),
        at_s=float(arrival_ns[longest] - arrival_ns[0]) / 1e9,
        least_ns=least_ns,
    )


def ends_ns(
    arrival_ns: NDArray[np.int64], queries: int, follows: NDArray[np.bool_] | None = None
) -> NDArray[np.int64] | None:
    """Return when each stall ended, ascending; None with too few arrivals to tell. See `find`."""
    pauses_ns = _pauses_ns(arrival_ns, follows)
    least_ns = _least_ns(len(arrival_ns), queries, int(pauses_ns.sum()))
    return None if least_ns is None else arrival_ns[1:][pauses_ns > least_ns]


def _pauses_ns(
    arrival_ns: NDArray[np.int64], follows: NDArray[np.bool_] | None
) -> NDArray[np.int64]:
    """Return the pauses between arrivals, [Q - 1]; 0 where one in between is not recorded."""
    pauses_ns = np.diff(arrival_ns)
    return pauses_ns if follows is None else np.where(follows, pauses_ns, 0)


def _least_ns(arrivals: int, queries: int, whole_ns: int) -> float | None:
    """Return how long a pause by chance may be; None with too few arrivals to tell."""
    if arrivals < _LEAST_QUERIES or whole_ns <= 0:
        return None
    return math.log(_RUNS_PER_FALSE_ALARM * queries) * whole_ns / queries


def finding(stalls: Stalls, bound_ns: float) -> str | None:
    """Return what they mean for a run with a latency bound; None if they hardly matter."""
    if not stalls.count:
        return None
    if stalls.share < DISTURBING_SHARE and stalls.longest_ns < _DISTURBING_BOUNDS * bound_ns:
        return None
    longest_ms = stalls.longest_ns / _NS_PER_MS
    times = "once" if stalls.count == 1 else f"{stalls.count:,} times"
    return (
        f"LoadGen's own thread was held up {times}, {stalls.share:.2%} of the run, for up to "
        f"{longest_ms:.3g} ms (at {stalls.at_s:.1f} s) of a bound of {bound_ns / _NS_PER_MS:g} ms: "
        "this machine had no core for it. Stop other work, leave it a core "
        "(fewer workers or threads), or run again."
    )
