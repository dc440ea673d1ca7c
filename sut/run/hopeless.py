"""Ends a test early if its queue grows, so that it cannot become VALID."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sut.record.trace import BATCH_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sut.record.trace_reader import TraceReader

# A run is hopeless if for this long every batch answered its oldest sample later than this many
# times the bound: the queue grows, and answering it takes longer than the run.
_HOPELESS_S, _HOPELESS_FACTOR = 2.0, 2.0


class Hopeless:
    """Detects a running test that can no longer meet the bound; a `watch` of sut.run.run."""

    def __init__(self, bound_ns: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_ns = _HOPELESS_FACTOR * bound_ns
        self._clock = clock
        self._since_s: float | None = None

    def __call__(self, reader: TraceReader) -> str | None:
        """Read the new batches; return why the test should end, or None."""
        new = reader.new_batches()
        if len(new):
            oldest, completed = (
                new[:, BATCH_FIELDS.index(name)] for name in ("oldest_ns", "completed_ns")
            )
            if int((completed - oldest).min()) <= self._limit_ns:
                self._since_s = None
            elif self._since_s is None:
                self._since_s = self._clock()
        if self._since_s is None or self._clock() - self._since_s < _HOPELESS_S:
            return None
        return f"the queue grew: every batch took more than {_HOPELESS_FACTOR:g} times the bound"
