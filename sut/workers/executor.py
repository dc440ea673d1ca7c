"""Runs one batch on one engine: data set indices in, response bytes out. Every worker kind has one.

Knows no response ids, threads or queues.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.base import EngineSpec, open_engine
from data.postprocess import make_postprocess
from sut.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import Engine
    from data.schema import Postprocess
    from sut.samples import LoadedSamples

# S(b) is taken as steady when two windows of this many batches agree within STEADY_SHARE.
WINDOW_BATCHES = 3
STEADY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """All that a worker needs to open its executor, as plain picklable data."""

    engine: EngineSpec
    postprocess: Postprocess


class Executor:
    """An engine, its samples, and the benchmark's postprocess. One thread at a time."""

    def __init__(self, spec: ExecutorSpec) -> None:
        self._engine: Engine = open_engine(spec.engine)
        no_answers = bool(self._engine.facts["simulated"])
        self._postprocess = make_postprocess(spec.postprocess, simulated=no_answers)
        self._row_of: Sequence[int] = ()

    @property
    def engine(self) -> Engine:
        """The engine, for its facts."""
        return self._engine

    def load(self, samples: LoadedSamples) -> None:
        """Use these samples from now on."""
        self._engine.bind(samples.array)
        self._row_of = samples.row_of

    def run(self, indices: Sequence[int]) -> Responses:
        """Run one batch of data set indices; the responses are in their order."""
        row_of = self._row_of
        outputs = self._engine.infer([row_of[index] for index in indices])
        results = self._postprocess(outputs, indices)
        if len(results) != len(indices):
            raise ValueError(
                f"{len(results)} results for a batch of {len(indices)} samples: the postprocess "
                "must return one for each sample."
            )
        return Responses.of(results)

    def warm_up(
        self,
        indices: Sequence[int],
        sizes: Sequence[int],
        limit_s: float,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> dict[int, float]:
        """Run batches of each size until their time is steady; return the median of each in ns.

        Args:
            indices: loaded data set indices, repeated as needed.
            sizes: batch sizes.
            limit_s: seconds for each size, after which it is taken as it is.
            clock: a monotonic clock in ns.
        """
        return {size: self._steady_ns(indices, size, limit_s, clock) for size in sizes}

    def _steady_ns(
        self, indices: Sequence[int], size: int, limit_s: float, clock: Callable[[], int]
    ) -> float:
        batch = [indices[k % len(indices)] for k in range(size)]
        end_ns = clock() + int(limit_s * 1e9)
        before = 0.0
        while True:
            window = []
            for _ in range(WINDOW_BATCHES):
                start_ns = clock()
                self.run(batch)
                window.append(clock() - start_ns)
            median = statistics.median(window)
            if abs(median - before) <= STEADY_SHARE * median or clock() >= end_ns:
                return median
            before = median

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()
