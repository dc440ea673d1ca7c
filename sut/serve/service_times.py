"""S(b), the service time of a batch of b samples, as measured on each worker. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Point:
    """S(b) of one batch size on one worker, in ns.

    Attributes:
        median_ns: the median of the rounds.
        low_ns: the lowest median of a round.
        high_ns: the highest.
        alone_ns: mean and percentiles, by name, of batches that ran alone, each after the one
            before had ended; empty if these were not asked for.
    """

    median_ns: float
    low_ns: float
    high_ns: float
    alone_ns: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """S(b) of every worker.

    Attributes:
        workers: (device, points by batch size) of each.
        is_async: the engines take several batches at once.
        notes: what the user should know, in one line each.
    """

    workers: tuple[tuple[str, dict[int, Point]], ...]
    is_async: bool = False
    notes: tuple[str, ...] = ()
