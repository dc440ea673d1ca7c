"""The live line of a run: elapsed time, samples, rate, p99 so far, expected end.

Reads the trace that the process of the test writes. On a terminal it rewrites one line; elsewhere
it prints a plain line now and then. Does not know LoadGen.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

import numpy as np

from sut.base.progress import duration
from sut.base.ticker import spoke
from sut.record.trace import BATCH_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenarios.base import Expected
    from sut.record.trace_reader import TraceReader

_FIRST, _SAMPLES, _OLDEST, _COMPLETED = (
    BATCH_FIELDS.index(n) for n in ("first_sample", "samples", "oldest_ns", "completed_ns")
)
# Sixteen bins for each doubling of the latency: p99 within 4.4 %.
_BINS_PER_OCTAVE = 16
# A line at least every 10 s, however late the thread wakes up.
_PLAIN_STEP_S = 9.0
# Nothing is said of what takes less.
_LEAST_S = 0.5


class Progress:
    """Counts completed samples. The latency of a batch is that of its oldest sample."""

    def __init__(self, reader: TraceReader) -> None:
        self._reader = reader
        self._bins = np.zeros(64 * _BINS_PER_OCTAVE, np.int64)
        self._first_ns: int | None = None
        self._last_ns = 0
        self.samples = 0

    def update(self) -> None:
        """Count what was completed since the last call."""
        new = self._reader.new_batches()
        if not len(new):
            return
        if self._first_ns is None:
            self._first_ns = int(new[0, _OLDEST])
        samples = new[:, _SAMPLES]
        self._last_ns = max(self._last_ns, int(new[:, _COMPLETED].max()))
        # All batches before the last one are complete, also those that are not recorded.
        self.samples = int(new[-1, _FIRST]) + int(samples[-1])
        latency_ns = np.maximum(new[:, _COMPLETED] - new[:, _OLDEST], 1)
        bins = (np.log2(latency_ns) * _BINS_PER_OCTAVE).astype(np.int64)
        counts = np.bincount(bins, samples, len(self._bins)).astype(np.int64)
        self._bins += counts * self._reader.one_in

    @property
    def rate(self) -> float:
        """Samples/s from the first arrival to the last completion; 0.0 before."""
        if self._first_ns is None or self._last_ns <= self._first_ns:
            return 0.0
        return self.samples / (self._last_ns - self._first_ns) * 1e9

    def percentile_ns(self, share: float) -> float:
        """Upper edge of the bin that holds the percentile."""
        total = int(self._bins.sum())
        if not total:
            return 0.0
        found = int(np.searchsorted(np.cumsum(self._bins), share * total))
        return float(2 ** ((found + 1) / _BINS_PER_OCTAVE))


class Screen:
    """Where lines go, and when the next one is due: at once on a terminal, else every ten seconds.

    Lines that follow each other share a screen, so that many short waits are no long silence.

    Args:
        out: None: standard error.
        clock: in s.
    """

    def __init__(
        self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self.clock = clock
        self._next_s = clock() + _PLAIN_STEP_S

    @property
    def out(self) -> TextIO:
        """The stream."""
        return self._out or sys.stderr

    def is_due(self) -> bool:
        """Return whether a line is due; without a terminal it then counts as printed."""
        if self.out.isatty():
            return True
        now_s = self.clock()
        if now_s < self._next_s:
            return False
        # From when it was due: a line that is late makes no later ones.
        self._next_s += _PLAIN_STEP_S * (1 + (now_s - self._next_s) // _PLAIN_STEP_S)
        return True

    def show(self, text: str) -> None:
        """Print a line, on a terminal in place of the one before."""
        self.out.write(f"\r\x1b[K{text}" if self.out.isatty() else f"{text}\n")
        self.out.flush()
        spoke()

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self.out.isatty():
            self.show("")


class WaitingLine:
    """Says how long something has taken, such as `opening 2 engines: 20 s`. Call it now and then.

    Args:
        label: what takes long.
        screen: None: its own, so that without a terminal nothing is said of what takes less than
            ten seconds.
        step: what is done at the moment, or an empty text.
    """

    def __init__(
        self, label: str, screen: Screen | None = None, step: Callable[[], str] = str
    ) -> None:
        self._label = label
        self._screen = screen or Screen()
        self._start_s = self._screen.clock()
        self._step = step

    def __call__(self) -> None:
        """Print if it is time to, and if it takes long at all."""
        elapsed_s = self._screen.clock() - self._start_s
        if elapsed_s >= _LEAST_S and self._screen.is_due():
            self._screen.show(self.text(elapsed_s))

    def text(self, elapsed_s: float) -> str:
        """Return the current line."""
        step = self._step()
        return f"{self._label}: {step}{', ' if step else ''}{elapsed_s:.0f} s"

    def close(self) -> None:
        """End the line."""
        self._screen.clear()


class LiveLine(WaitingLine):
    """Prints the progress of one test. Call it several times a second."""

    def __init__(
        self, label: str, progress: Progress, expected: Expected, screen: Screen | None = None
    ) -> None:
        super().__init__(label, screen)
        self._progress, self._expected = progress, expected

    def __call__(self) -> None:
        """Read the trace, and print if it is time to."""
        self._progress.update()
        super().__call__()

    def text(self, elapsed_s: float) -> str:
        """Return the current line."""
        progress = self._progress
        parts = [
            super().text(elapsed_s),
            f"{progress.samples:,} samples",
            f"{progress.rate:,.1f}/s",
            f"p99 {progress.percentile_ns(0.99) / 1e6:.2f} ms",
        ]
        left_s = self._left_s(elapsed_s)
        if left_s:
            parts.append(f"about {duration(left_s)} left")
        elif left_s is not None:
            parts.append("waiting for LoadGen, which judges the latencies and writes its logs")
        return ", ".join(parts)

    def _left_s(self, elapsed_s: float) -> float | None:
        expected, progress = self._expected, self._progress
        if expected.samples is not None:
            if not progress.rate:
                return None
            by_count = max(0.0, (expected.samples - progress.samples) / progress.rate)
            return max(by_count, (expected.seconds or 0.0) - elapsed_s)
        return None if expected.seconds is None else max(0.0, expected.seconds - elapsed_s)
