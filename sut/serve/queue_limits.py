"""When a run in the queue model has shown enough: too many samples are beyond a limit.

A search asks at most rates only whether they fit. Where the queue grows, the first part of a run
shows that they do not.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Limit:
    """A percentile is beyond `latency_ns` once `samples` have taken longer than that."""

    latency_ns: float
    samples: int

    @classmethod
    def of(cls, share: float, samples: int, latency_ns: float) -> Limit:
        """Return that of a percentile of so many samples, as `queue_model.percentile_ns` counts."""
        return cls(latency_ns, samples - int(share * samples))


class TooLate(Exception):
    """A limit is reached."""


class Watch:
    """Counts late samples, batch by batch in the order in which they are closed.

    Args:
        scheduled_ns: when each sample is due, ascending.
        limits: what ends the run.
    """

    __slots__ = ("_first", "_left", "_limits_ns", "_scheduled_ns")

    def __init__(self, scheduled_ns: list[int], limits: Sequence[Limit]) -> None:
        self._scheduled_ns = scheduled_ns
        self._limits_ns = [math.floor(limit.latency_ns) for limit in limits]
        self._left = [limit.samples for limit in limits]
        self._first = 0  # sample of the next batch

    def closed(self, samples: int, done_ns: int) -> None:
        """Count a batch that is answered at `done_ns` or later.

        Raises:
            TooLate: a limit is reached.
        """
        first, scheduled_ns = self._first, self._scheduled_ns
        self._first = end = first + samples
        for index, limit_ns in enumerate(self._limits_ns):
            before_ns = done_ns - limit_ns
            if scheduled_ns[first] < before_ns:
                self._left[index] -= bisect_left(scheduled_ns, before_ns, first, end) - first
                if self._left[index] <= 0:
                    raise TooLate
