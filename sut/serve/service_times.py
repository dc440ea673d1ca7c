"""S(b), the service time of a batch of b samples, as measured on each worker. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from backends.simulated.curve import NS_PER_MS, Curve

if TYPE_CHECKING:
    from collections.abc import Mapping

# Devices whose S(b) differs by more than this share at any size are uneven.
EQUAL_DEVICES = 0.05


@dataclass(frozen=True, slots=True)
class Point:
    """S(b) of one batch size on one worker, in ns.

    Attributes:
        median_ns: the median of the rounds.
        low_ns: the lowest median of a round.
        high_ns: the highest.
        alone_ns: mean and percentiles, by name, of batches that ran alone, each after the one
            before had ended; empty if these were not asked for.
        busy: share of the time in which the device computed; 0.0 where only the host measures.
    """

    median_ns: float
    low_ns: float
    high_ns: float
    alone_ns: dict[str, float] = field(default_factory=dict)
    busy: float = 0.0

    @property
    def spread(self) -> float:
        """How far the rounds are apart, as a share of the median."""
        return (self.high_ns - self.low_ns) / self.median_ns


@dataclass(frozen=True, slots=True)
class Measured:
    """S(b) of every worker.

    Attributes:
        workers: (device, points by batch size) of each.
        is_async: the engines take several batches at once.
        notes: what the user should know, in one line each.
        copy_in_ns: what each sample of a batch adds to its way to the device, in ns; S(b) does not
            show it, because there the next batch is copied meanwhile.
        ways_ns: one way of an empty message to each node, by its name, in ns: half of the median
            time there and back; empty: the workers are in this machine.
    """

    workers: tuple[tuple[str, dict[int, Point]], ...]
    is_async: bool = False
    notes: tuple[str, ...] = ()
    copy_in_ns: float = 0.0
    ways_ns: dict[str, float] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that were measured on every worker, ascending."""
        return tuple(sorted(set.intersection(*(set(points) for _, points in self.workers))))

    @property
    def busy(self) -> float:
        """The least share of the time in which a device computed its largest batches."""
        return min(points[max(points)].busy for _, points in self.workers)

    def with_more(self, other: Measured) -> Measured:
        """Return the same with the points of other batch sizes of the same workers."""
        workers = tuple(
            (device, dict(sorted({**points, **more}.items())))
            for (device, points), (_, more) in zip(self.workers, other.workers, strict=True)
        )
        notes = tuple(dict.fromkeys((*self.notes, *other.notes)))
        copy_in_ns = max(self.copy_in_ns, other.copy_in_ns)
        return Measured(workers, self.is_async, notes, copy_in_ns, self.ways_ns)

    def __str__(self) -> str:
        """Return S(b) of the first worker, and how the others differ."""
        _, first = self.workers[0]
        shown = ", ".join(f"{size}: {p.median_ns / NS_PER_MS:.3g}" for size, p in first.items())
        spread = max(point.spread for _, points in self.workers for point in points.values())
        count = len(self.workers)
        workers = "1 worker" if count == 1 else f"{count} workers"
        wire = ""
        if self.ways_ns:
            longest = max(self.ways_ns.values()) / NS_PER_MS
            wire = f"; up to {longest:.3g} ms each way to a node"
        return f"S(b) in ms: {shown}; {workers}, spread up to {spread:.1%}{wire}"

    @property
    def curves(self) -> list[tuple[str, Curve]]:
        """(device, S(b)) of every worker."""
        return [
            (device, curve_of({size: point.median_ns for size, point in points.items()}))
            for device, points in self.workers
        ]

    @property
    def by_device(self) -> dict[str, Curve]:
        """S(b) of the first worker of every device; the others of one differ by noise."""
        found: dict[str, Curve] = {}
        for device, curve in self.curves:
            found.setdefault(device, curve)
        return found

    @property
    def largest(self) -> int:
        """The largest batch size that was measured on any device."""
        return max(max(points) for _, points in self.workers)

    @property
    def is_uneven(self) -> bool:
        """Whether the devices are not equally fast."""
        curves = self.by_device.values()
        for size in (1, *(2**k for k in range(1, 11) if 2**k <= self.largest)):
            times = [curve.service_ns(size) for curve in curves]
            if max(times) > (1 + EQUAL_DEVICES) * min(times):
                return True
        return False


def curve_of(times_ns: Mapping[int, float]) -> Curve:
    """Return the curve through times in ns by batch size."""
    return _curve(tuple(sorted(times_ns.items())))


@cache
def _curve(points: tuple[tuple[int, float], ...]) -> Curve:
    return Curve(tuple((size, ns / NS_PER_MS) for size, ns in points), "measured")
