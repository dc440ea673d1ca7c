"""LoadGen's thread in the queue model: when it issues a query, and what is in it.

Pure, on a virtual clock.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NS_PER_S = 1e9
NEVER = 1 << 62


def random_arrivals(qps: float, samples: int, seed: int) -> NDArray[np.int64]:
    """Return when samples arrive at random times (Poisson) in ns, ascending."""
    gaps_s = np.random.default_rng(seed).exponential(1 / qps, samples)
    return (np.cumsum(gaps_s) * NS_PER_S).astype(np.int64)


class Queries:
    """LoadGen's thread.

    Args:
        scheduled_ns: when each sample is due, ascending.
        issue_ns: time of one IssueQuery.
        coalesce: issue all that became due meanwhile in one call.
        at_once: issue everything in the first query.

    Attributes:
        due_ns: when it issues the next query, if it gets the interpreter at once; NEVER: none is
            left.
        busy_ns: how long it was in IssueQuery.
    """

    __slots__ = (
        "_at_once",
        "_coalesce",
        "_first",
        "_issue_ns",
        "_scheduled_ns",
        "busy_ns",
        "due_ns",
    )

    def __init__(
        self,
        scheduled_ns: list[int],
        issue_ns: float,
        coalesce: bool,
        at_once: bool,
    ) -> None:
        self._scheduled_ns = scheduled_ns
        self._issue_ns = int(issue_ns)
        self._coalesce = coalesce
        self._at_once = at_once
        self._first = 0  # the sample with which the next query begins
        self.busy_ns = 0
        self.due_ns = scheduled_ns[0]

    def issue(self, now_ns: int) -> int:
        """Issue the next query; return its samples: those that became due meanwhile, too."""
        first, scheduled_ns = self._first, self._scheduled_ns
        end = first + 1
        if self._at_once:
            end = len(scheduled_ns)
        elif self._coalesce and now_ns > scheduled_ns[first]:
            end = bisect_right(scheduled_ns, now_ns, first)
        self._first = end
        self.busy_ns += self._issue_ns
        free_ns = now_ns + self._issue_ns
        if end < len(scheduled_ns):
            next_ns = scheduled_ns[end]
            self.due_ns = next_ns if next_ns > free_ns else free_ns
        else:
            self.due_ns = NEVER
        return end - first
