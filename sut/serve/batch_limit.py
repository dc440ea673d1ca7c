"""What a worker's batches may be: the sizes that warm-up measures, and the largest that it chooses.

Pure: knows times, no engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.ladder import default_sizes, sizes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backends.base import OptionValue
    from sut.config.settings import HarnessSettings
    from sut.serve.workers.executor import Timing

# A sample may wait while a whole batch runs, and then runs in the next: two batches, and the hops,
# must fit into the bound.
_SHARE_OF_TWO = 0.9
# A smaller batch within this share of the highest rate answers sooner.
_NEAR_PEAK = 0.01


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a worker before warm-up.

    Attributes:
        cap: its largest batch, in samples.
        ladder: batch sizes that its engine really runs; empty: every size.
        is_open: warm-up chooses the largest batch, up to `cap`.
    """

    cap: int
    ladder: tuple[int, ...]
    is_open: bool

    @classmethod
    def of(cls, harness: HarnessSettings, device: str, facts: Mapping[str, OptionValue]) -> Known:
        """Read it from the settings, and from the facts of the open engine."""
        cap = min(harness.cap(device), int(facts["max_batch_size"]))
        return cls(cap, sizes_of(facts), harness.chooses_batch)

    def warm_up_sizes(self, samples_per_query: int) -> tuple[int, ...]:
        """Return the batch sizes to measure: 1, a single query, the full batch, and the ladder.

        For a choice among all sizes of an engine without a ladder, some of them.
        """
        ladder = self.ladder
        if self.is_open and not ladder:
            ladder = default_sizes(self.cap)
        return tuple(sorted({1, min(samples_per_query, self.cap), self.cap, *ladder}))

    def chosen(self, timings: Mapping[int, Timing], bound_ns: float | None) -> Mapping[int, Timing]:
        """Return the times up to the largest batch to use: all, unless it is to be chosen.

        Of the sizes of which two fit into the bound, the smallest near their highest rate; without
        such a size the smallest of all.
        """
        if not self.is_open:
            return timings
        allowed = [
            size
            for size, timing in sorted(timings.items())
            if bound_ns is None or 2 * timing.median_ns <= _SHARE_OF_TWO * bound_ns
        ]
        rates = {size: size / timings[size].median_ns for size in allowed or [min(timings)]}
        least = (1 - _NEAR_PEAK) * max(rates.values())
        largest = next(size for size, rate in rates.items() if rate >= least)
        return {size: timing for size, timing in timings.items() if size <= largest}
