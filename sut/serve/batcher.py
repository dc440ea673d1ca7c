"""Decides when a batch is closed: a pure state machine, with the time as an argument.

Has no clock and no thread. It counts samples and knows their arrival times; it never sees their
ids, indices or tensors.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sut.record.trace import Close

# Weight of the newest gap in the running mean of the gaps between queries. With a sixteenth, the
# mean follows a change of load within some tens of queries and ignores single Poisson gaps.
GAP_WEIGHT = 1 / 16


@dataclass(frozen=True, slots=True)
class BatcherSettings:
    """When to close a batch.

    Attributes:
        max_batch_size: samples; never exceeded.
        max_queue_delay_ns: how long a sample may wait while a slot is free. 0 sends all waiting
            samples as soon as a slot is free. None closes as late as possible: just before the
            device is free.
    """

    max_batch_size: int
    max_queue_delay_ns: int | None = 0


class Batcher:
    """Samples in order of arrival, cut into batches.

    The owner calls `close` after every event (an arrival, a free slot, the time of `due_ns`), and
    then `take` for the batch that was closed.
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
        """Add `samples` that arrived together. Call it in order of time."""
        self._runs.append([arrival_ns, samples])
        self.pending += samples
        self._flushed = False
        if self._last_ns is not None:
            self._gap_ns += (arrival_ns - self._last_ns - self._gap_ns) * GAP_WEIGHT
        self._last_ns = arrival_ns

    def flush(self) -> None:
        """Send everything without delay: the series has no more samples (FlushQueries)."""
        self._flushed = True

    def can_close(self, now_ns: int, least_cap: int, device_due_ns: float) -> bool:
        """Whether `close` can return a reason for a worker that takes `least_cap` or more.

        Cheap, because it runs at every query, and mostly there is nothing to do.
        """
        pending = self.pending
        if not pending:
            return False
        if pending >= least_cap or self._flushed:
            return True
        delay_ns = self._settings.max_queue_delay_ns
        if delay_ns is None:
            return now_ns >= device_due_ns
        return now_ns + self._gap_ns >= self._runs[0][0] + delay_ns

    def close(self, now_ns: int, cap: int, idle: bool, device_due_ns: float = 0.0) -> Close | None:
        """Return why to close a batch of min(pending, cap) samples now; None to wait.

        Args:
            now_ns: the time.
            cap: the most samples that the worker takes.
            idle: the worker has nothing in flight.
            device_due_ns: when that worker needs its next batch; late closing waits until then.
        """
        if not self.pending:
            return None
        if self.pending >= min(cap, self._settings.max_batch_size):
            return Close.FULL
        if self._flushed:
            return Close.FLUSH
        delay_ns = self._settings.max_queue_delay_ns
        if delay_ns is None:
            return Close.LATE if now_ns >= device_due_ns else None
        return self._by_delay(now_ns, self._runs[0][0] + delay_ns, idle)

    def _by_delay(self, now_ns: int, due_ns: int, idle: bool) -> Close | None:
        if now_ns >= due_ns:
            return Close.DELAY
        if idle and now_ns + self._gap_ns > due_ns:
            return Close.IDLE  # the next query is expected only after the delay is over
        return None

    def due_ns(self, device_due_ns: float = 0.0) -> int | None:
        """Return when `close` gives a reason without another event; None if nothing waits."""
        if not self._runs:
            return None
        delay_ns = self._settings.max_queue_delay_ns
        return int(device_due_ns) if delay_ns is None else self._runs[0][0] + delay_ns

    @property
    def oldest_ns(self) -> int:
        """When the oldest sample arrived; something waits."""
        return self._runs[0][0]

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
