"""Whether those that were answered come back at once: a closed loop of clients, seen from counts.

N clients that each send again when they are answered make N samples, over and over: the most that
are in the system between two answers is always N. Queries that do not wait for answers make another
number each time. Pure, with the time as an argument; knows no client, no batch and no worker.
"""

from __future__ import annotations

from dataclasses import dataclass

# The score grows by one with each batch that ends while all N samples are here, up to the most, and
# falls by two with any other. From `_SURE` on they are clients.
_SURE, _MOST, _FALL = 8, 16, 2
# Weight of the newest return in the running mean of the time that one takes.
_WEIGHT = 1 / 8
# How long to wait: the mean and so many mean deviations (RFC 6298), and no less than this more.
_DEVIATIONS, _LEAST_NS = 4, 50_000


class Time:
    """The running mean of a time, and of how far single ones are from it."""

    __slots__ = ("deviation_ns", "mean_ns")

    def __init__(self) -> None:
        self.mean_ns = self.deviation_ns = 0.0

    def add(self, ns: float) -> None:
        """Count one more."""
        off_ns = ns - self.mean_ns
        self.mean_ns += off_ns * _WEIGHT
        self.deviation_ns += (abs(off_ns) - self.deviation_ns) * _WEIGHT


@dataclass(frozen=True, slots=True)
class Expected:
    """Samples that come back.

    Attributes:
        samples: how many.
        first_ns: when the first of them is usually here.
        last_ns: when all are.
        latest_ns: when it is no use to wait any longer.
    """

    samples: int
    first_ns: float
    last_ns: float
    latest_ns: float

    def usual_ns(self, samples: int) -> float:
        """Return when so many of them are usually here."""
        share = (samples - 1) / max(1, self.samples - 1)
        return self.first_ns + share * (self.last_ns - self.first_ns)


class Returning:
    """How many samples come back, and how soon after the last answer."""

    __slots__ = ("_all", "_first", "_here", "_is_short", "_last", "_left_ns", "_nobody", "_score")

    def __init__(self) -> None:
        self._here = 0  # samples in the system: waiting or in a batch
        self._all = 0  # N
        self._score = 0
        self._left_ns = 0  # the last answer
        self._first, self._last = Time(), Time()  # from an answer until one was back, and all
        self._nobody = False  # is back since the last answer
        self._is_short = False  # somebody left since all were here

    def arrive(self, now_ns: int, samples: int) -> None:
        """Samples came."""
        self._here += samples
        if not self._is_short:
            return
        if self._nobody:
            self._nobody = False
            self._first.add(now_ns - self._left_ns)
        if self._here >= self._all:
            self._is_short = False
            self._last.add(now_ns - self._left_ns)

    def leave(self, now_ns: int, samples: int) -> None:
        """Samples were answered."""
        here = self._here
        if here == self._all:
            self._score = min(_MOST, self._score + 1)
        elif here > self._all or self._score < _FALL:
            self._all, self._score = here, 0
        else:
            self._score -= _FALL
        self._here = here - samples
        self._is_short = self._nobody = True
        self._left_ns = now_ns

    def missed(self) -> None:
        """Somebody was waited for in vain. After the second time, all must show again."""
        self._score = max(0, self._score - _SURE)

    def expected(self, now_ns: int, ending: int, ends_ns: float) -> Expected | None:
        """Return who comes back; None if nobody is known to.

        Args:
            now_ns: the time.
            ending: samples that are about to be answered.
            ends_ns: when.
        """
        if self._score < _SURE:
            return None
        left_ns = max(ends_ns, now_ns) if ending else self._left_ns
        last_ns = left_ns + self._last.mean_ns
        latest_ns = last_ns + max(_DEVIATIONS * self._last.deviation_ns, _LEAST_NS)
        back = self._all - self._here + ending
        if back <= 0 or now_ns >= latest_ns:
            return None
        return Expected(back, left_ns + self._first.mean_ns, last_ns, latest_ns)
