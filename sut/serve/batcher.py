"""Decides when a batch is closed: a pure state machine, with the time as an argument.

Has no clock, thread or sleep. It counts samples and knows their arrival times; it never sees
their ids, indices or tensors.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sut.record.trace import Close

# Weight of the newest gap in the running mean of the gaps between queries. A sixteenth follows a
# change of load within some tens of queries and is steady against single Poisson gaps.
GAP_WEIGHT = 1 / 16


@dataclass(frozen=True, slots=True)
class BatcherSettings:
    """When to close a batch.

    Attributes:
        max_batch_size: samples; never exceeded.
        max_queue_delay_ns: a sample is not held for longer than this while a slot is free. 0 sends
            what is there as soon as a slot is free.
        deadline_ns: the latency bound of a sample, counted from its arrival; None for no bound.
    """

    max_batch_size: int
    max_queue_delay_ns: int = 0
    deadline_ns: int | None = None


class Batcher:
    """Samples in order of arrival, cut into batches.

    The owner calls `close` whenever something happened (an arrival, a free slot, the time that
    `due_ns` named) and then `take`s what it was told to.
    """

    __slots__ = ("_flushed", "_gap_ns", "_last_ns", "_runs", "_settings", "pending")

    def __init__(self, settings: BatcherSettings) -> None:
        self._settings = settings
        self._runs: deque[list[int]] = deque()  # [arrival_ns, samples] of each query, oldest first
        self._flushed = False
        self._gap_ns = 0.0
        self._last_ns: int | None = None
        self.pending = 0

    def add(self, arrival_ns: int, samples: int) -> None:
        """Take in `samples` that arrived together; arrivals come in order of time."""
        self._runs.append([arrival_ns, samples])
        self.pending += samples
        self._flushed = False
        if self._last_ns is not None:
            self._gap_ns += (arrival_ns - self._last_ns - self._gap_ns) * GAP_WEIGHT
        self._last_ns = arrival_ns

    def flush(self) -> None:
        """No more samples come in this series (LoadGen's FlushQueries): hold nothing back."""
        self._flushed = True

    @property
    def oldest_ns(self) -> int | None:
        """Arrival of the oldest pending sample; None when nothing is pending."""
        return self._runs[0][0] if self._runs else None

    def can_close(self, now_ns: int, least_cap: int) -> bool:
        """Whether `close` can say anything but None for a worker that takes `least_cap` or more.

        Cheap: it is asked at every query, mostly to be told that there is nothing to do.
        """
        pending, settings = self.pending, self._settings
        if pending >= least_cap or self._flushed or settings.deadline_ns is not None:
            return pending > 0
        return pending > 0 and now_ns + self._gap_ns >= (
            self._runs[0][0] + settings.max_queue_delay_ns
        )

    def close(self, now_ns: int, cap: int, idle: bool, service_ns: int) -> Close | None:
        """Say whether a batch of min(pending, cap) samples is to be closed now, and why.

        Args:
            now_ns: the time.
            cap: samples that the worker at hand takes at most.
            idle: the worker at hand has nothing in flight.
            service_ns: predicted time from now to the answer of that batch on that worker.
        """
        if not self.pending:
            return None
        if self.pending >= min(cap, self._settings.max_batch_size):
            return Close.FULL
        return Close.FLUSH if self._flushed else self._by_time(now_ns, idle, service_ns)

    def _by_time(self, now_ns: int, idle: bool, service_ns: int) -> Close | None:
        due_ns = self._runs[0][0] + self._settings.max_queue_delay_ns
        if now_ns >= due_ns:
            return Close.DELAY
        if idle and now_ns + self._gap_ns > due_ns:
            return Close.IDLE  # the next query is expected only after the delay is over
        deadline_ns = self._settings.deadline_ns
        if deadline_ns is not None and now_ns + service_ns >= self._runs[0][0] + deadline_ns:
            return Close.DEADLINE
        return None

    def due_ns(self, service_ns: int) -> int | None:
        """Return the time at which `close` turns true by itself; None when nothing is pending."""
        if not self._runs:
            return None
        oldest_ns = self._runs[0][0]
        due_ns = oldest_ns + self._settings.max_queue_delay_ns
        if self._settings.deadline_ns is not None:
            due_ns = min(due_ns, oldest_ns + self._settings.deadline_ns - service_ns)
        return due_ns

    def take(self, samples: int) -> int:
        """Remove the `samples` oldest of those pending; return the arrival of the oldest in ns."""
        runs = self._runs
        oldest_ns = runs[0][0]
        self.pending -= samples
        while samples:
            run = runs[0]
            if run[1] > samples:
                run[1] -= samples
                break
            samples -= run[1]
            runs.popleft()
        return oldest_ns
