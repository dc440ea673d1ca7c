"""When a running test can no longer become VALID."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sut.record.trace import BATCH_FIELDS, TraceWriter
from sut.record.trace_reader import TraceReader
from sut.run.hopeless import Hopeless

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000


def test_a_run_whose_batches_are_all_late_for_two_seconds_is_hopeless(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace")
    reader = TraceReader(tmp_path / "trace")
    numbers = itertools.count()
    now_s = [0.0]
    hopeless = Hopeless(15 * MS, lambda: now_s[0])

    def look(*latencies_ms: int) -> str | None:
        for latency_ms in latencies_ms:
            number = next(numbers)
            times_ns = dict.fromkeys(BATCH_FIELDS, 1) | {"completed_ns": 1 + latency_ms * MS}
            writer.batch(number, *times_ns.values())
        return hopeless(reader)

    assert look(50, 20) is None
    assert look(50, 40) is None
    now_s[0] = 2.5
    assert "the queue grew" in str(look(50))
    assert look(50, 10) is None
