"""Processor time of this process by kind of thread, and of the whole machine.

From Linux's /proc; unknown on other systems.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_TASKS, _STAT = Path("/proc/self/task"), Path("/proc/stat")
# Fields of the first line of /proc/stat (proc(5)): user, nice, system, idle, iowait, irq, softirq,
# steal. Guests' time is in user.
_FIELDS, _IDLE_FIELDS = 8, (3, 4)
_NS_PER_S = 1e9
# ZeroMQ's threads, which send and receive without Python's interpreter (ZMQbg/IO/0).
_WIRE_PREFIX = "ZMQbg"


class ThreadClock:
    """Counts from its creation; threads that end meanwhile are not counted."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._before = _processor_s()
        self._ticks = _ticks()

    def cores(self) -> dict[str, float]:
        """Return the mean number of cores that were busy, by name; what is unknown is absent.

        `process_cores` is of all threads but ZeroMQ's, `wire_cores` of ZeroMQ's; `host_busy` is the
        share of all cores of the machine that anybody kept busy.
        """
        seconds = time.monotonic() - self._start_s
        found: dict[str, float] = {}
        for thread, (kind, now_s) in _processor_s().items():
            _, before_s = self._before.get(thread, (kind, 0.0))
            found[kind] = found.get(kind, 0.0) + (now_s - before_s) / seconds
        all_ticks, idle_ticks = (
            now - then for now, then in zip(_ticks(), self._ticks, strict=True)
        )
        if all_ticks:
            found["host_busy"] = 1 - idle_ticks / all_ticks
        return found


def _ticks() -> tuple[int, int]:
    """Return the time of all cores since the machine started, and their idle time, in ticks."""
    try:
        line = _STAT.read_text("ascii").split("\n", 1)[0]
        ticks = [int(word) for word in line.split()[1 : _FIELDS + 1]]
        return sum(ticks), sum(ticks[k] for k in _IDLE_FIELDS)
    except (OSError, ValueError, IndexError):
        return 0, 0


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
