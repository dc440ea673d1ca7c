"""Calls a function at a time, on a thread of its own. Knows no queue, batch or policy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


# No time is later.
NEVER_NS = 1 << 63


class Timer:
    """Calls `wake` at the armed time, on its own thread.

    Arming needs the lock only if the thread would sleep too long. Mostly due times grow, and a
    thread that sleeps until an earlier time wakes in time.
    """

    def __init__(self, wake: Callable[[], None], clock: Callable[[], int]) -> None:
        self._wake = wake
        self._clock = clock
        self._due_ns: int | None = None
        self._until_ns = NEVER_NS  # the thread sleeps until then
        self._closed = False
        self._bell = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="batch-timer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._bell.release()
        if self._thread.is_alive():
            self._thread.join()

    def arm(self, due_ns: int) -> None:
        """Wake at `due_ns`; the latest call counts."""
        self._due_ns = due_ns
        if due_ns < self._until_ns:
            self._until_ns = due_ns
            self._bell.release()

    def _run(self) -> None:
        while not self._closed:
            self._until_ns = NEVER_NS
            due_ns = self._due_ns
            if due_ns is None:
                self._bell.acquire()
                continue
            self._until_ns = due_ns
            if self._due_ns != due_ns:  # armed meanwhile, perhaps for an earlier time
                continue
            wait_ns = due_ns - self._clock()
            if wait_ns > 0:
                self._bell.acquire(timeout=wait_ns / 1e9)
                continue
            self._due_ns = None
            self._wake()
