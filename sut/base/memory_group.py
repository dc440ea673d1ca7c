"""A memory cgroup for the processes of one try: the kernel itself keeps them below a limit.

Made inside this process's own group, so that the limits above still hold. Where no group can be
made, nothing is left behind. See the kernel's cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from sut.base import cgroup

# Each version: its controller in /proc/self/cgroup, and its files.
_V1 = ("memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control")
_V2 = ("", "memory.max", "memory.swap.max", "memory.events")
# The kernel frees the last pages of a process a moment after it ended.
_REMOVE_S = 1.0
_LOOK_S = 0.01
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A group; `close` removes it when its processes have ended.

    Attributes:
        folder: of the group.
        events: the file that counts those that the kernel killed.
    """

    folder: Path
    events: Path

    @property
    def entrance(self) -> Path:
        """The file that takes the number of a process that enters."""
        return self.folder / "cgroup.procs"

    def killed(self) -> int:
        """Return how many of its processes the kernel killed because the group was full."""
        words = dict(line.split() for line in cgroup.lines(self.events))
        return int(words.get("oom_kill", 0))

    def close(self) -> None:
        """Remove the group."""
        end_s = time.monotonic() + _REMOVE_S
        while True:
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                if time.monotonic() > end_s:
                    return
                time.sleep(_LOOK_S)


def make_group(limit_bytes: int, root: Path = Path("/")) -> MemoryGroup | None:
    """Return a new group with a limit and no swap; None: this process may make none.

    Args:
        limit_bytes: on the memory of all processes in it together.
        root: where `proc` and the mounts lie.
    """
    for controller, limit, swap, events in (_V2, _V1):
        own = next(cgroup.groups(root, controller), None)
        if own is None:
            continue
        folder = own / f"sut-try-{os.getpid()}-{next(_numbers)}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(limit_bytes), "ascii")
        except OSError:  # v2 gives no memory controller to a group below one that holds processes
            folder.rmdir()
            continue
        with contextlib.suppress(OSError):  # a kernel without swap has no such file
            (folder / swap).write_text(str(limit_bytes if controller else 0), "ascii")
        return MemoryGroup(folder, folder / events)
    return None
