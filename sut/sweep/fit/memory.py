"""The memory that batches must fit into: that of the host below a limit, or that of one GPU.

Says what a try is run under, and what its processes took together.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sut.base import cgroup
from sut.sweep.fit.memory_model import MemorySizes
from sut.sweep.tries.limit import MachineLimit, limit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sut.sweep.tries.limit import Limit

    # What the act of each process of a try returned.
    Figures = Sequence[Mapping[str, Any]]

# Without a limit of the user's: what is free now changes, and other programs want some of it.
_SHARE = 0.8
_KIB = 1024


class Memory(Protocol):
    """Memory that batches must fit into.

    Attributes:
        limit_bytes: for the processes of a try together; None: not known before the first try.
        how: who keeps the limit, in words.
    """

    limit_bytes: int | None
    how: str

    def limit(self, reserve: float) -> Limit:
        """Return what keeps a try below the limit less a share of it; to be closed."""

    def taken_bytes(self, reserve: float) -> int:
        """Return what a try must allocate and leave alone, so that the share is not there."""

    def needed_bytes(self, figures: Figures, reserve: float) -> int:
        """Return what the processes of a try took together."""

    def sizes(self, figures: Figures, weights: int) -> MemorySizes:
        """Return what is known of a try without a fit."""


class HostMemory:
    """RAM, for engines on the CPU."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes: int | None = limit_bytes
        limit = limit_of(limit_bytes)
        self.how = limit.how
        limit.close()

    def limit(self, reserve: float) -> Limit:
        """See Memory."""
        assert self.limit_bytes is not None, "set by the constructor"
        return limit_of(int(self.limit_bytes * (1 - reserve)))

    def taken_bytes(self, reserve: float) -> int:
        """See Memory: a smaller limit does the same."""
        return 0

    def needed_bytes(self, figures: Figures, reserve: float) -> int:
        """See Memory. Pages of files are left out: the kernel drops them first."""
        return sum(
            max(int(one["private_peak_bytes"]), int(one["opening"]["peak_bytes"]))
            for one in figures
        )

    def sizes(self, figures: Figures, weights: int) -> MemorySizes:
        """See Memory."""
        first = figures[0]
        return MemorySizes(
            weights=weights,
            io=int(first["io_bytes"]),
            opening=max(int(one["opening"]["peak_bytes"]) for one in figures),
        )


class GpuMemory:
    """The memory of one GPU: what is free of it before a try.

    Args:
        device: CUDA's number of it.
        free: returns its free bytes without a context of our own; None: unknown.
        limit_bytes: of the user; None: all that is free.
    """

    how = "memory of the GPU"

    def __init__(
        self, device: str, free: Callable[[str], int | None], limit_bytes: int | None = None
    ) -> None:
        self._device = device
        self._asked = limit_bytes
        self._base = free(device)
        self.limit_bytes = _least(limit_bytes, self._base)

    def limit(self, reserve: float) -> Limit:
        """See Memory: the GPU itself keeps it."""
        return MachineLimit()

    def taken_bytes(self, reserve: float) -> int:
        """See Memory. Before anything is known of the GPU, only a share can be unknown too."""
        if self._base is None or self.limit_bytes is None:
            return 0
        return max(0, int(self._base - self.limit_bytes * (1 - reserve)))

    def needed_bytes(self, figures: Figures, reserve: float) -> int:
        """See Memory.

        Libraries keep what they allocated, so what is free after the batches shows the peak.
        Without NVML, what was free before has the contexts of these processes in it.
        """
        if self._base is None:
            self._base = max(int(one["opening"]["device_free_bytes"]) for one in figures)
            self.limit_bytes = _least(self._asked, self._base)
        free = min(int(one["device"]["device_free"]) for one in figures)
        return self._base - free - self.taken_bytes(reserve)

    def sizes(self, figures: Figures, weights: int) -> MemorySizes:
        """See Memory."""
        first = figures[0]
        known = int(first["device"].get("weights") or weights)
        return MemorySizes(weights=known, io=int(first["io_bytes"]))


def default_limit(root: Path = Path("/")) -> int:
    """Return a limit for the host, in bytes: a share of what is available now.

    Args:
        root: see `cgroup.memory_left_bytes`.
    """
    available = next(
        (
            int(line.split()[1]) * _KIB
            for line in cgroup.lines(root / "proc/meminfo")
            if line.startswith("MemAvailable:")
        ),
        0,
    )
    left = cgroup.memory_left_bytes(root)
    return int(_SHARE * (available if left is None else min(available, left)))


def _least(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return min(known, default=None)
