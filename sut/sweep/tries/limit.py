"""What keeps the processes of a try below a limit of memory, and says whether one went over it.

Where this process may make a memory cgroup, the kernel keeps them below it, and kills what does not
fit. Elsewhere this process looks every few milliseconds at what they have in RAM, and ends them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sut.base import cgroup
from sut.base.memory_group import MemoryGroup, make_group
from sut.base.resident import resident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.base.resident import Resident

# Enters the group, then becomes the process itself, so that all of its memory counts.
_ENTER = ("/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"')
_STAT = Path("/proc/vmstat")


class Limit(Protocol):
    """A limit of memory.

    Attributes:
        how: who keeps it, in words.
        bytes: None: there is none of its own.
    """

    how: str
    bytes: int | None

    def before(self) -> Sequence[str]:
        """Return the command that a process of the try begins with."""

    def look(self, pids: Sequence[int]) -> str | None:
        """Return why the processes must end; None: they may go on."""

    def killed(self) -> bool:
        """Return whether the kernel killed a process for lack of memory since the try began."""

    def close(self) -> None:
        """Remove what was made for it."""


class MachineLimit:
    """The memory of the machine: nothing of our own, but the kernel's kills are seen."""

    how = "none of its own"
    bytes: int | None = None

    def __init__(self) -> None:
        self._before = _kills()

    def before(self) -> Sequence[str]:
        """See Limit."""
        return ()

    def look(self, pids: Sequence[int]) -> str | None:
        """See Limit."""
        return None

    def killed(self) -> bool:
        """See Limit. The kernel counts for the whole machine."""
        return _kills() > self._before

    def close(self) -> None:
        """See Limit."""


class GroupLimit:
    """A memory cgroup of the try's own."""

    how = "memory cgroup"

    def __init__(self, limit_bytes: int, group: MemoryGroup) -> None:
        self.bytes: int | None = limit_bytes
        self._group = group

    def before(self) -> Sequence[str]:
        """See Limit."""
        return (*_ENTER, str(self._group.entrance))

    def look(self, pids: Sequence[int]) -> str | None:
        """See Limit."""
        return None

    def killed(self) -> bool:
        """See Limit."""
        return self._group.killed() > 0

    def close(self) -> None:
        """See Limit."""
        self._group.close()


class WatchedLimit(MachineLimit):
    """What the processes have in RAM, looked at now and then; between two looks, more may pass."""

    how = "RAM of the processes, watched"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__()
        self.bytes = self._limit = limit_bytes
        self._most = 0

    def look(self, pids: Sequence[int]) -> str | None:
        """See Limit."""
        self._most = max(self._most, _together([resident(pid) for pid in pids]))
        if not self.is_below(self._most):
            return None
        return f"{self._most / 1e6:,.1f} MB in RAM, above the limit of {self._limit / 1e6:,.1f} MB"

    def is_below(self, size: int) -> bool:
        """Return whether the limit is below so many bytes: a peak between two looks counts too."""
        return self._limit < size


def limit_of(limit_bytes: int | None) -> Limit:
    """Return what can keep a limit here, the surest first; None: no limit of its own."""
    if limit_bytes is None:
        return MachineLimit()
    group = make_group(limit_bytes)
    return WatchedLimit(limit_bytes) if group is None else GroupLimit(limit_bytes, group)


def _together(found: Sequence[Resident | None]) -> int:
    """Return the most that processes had in RAM together, without pages of files."""
    return sum(one.private_peak for one in found if one is not None)


def _kills() -> int:
    """Return how many processes the kernel killed for lack of memory since it started."""
    words = (line.split() for line in cgroup.lines(_STAT))
    return next((int(value) for name, value in words if name == "oom_kill"), 0)
