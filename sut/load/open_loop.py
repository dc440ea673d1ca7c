"""An open loop: requests at their times, whether earlier ones are answered or not.

A request that is sent late keeps the time at which it was due: its latency counts from there. All
that are due at once go in one call, as LoadGen's Server does with coalesced queries.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from sut.base.process import precise_timers
from sut.load.indices import Indices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sut.serve.dispatcher import Recorder
    from sut.serve.pool import Front

NS_PER_S = 1e9
# From the call of `run` to time 0 of the schedule.
_LEAD_NS = 5_000_000
# The longest sleep: after it, a `stop` is seen.
_LONGEST_S = 0.05
# Requests that are sent in one call at most.
_MOST_AT_ONCE = 4_096


class OpenLoop:
    """See sut.load.loads.Load.

    Args:
        times: when requests are due, in ns from the start: blocks of ascending times.
        request_batch: samples of a request.
        samples: loaded ones.
        trace: receives the times.
    """

    def __init__(
        self,
        times: Iterator[NDArray[np.int64]],
        request_batch: int,
        samples: int,
        trace: Recorder,
    ) -> None:
        self._times = times
        self._size = request_batch
        self.query = trace.query
        """See Recorder."""
        self._record = trace.batch
        self._indices = Indices(samples, _MOST_AT_ONCE * request_batch)
        self._ids = list(range(_MOST_AT_ONCE * request_batch))
        self._sent: list[NDArray[np.int64]] = []
        self._stopped = threading.Event()
        self._all_sent = threading.Event()
        self._issued = self._answered = 0  # samples
        self._count = threading.Lock()
        self._idle = threading.Event()

    def run(self, front: Front) -> None:
        """See Load. Returns after `stop`, or after the last request."""
        precise_timers()
        start_ns = time.monotonic_ns() + _LEAD_NS
        for block in self._times:
            due_ns = block + start_ns
            sent = self._send_block(front, due_ns.tolist())
            self._sent.append(due_ns[:sent])
            if self._stopped.is_set():
                break
        self._all_sent.set()
        self._look()

    def batch(self, number: int, *record: int) -> None:
        """See Recorder."""
        self._record(number, *record)
        with self._count:
            self._answered += record[1]
        if self._all_sent.is_set():
            self._look()

    def stop(self) -> None:
        """See Load."""
        self._stopped.set()

    def wait(self, limit_s: float) -> bool:
        """See Load."""
        return self._idle.wait(limit_s)

    def scheduled_ns(self) -> NDArray[np.int64]:
        """See Load."""
        self._all_sent.wait()
        return np.concatenate([np.zeros(0, np.int64), *self._sent])

    def _send_block(self, front: Front, due_ns: list[int]) -> int:
        """Send requests when they are due; return how many were sent."""
        sent, size, stopped = 0, self._size, self._stopped
        while sent < len(due_ns) and not stopped.is_set():
            now_ns = time.monotonic_ns()
            wait_ns = due_ns[sent] - now_ns
            if wait_ns > 0:
                time.sleep(min(wait_ns / NS_PER_S, _LONGEST_S))
                continue
            end = bisect_right(due_ns, now_ns, sent, min(len(due_ns), sent + _MOST_AT_ONCE))
            samples = (end - sent) * size
            self._issued += samples
            front.issue_query(self._ids[:samples], self._indices.next(samples))
            sent = end
        return sent

    def _look(self) -> None:
        with self._count:
            if self._answered == self._issued:
                self._idle.set()
