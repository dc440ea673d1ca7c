"""Traces of loads, made without a process: of a device that answers one batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.record.trace import BATCH_FIELDS, QUERY_FIELDS, Trace
from sut.sweep.figures import Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000


def closed(service_ms: Sequence[float], batch: int = 4) -> Sent:
    """One request of a batch in flight; each takes its time, and 0.1 ms until it is sent."""
    took = np.array([round(ms * MS) for ms in service_ms], np.int64)
    ends = np.cumsum(took)
    due = ends - took
    ones = np.ones(len(took), np.int64)
    times = (due + MS // 10, due + MS // 10, due + MS // 10, ends, ends)
    columns = (np.arange(len(took)) * batch, batch * ones, 0 * ones, 0 * ones, *times)
    return Sent(
        trace=Trace(
            dict(zip(BATCH_FIELDS, columns, strict=True)),
            dict(zip(QUERY_FIELDS, (due + MS // 10, batch * ones), strict=True)),
        ),
        scheduled_ns=due,
        request_batch=batch,
        concurrency=1,
        seen_ns=int(ends[-1]),
    )
