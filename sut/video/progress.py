"""What the streams do now, for the line that a long command prints (see sut.base.ticker)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sut.base.steps import say_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.video.flow.records import StreamRecord

_OVER_S = 2.0  # rates are over this time


class Progress:
    """Says rates now and then, as the step of the thread that calls it.

    Args:
        clock: in s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s, self._counts = clock(), list[int]()

    def __call__(self, records: Sequence[StreamRecord]) -> None:
        """Look at what the streams did so far."""
        seconds = self._clock() - self._at_s
        if seconds < _OVER_S:
            return
        counts = [record.delivered for record in records]
        before = self._counts or [0] * len(counts)
        self._at_s, self._counts = self._at_s + seconds, counts
        rates = {
            record.stream: (now - then) / seconds
            for record, now, then in zip(records, counts, before, strict=True)
            if not record.ended_ns
        }
        if not rates:
            return
        slowest = min(rates, key=lambda stream: rates[stream])
        say_step(
            f"{len(rates)} of {len(records)} streams run, {sum(rates.values()):.1f} frames/s, "
            f"the slowest {rates[slowest]:.1f} (stream {slowest}), "
            f"{sum(record.dropped for record in records)} dropped"
        )
