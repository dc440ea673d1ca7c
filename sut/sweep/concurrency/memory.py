"""Which points cannot fit: the model of memory, fitted to the points measured before.

A board without memory to spare reboots instead of failing, so such a point is not even tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sut.sweep.fit.memory_model import MemoryPoint, MemorySizes, can_fit, fit_memory

if TYPE_CHECKING:
    from sut.record.table import Row
    from sut.sweep.concurrency.grid import Crowd

    Key = tuple[str, ...]


@dataclass(slots=True)
class Memory:
    """What points took.

    Attributes:
        limit_bytes: that a point may take by its device; None, or no entry: unknown.
        base_bytes: what others had there from the start, by device.
        is_off: nothing is refused.
    """

    limit_bytes: dict[str, int] = field(default_factory=dict)
    base_bytes: dict[str, int] = field(default_factory=dict)
    is_off: bool = False
    _points: dict[Key, list[MemoryPoint]] = field(default_factory=dict)

    def learn(self, crowd: Crowd, row: Row) -> None:
        """Take in what a point took."""
        if "memory_bytes" not in row.figures or row.simulated:
            return
        # What processes share are mapped files, whose pages the kernel drops first.
        others = row.figures.get("shared_bytes", self.base_bytes.get(crowd.device, 0))
        taken = int(row.figures["memory_bytes"] - others)
        point = MemoryPoint(crowd.processes, crowd.load.request_batch, taken)
        self._points.setdefault(_key(crowd), []).append(point)

    def refusal(self, crowd: Crowd) -> str | None:
        """Return why a point is known to fail; None: it may fit, or too little is known."""
        limit, points = self.limit_bytes.get(crowd.device), self._points.get(_key(crowd), [])
        sizes = _sizes(crowd)
        if self.is_off or limit is None or not can_fit(points, sizes):
            return None
        model = fit_memory(points, sizes)
        why = model.refusal(crowd.processes, crowd.load.request_batch, limit)
        return None if why is None else f"refused: {why}"


def _key(crowd: Crowd) -> Key:
    """Return what memory depends on beside processes and batch."""
    return tuple(f"{k}={v}" for k, v in crowd.setting.items() if k != "processes")


def _sizes(crowd: Crowd) -> MemorySizes:
    workload = crowd.workload
    model = workload.model
    files = [] if model is None else [model.path, *model.files]
    return MemorySizes(
        weights=sum(Path(path).stat().st_size for path in files),
        io=sum(math.prod(t.sizes) * np.dtype(t.dtype).itemsize for t in workload.inputs),
    )
