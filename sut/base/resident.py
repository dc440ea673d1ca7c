"""How much memory a process has in RAM, as the kernel counts it. Linux only; see proc(5)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
_RESET_PEAK = "5"  # to /proc/PID/clear_refs


@dataclass(frozen=True, slots=True)
class Resident:
    """What a process has in RAM, in bytes.

    Attributes:
        now: all of it.
        peak: the most since it started, or since `reset_peak`.
        private: what must stay there: heap, stacks, shared memory.
        mapped: pages of files, such as libraries; processes share them, and the kernel may drop
            and read them again.
        shared: of the private part what other processes may map, too.
    """

    now: int
    peak: int
    private: int
    mapped: int
    shared: int = 0

    @property
    def private_peak(self) -> int:
        """The peak of the private part, as long as the files stay mapped."""
        return max(self.private, self.peak - self.mapped)


def resident(pid: int | str = "self", root: Path = Path("/")) -> Resident | None:
    """Return the memory of a process; None: it ended.

    Args:
        pid: of the process.
        root: where `proc` lies.
    """
    try:
        text = (root / f"proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return None
    sizes = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            sizes[name] = int(value.split()[0]) * _KIB
    if "VmRSS" not in sizes:  # a zombie has no memory
        return None
    now = sizes["VmRSS"]
    shared = sizes.get("RssShmem", 0)
    private = sizes.get("RssAnon", now) + shared
    return Resident(now, sizes.get("VmHWM", now), private, sizes.get("RssFile", 0), shared)


def reset_peak() -> None:
    """Let the peak of this process begin again; where the kernel refuses, it goes on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, "ascii")
