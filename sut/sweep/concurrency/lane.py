"""One engine kept busy by one thread, with the times of every batch on the host.

Knows an engine and a clock; no process, no other lane.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from backends.base import AsyncEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from backends.base import Engine

    Array = NDArray[np.int64]
    Batch = tuple[int, ...]

# The columns of a lane's times, in ns of time.monotonic_ns; 0 where an engine does not tell.
COLUMNS = (
    "free",  # the slot was free again
    "launch",  # the launch was called
    "launched",  # it returned
    "wait",  # the wait for this batch began
    "started",  # the device began
    "finished",  # the device was done
    "done",  # the wait returned
)


class Lane:
    """One engine and its batches.

    Args:
        engine: with samples bound.
        count: samples bound; each batch takes the next ones.
        batch: samples of a batch.
        inflight: batches on the device at once; a blocking engine has one.
        now_ns: the clock.
    """

    def __init__(
        self,
        engine: Engine,
        count: int,
        batch: int,
        inflight: int,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._engine = engine
        self._async = engine if isinstance(engine, AsyncEngine) else None
        self._inflight = min(inflight, self._async.slots) if self._async is not None else 1
        self._now_ns = now_ns
        batches = max(1, count // batch)
        self._rows = [[(k * batch + i) % count for i in range(batch)] for k in range(batches)]

    @property
    def inflight(self) -> int:
        """Batches on the device at once."""
        return self._inflight

    def run(self, until_ns: int, stopping: threading.Event) -> Array:
        """Run batches until a time, or until told to stop; return the times, [batches, COLUMNS].

        Batches that are on the device then are waited for.
        """
        if self._async is None:
            return _array(self._blocking(until_ns, stopping))
        return _array(self._overlapped(self._async, until_ns, stopping))

    def _blocking(self, until_ns: int, stopping: threading.Event) -> list[Batch]:
        now_ns, infer, found = self._now_ns, self._engine.infer, list[tuple[int, ...]]()
        free = now_ns()
        while free < until_ns and not stopping.is_set():
            rows = self._rows[len(found) % len(self._rows)]
            launch = now_ns()
            infer(rows)
            done = now_ns()
            found.append((free, launch, launch, launch, 0, 0, done))
            free = done
        return found

    def _overlapped(
        self, engine: AsyncEngine, until_ns: int, stopping: threading.Event
    ) -> list[Batch]:
        now_ns, found = self._now_ns, list[tuple[int, ...]]()
        begun: list[tuple[int, int, int]] = []
        for slot in range(self._inflight):
            begun.append(self._launched(engine, slot, slot, now_ns()))
        flying = number = self._inflight
        while flying:
            slot = len(found) % self._inflight
            wait = now_ns()
            _, (started, finished) = engine.wait(slot)
            done = now_ns()
            found.append((*begun[slot], wait, started, finished, done))
            if done < until_ns and flying == self._inflight and not stopping.is_set():
                begun[slot] = self._launched(engine, slot, number, done)
                number += 1
            else:
                flying -= 1
        return found

    def _launched(
        self, engine: AsyncEngine, slot: int, number: int, free: int
    ) -> tuple[int, int, int]:
        rows = self._rows[number % len(self._rows)]
        launch = self._now_ns()
        engine.launch(slot, rows)
        return free, launch, self._now_ns()


def _array(found: Sequence[Batch]) -> Array:
    return np.array(found, np.int64).reshape(-1, len(COLUMNS))
