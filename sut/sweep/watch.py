"""Watches the trace of a point, and decides when its measurement is enough."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from sut.record.thinning import DEFAULT_ROOMS
from sut.record.trace import BATCH_FIELDS, Window
from sut.sweep.steady import is_enough, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.record.trace import Trace
    from sut.record.trace_reader import TraceReader
    from sut.sweep.steady import Rule, Steady

_COLUMNS = [BATCH_FIELDS.index(name) for name in ("samples", "oldest_ns", "completed_ns")]
# Judged only when there is this much more to judge: what was seen once is cheap to keep.
_MORE = 1.2
# A trace of more batches would thin itself.
_MOST_BATCHES = int(0.9 * DEFAULT_ROOMS.batches.records)


class Watch:
    """Of one point. Call `is_over` several times a second.

    Args:
        reader: of its trace.
        rule: when it is enough.
        request_batch: samples of a request.
        by_latency: it is an open loop.
    """

    def __init__(
        self, reader: TraceReader, rule: Rule, request_batch: int, *, by_latency: bool
    ) -> None:
        self._reader = reader
        self._rule = rule
        self._request_batch = request_batch
        self._by_latency = by_latency
        self._seen: list[NDArray[np.int64]] = []
        self._batches, self._judged = 0, 0
        self._end_s = time.monotonic() + rule.limit_s
        self._samples = 0
        self.window: Window | None = None
        """What is enough, once it is."""

    def is_over(self) -> bool:
        """Read what is new; return whether the measurement may end."""
        new = self._reader.new_batches()
        if len(new):
            self._seen.append(new[:, _COLUMNS])
            self._batches += len(new)
            self._samples += int(new[:, _COLUMNS[0]].sum())
        if time.monotonic() >= self._end_s or self._is_full():
            return True
        if self._batches <= _MORE * self._judged:
            return False
        self._judged = self._batches
        samples, oldest, ended = np.concatenate(self._seen).T
        self._seen = [np.stack([samples, oldest, ended], axis=1)]
        found = judge(ended, samples, ended - oldest, by_latency=self._by_latency)
        if found is None:
            return False
        requests = samples[ended > found.start_ns].sum() / self._request_batch
        if not is_enough(found, self._rule, requests, by_latency=self._by_latency):
            return False
        self.window = Window(found.start_ns, found.end_ns)
        return True

    def _is_full(self) -> bool:
        return self._samples >= self._rule.samples or self._batches >= _MOST_BATCHES


def judged(trace: Trace, start_ns: int | None, until_ns: int, *, by_latency: bool) -> Steady | None:
    """Judge a whole trace, up to a time; from a time on, if that is known."""
    batches = trace.batches
    kept = batches["completed_ns"] <= until_ns
    ended = batches["completed_ns"][kept]
    latencies_ns = ended - batches["oldest_ns"][kept]
    return judge(
        ended, batches["samples"][kept], latencies_ns, by_latency=by_latency, start_ns=start_ns
    )
