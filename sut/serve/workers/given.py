"""Runs batches of given tensors on one engine: copies them together, and cuts the outputs apart.

What differs from sut.serve.workers.executor is only where a sample lies, and that the outputs stay
as the model made them. Knows no HTTP and no policy.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backends.base import open_engine
from sut.serve.given import ANSWERED, Run
from sut.serve.workers.executor import Executor, ExecutorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import Array, Engine, EngineSpec
    from sut.serve.given import GivenQueries, Part
    from sut.serve.responses import Responses
    from sut.serve.workers.executor import Timed


class GivenExecutor(Executor):
    """An engine that runs what `queries` holds. See Executor for who may call what."""

    def __init__(
        self,
        queries: GivenQueries,
        spec: ExecutorSpec,
        open_: Callable[[EngineSpec], Engine] = open_engine,
    ) -> None:
        # The outputs are the answer, so the device makes nothing else of them.
        super().__init__(replace(spec, engine=replace(spec.engine, postprocess={})), open_)
        self._queries = queries
        queries.outputs = self._engine.outputs
        self._names = [tensor.name for tensor in queries.inputs]
        rows = self._engine.max_batch_size
        self._room = tuple(np.zeros((rows, *t.sizes), t.dtype) for t in queries.inputs)
        # Of each slot: whose samples, when it was taken, when the tensors lay together.
        self._flying: dict[int, tuple[list[Part], int, int]] = {}

    def run(self, indices: Sequence[int]) -> Responses:
        """Run one batch; its outputs are with their queries when this returns."""
        started_ns = time.monotonic_ns()
        parts = self._queries.parts(indices)
        batch = self._together(parts, len(indices))
        ready_ns = time.monotonic_ns()
        outputs = self._engine.infer_arrays(batch)
        self._hand_out(indices, parts, outputs, (started_ns, ready_ns, time.monotonic_ns()))
        return ANSWERED

    def launch(self, slot: int, indices: Sequence[int]) -> None:
        """See Executor.launch. The engine has its own copy of the tensors when this returns."""
        assert self._async is not None, "only with slots"
        started_ns = time.monotonic_ns()
        parts = self._queries.parts(indices)
        batch = self._together(parts, len(indices))
        self._flying[slot] = parts, started_ns, time.monotonic_ns()
        self._async.launch_arrays(slot, batch)

    def wait(self, slot: int, indices: Sequence[int]) -> Timed:
        """See Executor.wait."""
        assert self._async is not None, "only with slots"
        outputs, (started_ns, finished_ns) = self._async.wait(slot)
        parts, taken_ns, ready_ns = self._flying.pop(slot)
        self._hand_out(indices, parts, outputs, (taken_ns, max(ready_ns, started_ns), finished_ns))
        return ANSWERED, started_ns, finished_ns

    def _together(self, parts: list[Part], samples: int) -> dict[str, Array]:
        """Return the tensors of a batch: those of one query as they lie, others copied once."""
        if len(parts) == 1:
            query, first, _ = parts[0]
            arrays = query.arrays
            if samples != query.samples:
                arrays = tuple(array[first : first + samples] for array in arrays)
            return dict(zip(self._names, arrays, strict=True))
        at = 0
        for query, first, count in parts:
            for room, array in zip(self._room, query.arrays, strict=True):
                room[at : at + count] = array[first : first + count]
            at += count
        return {name: room[:at] for name, room in zip(self._names, self._room, strict=True)}

    def _hand_out(
        self,
        indices: Sequence[int],
        parts: list[Part],
        outputs: tuple[Array, ...],
        times_ns: tuple[int, int, int],
    ) -> None:
        """Leave each query its rows, in memory that the engine does not write to again."""
        whole = tuple(output.copy() for output in outputs)
        at = 0
        for query, first, count in parts:
            rows = tuple(output[at : at + count] for output in whole) if len(parts) > 1 else whole
            query.pieces.append((first, rows))
            at += count
        self._queries.ran(indices, Run(parts, at, *times_ns, time.monotonic_ns()))
