"""A closed loop: each of N clients sends its next request when its last one is whole.

No client has a thread: the worker's thread that ends a batch also sends what follows from it, all
requests of the batch in one call. Nothing is kept for a single request. Samples are numbered in the
order in which they are sent and batches take them in that order, so a batch's record says which
requests it makes whole.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from sut.load.indices import Indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.serve.dispatcher import Recorder
    from sut.serve.pool import Front


class ClosedLoop:
    """See sut.load.loads.Load.

    A request is due when the one before it is whole; what the loop itself takes until it is sent
    counts as its lateness.

    Args:
        clients: requests in flight.
        request_batch: samples of a request.
        samples: loaded ones.
        trace: receives the times.
    """

    def __init__(self, clients: int, request_batch: int, samples: int, trace: Recorder) -> None:
        self._clients = clients
        self._size = request_batch
        self._trace = trace
        self.query = trace.query
        """See Recorder."""
        self._record = trace.batch
        most = clients * request_batch
        self._indices = Indices(samples, most)
        self._ids = list(range(most))  # whoever answers needs as many ids as samples, and no more
        self._schedule = array("q")  # pairs: when requests were due, and how many
        self._ended: deque[tuple[int, int, int]] = deque()  # completed_ns, first sample, samples
        self._parts: dict[int, int] = {}  # samples that are missing, of requests cut by a batch
        self._lock = threading.Lock()
        self._stopped = False
        self._in_flight = 0
        self._idle = threading.Event()

    def run(self, front: Front) -> None:
        """See Load. Returns once the first requests are sent, unless this thread runs batches."""
        self._issue = front.issue_query
        self._in_flight = self._clients
        with self._lock:
            self._send(time.monotonic_ns(), self._clients)
        self._pump()

    def batch(self, number: int, *record: int) -> None:
        """See Recorder. Sends the requests that follow from this batch."""
        self._record(number, *record)
        self._ended.append((record[-1], record[0], record[1]))
        self._pump()

    def stop(self) -> None:
        """See Load."""
        self._stopped = True

    def wait(self, limit_s: float) -> bool:
        """See Load."""
        return self._idle.wait(limit_s)

    def scheduled_ns(self) -> NDArray[np.int64]:
        """See Load."""
        pairs = np.array(self._schedule, np.int64).reshape(-1, 2)
        return np.repeat(pairs[:, 0], pairs[:, 1])

    def _pump(self) -> None:
        """Follow all batches that ended, or leave them to the thread that holds the lock.

        Also to the same thread further up, where a batch runs on the thread that sends it.
        """
        ended = self._ended
        while ended:
            if not self._lock.acquire(blocking=False):
                return  # its holder looks again after it releases the lock
            try:
                while ended:
                    self._follow(*ended.popleft())
            finally:
                self._lock.release()

    def _follow(self, at_ns: int, first: int, samples: int) -> None:
        whole = samples if self._size == 1 else self._whole(first, samples)
        if not whole:
            return
        if self._stopped:
            self._in_flight -= whole
            if not self._in_flight:
                self._idle.set()
        else:
            self._send(at_ns, whole)

    def _whole(self, first: int, samples: int) -> int:
        """Return how many requests a batch makes whole; note those of which it has only a part."""
        size, end = self._size, first + samples
        head, tail, starts_inside = first // size, end // size, first % size
        whole = max(0, tail - head - bool(starts_inside))
        if starts_inside:
            whole += self._part(head, min(end, (head + 1) * size) - first)
        if end % size and (tail > head or not starts_inside):
            whole += self._part(tail, end % size)
        return whole

    def _part(self, request: int, samples: int) -> int:
        """Note samples of a request; return 1 if it is whole now."""
        left = self._parts.pop(request, self._size) - samples
        if left:
            self._parts[request] = left
        return not left

    def _send(self, at_ns: int, requests: int) -> None:
        self._schedule.extend((at_ns, requests))
        samples = requests * self._size
        self._issue(self._ids[:samples], self._indices.next(samples))
