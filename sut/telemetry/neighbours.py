"""How much processor time other processes used during a trial.

From Linux's /proc/stat; unknown on other systems.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STAT = Path("/proc/stat")
# Fields of the first line of /proc/stat (proc(5)): user, nice, system, then idle, iowait, irq,
# softirq, steal. Time stolen by other guests counts as others'.
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
# A run in which others used this many cores shows little about the setting.
DISTURBING_CORES = 0.35
_LOOK_S = 1.0


class Neighbours:
    """Counts from its creation."""

    def __init__(self) -> None:
        self._start = _now()

    def cores(self) -> float | None:
        """Return the cores that others used on average; None if unknown.

        Our own processes are excluded once they ended and were waited for.
        """
        start, end = self._start, _now()
        if start is None or end is None or end[0] <= start[0]:
            return None
        seconds, busy_s, own_s = (after - before for before, after in zip(start, end, strict=True))
        return round(max(0.0, (busy_s - own_s) / seconds), 2)


def wait_for_quiet(limit_s: float, say: Callable[[str], None]) -> None:
    """Wait until other processes are quiet, but no longer than `limit_s`."""
    end_s = time.monotonic() + limit_s
    is_told = False
    while time.monotonic() < end_s:
        neighbours = Neighbours()
        time.sleep(_LOOK_S)
        cores = neighbours.cores()
        if cores is None or cores < DISTURBING_CORES:
            return
        if not is_told:
            say(f"waiting up to {limit_s:g} s: other processes use {cores:.1f} cores")
            is_told = True


def _now() -> tuple[float, float, float] | None:
    """Return the time, the machine's busy time, and that of this process and its children, in s."""
    try:
        fields = _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        busy = sum(int(fields[k]) for k in _BUSY_FIELDS)
    except (OSError, ValueError, IndexError):
        return None
    own_s = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        own_s += usage.ru_utime + usage.ru_stime
    return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), own_s
