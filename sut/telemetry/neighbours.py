"""How much processor time other processes used meanwhile, and waiting until they use little.

From Linux's /proc/stat; unknown on other systems.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
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


def busy_s() -> float | None:
    """Return the time that all processors were busy since the machine started, in s."""
    try:
        fields = _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
        return sum(int(fields[k]) for k in _BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def disturbance(cores: float | None) -> str:
    """Return what others did, in words, if it disturbs a measurement; else an empty text."""
    if cores is None or cores < DISTURBING_CORES:
        return ""
    return f"other processes used {cores:.1f} cores"


class Neighbours:
    """Counts from its creation.

    Args:
        busy_s: see the function of that name.
        own_s: processor time of our own processes that have not ended.
    """

    def __init__(
        self,
        busy_s: Callable[[], float | None] = busy_s,
        own_s: Callable[[], float] = float,
    ) -> None:
        self._busy_s, self._own_s = busy_s, own_s
        self._start = self._now()

    def cores(self) -> float | None:
        """Return the cores that others used on average; None if unknown.

        Our own processes are excluded once they ended and were waited for, or are in `own_s`.
        """
        start, end = self._start, self._now()
        if start is None or end is None or end[0] <= start[0]:
            return None
        seconds, others_s = end[0] - start[0], end[1] - start[1]
        return round(max(0.0, others_s / seconds), 2)

    def _now(self) -> tuple[float, float] | None:
        """Return the time, and how long the machine was busy with others, in s."""
        busy = self._busy_s()
        if busy is None:
            return None
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            busy -= usage.ru_utime + usage.ru_stime
        return time.monotonic(), busy - self._own_s()


@dataclass(frozen=True, slots=True)
class Quiet:
    """How to wait for a quiet machine.

    Attributes:
        limit_s: wait no longer; 0 never waits.
        say: receives a line when a wait starts.
        busy_s: see the function of that name.
        look_s: seconds between two looks.
        own_s: see Neighbours.
    """

    limit_s: float
    say: Callable[[str], None]
    busy_s: Callable[[], float | None] = busy_s
    look_s: float = 1.0
    own_s: Callable[[], float] = float

    def wait(self) -> None:
        """Wait until other processes are quiet, or the limit is reached."""
        end_s = time.monotonic() + self.limit_s
        is_told = False
        while time.monotonic() < end_s:
            neighbours = self.watch()
            time.sleep(self.look_s)
            loud = disturbance(neighbours.cores())
            if not loud:
                return
            if not is_told:
                self.say(f"waiting up to {self.limit_s:g} s: {loud}")
                is_told = True

    def watch(self) -> Neighbours:
        """Start to count what others use."""
        return Neighbours(self.busy_s, self.own_s)
