"""The workers as the policy knows them, and those with a free slot in the order of their end.

Pure. A cluster has many workers, and each batch chooses among them: only those are looked at that
could be chosen.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from sut.serve.service_curve import ServiceCurve

if TYPE_CHECKING:
    from collections.abc import Sequence

# Workers count as equal if their predicted finish times differ by less than this share of the wait.
EQUAL_SHARE = 0.05
# Late closing closes a batch this long before its device is free: what it takes to bring the batch
# there, the hop to the worker and the copy. It is learnt per device; this is the first guess.
FIRST_LEAD_NS = 300_000.0
# A device that stood idle for longer than this before a batch got it too late.
GAP_NS = 20_000
# The lead grows after each batch that came too late and shrinks after every other one. The two
# steps are in balance when one batch in twenty comes too late.
LEAD_UP_NS, LEAD_DOWN_NS = 38_000.0, 2_000.0
# Numbers of waiting samples for which the shortest time on any worker is kept up to date; with
# fewer workers than `_MANY` that costs more than it saves.
_KEPT, _MANY = 8, 16


class WorkerState:
    """One worker.

    Attributes:
        index: of the worker.
        slots: batches in flight, at most; 0: it is lost.
        cap: its largest batch, in samples.
        curve: its S(b), the service time of a batch of b samples.
        in_flight: (samples, closed_ns) of its batches, oldest first.
        finished_ns: when its last batch finished.
        lead_ns: how long before that a batch must be closed.
        free_ns: predicted end of all its batches.
        place: its entry in FreeWorkers; None: it has no free slot.
    """

    __slots__ = (
        "cap", "curve", "finished_ns", "free_ns", "in_flight", "index", "lead_ns", "place", "slots",
    )  # fmt: skip

    def __init__(self, index: int, slots: int, cap: int) -> None:
        self.index = index
        self.slots = slots
        self.cap = cap
        self.curve = ServiceCurve(cap)
        self.in_flight: deque[tuple[int, int]] = deque()
        self.finished_ns = 0
        self.lead_ns = FIRST_LEAD_NS
        self.free_ns = 0.0
        self.place: tuple[float, int] | None = None

    @property
    def due_ns(self) -> float:
        """When the next batch must be closed, to start right after those in flight."""
        return self.free_ns - self.lead_ns

    def learn_lead(self, closed_ns: int, started_ns: int) -> None:
        """Adapt the lead to a batch that was closed while the device ran the one before."""
        if closed_ns >= self.finished_ns:
            return  # the device was free before there was a batch
        gap_ns = started_ns - self.finished_ns
        if gap_ns > GAP_NS:
            # A gap far beyond the lead is a stall of the host, which no lead can hide.
            usual = gap_ns <= 2 * max(self.lead_ns, FIRST_LEAD_NS)
            self.lead_ns += max(LEAD_UP_NS, gap_ns / 2) if usual else LEAD_UP_NS
        else:
            self.lead_ns = max(0.0, self.lead_ns - LEAD_DOWN_NS)


class FreeWorkers:
    """The workers with a free slot, by when they will be free. Call `put` after every change."""

    __slots__ = ("_alone", "_least_ns", "_most_cap", "_most_lead_ns", "_order", "_workers")

    def __init__(self, workers: Sequence[WorkerState]) -> None:
        self._workers = workers
        self._alone = workers[0] if len(workers) == 1 else None  # needs no order
        # By waiting samples: no worker takes less for them, or for as many of them as it can.
        self._least_ns: dict[int, float] = {}
        self._most_cap = max((worker.cap for worker in workers), default=0)
        self._order: list[tuple[float, int]] = []
        self._most_lead_ns = FIRST_LEAD_NS
        for worker in workers:
            self.put(worker)

    def put(self, worker: WorkerState) -> None:
        """Take note of a worker whose slots, batches or lead changed."""
        if self._alone is not None:
            return
        if worker.place is not None:
            del self._order[bisect_left(self._order, worker.place)]
            worker.place = None
        if len(worker.in_flight) < worker.slots:
            worker.place = worker.free_ns, worker.index
            insort(self._order, worker.place)
        self._most_lead_ns = max(worker.lead_ns, self._most_lead_ns)

    def observed(self, worker: WorkerState) -> None:
        """Take note of a worker whose S(b) or largest batch changed."""
        for pending, least_ns in self._least_ns.items():
            ns = worker.curve.predict_ns(min(pending, worker.cap))
            if ns < least_ns:
                self._least_ns[pending] = ns

    def due_ns(self) -> float:
        """Return when the first of them needs its next batch; 0.0 if there is none."""
        if (alone := self._alone) is not None:
            return alone.due_ns if len(alone.in_flight) < alone.slots else 0.0
        first_ns = inf
        for free_ns, index in self._order:
            if free_ns - self._most_lead_ns >= first_ns:
                break  # no lead makes a later one the first
            first_ns = min(first_ns, self._workers[index].due_ns)
        return first_ns if self._order else 0.0

    def best(self, now_ns: int, pending: int) -> WorkerState:
        """Return the one that should finish a batch of `pending` first.

        Among equals, it is the one free longest. Workers are equal within the usual variation of
        S(b). An exact comparison would send everything to the device that was measured fastest, as
        long as one device is enough.
        """
        if self._alone is not None:
            return self._alone
        workers, first_ns, least_ns = self._workers, inf, self._least(pending)
        finish_ns: list[float] = []
        for free_ns, index in self._order:
            start_ns = free_ns if free_ns > now_ns else now_ns
            if start_ns + least_ns > first_ns:
                break  # it finishes after another, and so do all that follow
            worker = workers[index]
            at_ns = start_ns + worker.curve.predict_ns(min(pending, worker.cap))
            finish_ns.append(at_ns)
            first_ns = min(first_ns, at_ns)
        limit_ns = first_ns + EQUAL_SHARE * (first_ns - now_ns)
        place = next(k for k, at_ns in enumerate(finish_ns) if at_ns <= limit_ns)
        return workers[self._order[place][1]]

    def _least(self, pending: int) -> float:
        """Return a time that no worker stays below for so many waiting samples."""
        kept, pending = self._least_ns, min(pending, self._most_cap)
        if len(self._workers) < _MANY:
            return 0.0
        if pending not in kept:
            if len(kept) >= _KEPT:
                del kept[next(iter(kept))]  # the oldest
            kept[pending] = min(
                worker.curve.predict_ns(min(pending, worker.cap)) for worker in self._workers
            )
        return kept[pending]
