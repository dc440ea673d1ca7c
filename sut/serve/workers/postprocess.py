"""Runs a benchmark's postprocess: of a batch of several samples, some parts at once.

A device answers faster than one core can make boxes: 2,000 images of YOLO11l a second are 3 to 5
cores' work. Parts of one batch instead of several batches: its slot is free sooner, batches stay in
order, and the slots are the only bound on what waits. Knows no engine.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from sut.serve.workers.finite import not_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.tasks.base import Made, Outputs, Records


class Postprocessing:
    """A function from outputs to records. One thread at a time may call it.

    Args:
        records: of the benchmark.
        threads: that work on a batch, with the one that calls; they start when they are needed.
            1 for a postprocess that must see the batch as a whole.
        counts: count the samples whose first output is not a number.
    """

    def __init__(self, records: Records, threads: int, *, counts: bool = False) -> None:
        self._records = records
        self._threads = threads
        self._counts = counts
        self.not_finite = 0
        """Samples so far whose first output is not a number."""
        self._pool = ThreadPoolExecutor(max(1, threads - 1), "postprocess") if threads > 1 else None

    def __call__(self, outputs: Outputs, indices: Sequence[int]) -> Made:
        """Return the records of a batch, in order; raise what the postprocess raised."""
        parts = min(self._threads, len(indices))
        if self._pool is None or parts == 1:
            made, bad = self._part(outputs, indices)
            self.not_finite += bad
            return made
        edges = [len(indices) * part // parts for part in range(parts + 1)]
        (_, first), *others = pairwise(edges)
        futures = [
            self._pool.submit(self._part, tuple(output[a:b] for output in outputs), indices[a:b])
            for a, b in others
        ]
        try:
            mine = self._part(tuple(output[:first] for output in outputs), indices[:first])
        finally:
            wait(futures)  # they read the outputs, which the next batch overwrites
        found = [mine, *(future.result() for future in futures)]
        self.not_finite += sum(bad for _, bad in found)
        return _joined([made for made, _ in found])

    def _part(self, outputs: Outputs, indices: Sequence[int]) -> tuple[Made, int]:
        """Return the records of some samples, and how many of these are not numbers."""
        return self._records(outputs, indices), not_finite(outputs[0]) if self._counts else 0

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _joined(parts: Sequence[Made]) -> Made:
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        return np.concatenate(arrays)
    return list(chain.from_iterable(parts))
