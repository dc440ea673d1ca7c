"""Processor time of this process by kind of thread. From Linux's /proc; empty on other systems."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
_NS_PER_S = 1e9
# ZeroMQ's threads, which send and receive without Python's interpreter (ZMQbg/IO/0).
_WIRE_PREFIX = "ZMQbg"


class ThreadClock:
    """Counts from its creation; threads that end meanwhile are not counted."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._before = _processor_s()

    def cores(self) -> dict[str, float]:
        """Return the mean number of cores that were busy: by name of `process_cores`, `wire_cores`.

        The first is of all threads but ZeroMQ's, the second of ZeroMQ's; absent without any.
        """
        seconds = time.monotonic() - self._start_s
        found: dict[str, float] = {}
        for thread, (kind, now_s) in _processor_s().items():
            _, before_s = self._before.get(thread, (kind, 0.0))
            found[kind] = found.get(kind, 0.0) + (now_s - before_s) / seconds
        return found


def _processor_s() -> dict[str, tuple[str, float]]:
    """Return the kind and the processor time in s of every thread."""
    found = {}
    with suppress(OSError):
        for task in _TASKS.iterdir():
            with suppress(OSError):  # it ended meanwhile
                name = (task / "comm").read_text("ascii", "replace")
                # proc(5), schedstat: the first number is the time on the processor in ns.
                ns = int((task / "schedstat").read_text("ascii").split(" ", 1)[0])
                kind = "wire_cores" if name.startswith(_WIRE_PREFIX) else "process_cores"
                found[task.name] = kind, ns / _NS_PER_S
    return found
