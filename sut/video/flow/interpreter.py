"""How often a thread of this process waits for Python's interpreter, which one at a time may use.

A thread sleeps for some milliseconds and looks how late it goes on. What it waited for a core, the
kernel says (proc(5), schedstat); the rest it waited for the interpreter's lock. Chances are that
the lock is held then, so the share of its looks at which it waited is at most the share of time for
which others hold the lock, and near it where they hold it for long.
"""

from __future__ import annotations

import os
import random
import threading
import time
from typing import NamedTuple

from sut.base.process import precise_timers

_EVERY_S = 0.02
# To wake a core of a virtual machine from idle takes 0.1 ms, and what holds the lock without others
# in its way mostly lets go before.
_LATE_NS = 200_000


class Looks(NamedTuple):
    """How often the thread looked, and how often it had waited for the lock."""

    all: int = 0
    waited: int = 0

    def share_since(self, before: Looks) -> float | None:
        """Return the share of looks since `before` at which it waited; None: there were none."""
        looks = self.all - before.all
        return (self.waited - before.waited) / looks if looks > 0 else None


class LockWatch:
    """The thread that looks. Without the kernel's word on waits for a core it never does."""

    def __init__(self) -> None:
        self.looks = Looks()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="lock watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; it looks once more at most."""
        self._over = True

    def _run(self) -> None:
        precise_timers()
        gaps = random.Random(0)  # a beat of frames must not fall in step with it
        try:
            file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:
            return
        try:
            while not self._over:
                gap_s = _EVERY_S * gaps.uniform(0.5, 1.5)
                queued_ns, began_ns = _queued_ns(file), time.monotonic_ns()
                time.sleep(gap_s)
                late_ns = time.monotonic_ns() - began_ns - int(gap_s * 1e9)
                waited = late_ns - (_queued_ns(file) - queued_ns) > _LATE_NS
                self.looks = Looks(self.looks.all + 1, self.looks.waited + waited)
        finally:
            os.close(file)


def _queued_ns(file: int) -> int:
    """Return how long the thread was ready and had no core, in all."""
    return int(os.pread(file, 100, 0).split()[1])
