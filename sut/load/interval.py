"""Sends N samples every interval without waiting for answers: the MultiStream of v0.5.

Does not use LoadGen, so its figures are never a LoadGen result. Runs as
`python -m sut.load.interval`: the request comes on standard input, the latencies go to standard
output.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.errors import WorkerError
from sut.base.process import collector_off
from sut.base.subprocess_call import answer_request
from sut.config.settings import HarnessSettings, Lent  # msgspec reads the annotations
from sut.config.workload import Workload
from sut.serve.dispatcher import Outlets
from sut.serve.pool import open_system
from sut.serve.samples import SampleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.serve.dispatcher import Failure
    from sut.serve.pool import Front
    from sut.serve.responses import Responses

NS_PER_S = 1e9
_WARM_UP_S = 0.5
# How long to wait for answers after the last query. A queue that grew is not waited for.
_DRAIN_INTERVALS, _LEAST_DRAIN_S = 20, 0.5


@dataclass(frozen=True, slots=True)
class StreamsRequest:
    """What to send.

    Attributes:
        workload: what is computed, with its samples.
        harness: how batches are made.
        streams: samples of a query.
        interval_ns: from one query to the next.
        queries: how many.
        lent: kept worker processes, one a worker; empty: it starts its own.
    """

    workload: Workload
    harness: HarnessSettings
    streams: int
    interval_ns: int
    queries: int
    lent: tuple[Lent, ...] = ()


class Latencies:
    """When each query was due, and when its last sample was answered, by the workers' threads."""

    def __init__(self, streams: int, queries: int) -> None:
        self._streams = streams
        self._left = [streams] * queries
        self._done_ns = [0] * queries
        self._open = queries
        self._lock = threading.Lock()
        self.all_done = threading.Event()

    def complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        """Record that samples were answered; ids count from 1 in the order of the queries."""
        now_ns = time.monotonic_ns()
        with self._lock:
            for number in ids:
                query = (number - 1) // self._streams
                self._left[query] -= 1
                if not self._left[query]:
                    self._done_ns[query] = now_ns
                    self._open -= 1
        if not self._open:
            self.all_done.set()

    def since(self, due_ns: Sequence[int]) -> list[int]:
        """Return the latency of every query in ns; -1 if an answer is missing."""
        with self._lock:
            pairs = zip(self._done_ns, due_ns, strict=True)
            return [done - due if done else -1 for done, due in pairs]


class _NoTrace:
    """See sut.serve.dispatcher.Recorder. Keeps nothing."""

    def query(self, arrival_ns: int, samples: int) -> None:
        """See Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See Recorder."""


def measure(request: StreamsRequest) -> list[int]:
    """Open the engines, send everything, return the latency of every query in ns.

    Raises:
        SutError: an engine does not open, or a batch failed.
    """
    failures: list[Failure] = []
    latencies = Latencies(request.streams, request.queries)
    workload = request.workload
    assert workload.samples is not None, "samples are prepared before they are sent"
    outlets = Outlets(latencies.complete, _NoTrace(), failures.append)
    system = open_system(request, outlets, lent=request.lent)
    system.open()
    count = min(workload.samples.count, workload.performance_sample_count)
    system.load(SampleSource.of(workload, range(count)))
    system.warm_up(range(count), request.streams, _WARM_UP_S)
    front = system.front()
    collector_off()
    due_ns = _send(request, front, count, failures)
    drain_s = _DRAIN_INTERVALS * request.interval_ns / NS_PER_S
    latencies.all_done.wait(max(drain_s, _LEAST_DRAIN_S))
    if failures:
        raise WorkerError(failures[0].message, failures[0].traceback)
    return latencies.since(due_ns)


def _send(
    request: StreamsRequest, front: Front, samples: int, failures: Sequence[Failure]
) -> list[int]:
    """Send every query when it is due; return the times at which they were due."""
    streams = request.streams
    start_ns = time.monotonic_ns() + request.interval_ns
    due_ns = [start_ns + k * request.interval_ns for k in range(request.queries)]
    for query, at_ns in enumerate(due_ns):
        time.sleep(max(0, at_ns - time.monotonic_ns()) / NS_PER_S)
        if failures:
            break
        first = query * streams
        ids = list(range(first + 1, first + streams + 1))
        front.issue_query(ids, [number % samples for number in ids])
        front.flush_queries()
    return due_ns


def percentile_ns(latencies_ns: Sequence[int], share: float) -> float:
    """Return the latency that a share of the queries does not exceed; at 1 the longest.

    Args:
        latencies_ns: of every query; negative for one without all its answers.
        share: above 0, up to 1.
    """
    whole = sorted(latency if latency >= 0 else float("inf") for latency in latencies_ns)
    return whole[min(int(share * len(whole)), len(whole) - 1)]


if __name__ == "__main__":
    code = answer_request(StreamsRequest, measure)
    sys.stderr.flush()
    # Batches of a queue that grew may still be running.
    os._exit(code)
