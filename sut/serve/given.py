"""Queries that bring their own tensors: they wait here while the dispatcher moves only integers.

Policy, batcher and dispatcher are the same as for samples that are loaded: an index names a sample
of a given query instead of a row of the data set. The executor (sut.serve.workers.given) finds the
tensors by it, and leaves the outputs with the query. Knows no HTTP, no engine and no policy.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import Array, TensorSpec

# An index is the query's number and, in the low bits, the sample of the query.
_ROW_BITS = 20
MOST_SAMPLES = 1 << _ROW_BITS
_ROW_MASK = MOST_SAMPLES - 1
# What the executor returns in place of bytes: the outputs are with their queries already.
ANSWERED = Responses(np.empty(0, np.uint8), 0)


class GivenQuery:
    """The tensors of one query, and what became of them.

    Attributes:
        arrays: one for each input of the model, in the model's order: [samples, *input shape]. They
            are read until the query is answered.
        samples: how many.
        arrived_ns: on time.monotonic_ns().
        pieces: the outputs so far: first sample, and one array an output, the query's own.
        started_ns: when the first batch with samples of it was taken.
        failed: a batch of it failed.
    """

    __slots__ = (
        "arrays",
        "arrived_ns",
        "failed",
        "left",
        "number",
        "pieces",
        "samples",
        "started_ns",
    )

    def __init__(self, arrays: tuple[Array, ...], samples: int, arrived_ns: int) -> None:
        self.arrays = arrays
        self.samples = self.left = samples
        self.arrived_ns = arrived_ns
        self.number = 0
        self.pieces: deque[tuple[int, tuple[Array, ...]]] = deque()
        self.started_ns = 0
        self.failed = False

    def outputs(self) -> tuple[Array, ...]:
        """Return one array an output, [samples, ...]; the query is answered and has not failed."""
        if len(self.pieces) == 1:
            return self.pieces[0][1]
        ordered, end = [], 0
        for first, arrays in sorted(self.pieces, key=lambda piece: piece[0]):
            # A worker that was lost may have answered, too.
            if new := max(0, first + len(arrays[0]) - end):
                ordered.append(tuple(array[-new:] for array in arrays))
                end += new
        return tuple(np.concatenate(parts) for parts in zip(*ordered, strict=True))


class Part(NamedTuple):
    """Consecutive samples of one query in a batch."""

    query: GivenQuery
    first: int
    samples: int


@dataclass(frozen=True, slots=True)
class Run:
    """One batch on an engine; times on time.monotonic_ns().

    Attributes:
        parts: whose samples it had.
        samples: its size.
        started_ns: the worker took it.
        ready_ns: its tensors lay together.
        computed_ns: the engine had answered.
        ended_ns: the outputs were with their queries.
    """

    parts: list[Part]
    samples: int
    started_ns: int
    ready_ns: int
    computed_ns: int
    ended_ns: int


class GivenQueries:
    """The queries without an answer. One thread adds them; the workers' threads complete them.

    Args:
        inputs: what the model is fed; every query has these shapes and dtypes.
        deliver: called on a worker's thread once for each batch: the run, or None if it failed, and
            the queries that have all their answers now. It must not raise.
    """

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        deliver: Callable[[Run | None, list[GivenQuery]], None],
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs: tuple[TensorSpec, ...] = ()
        """Of the model; known once an engine is open."""
        self._deliver = deliver
        self._queries: dict[int, GivenQuery] = {}
        self._runs: dict[int, Run] = {}  # by the first index of the batch
        self._number = 0
        self._lock = threading.Lock()

    def add(self, query: GivenQuery) -> tuple[list[int], list[int]]:
        """Keep a query until it is answered; return the ids and indices to issue it with."""
        query.number = self._number = self._number + 1
        self._queries[query.number] = query
        first = query.number << _ROW_BITS
        ids = list(range(first, first + query.samples))
        return ids, ids.copy()  # the dispatcher owns both, and extends them

    def add_for_warm_up(self, samples: int) -> list[int]:
        """Keep a query of noise, and only its last outputs; return its indices."""
        random = np.random.default_rng(0)
        query = GivenQuery(tuple(_noise(t, samples, random) for t in self.inputs), samples, 0)
        query.pieces = deque(maxlen=1)
        return self.add(query)[1]

    def forget_warm_up(self) -> None:
        """Let go of it, when no batch runs."""
        self._queries.clear()
        self._runs.clear()

    def parts(self, indices: Sequence[int]) -> list[Part]:
        """Return whose samples a batch consists of, in order."""
        parts: list[Part] = []
        at, end = 0, len(indices)
        while at < end:
            index = indices[at]
            query, first = self._queries[index >> _ROW_BITS], index & _ROW_MASK
            samples = min(query.samples - first, end - at)
            parts.append(Part(query, first, samples))
            at += samples
        return parts

    def ran(self, indices: Sequence[int], run: Run) -> None:
        """Note the times of a batch; `complete` follows for the same indices."""
        self._runs[indices[0]] = run

    def complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        """See sut.serve.dispatcher.Outlets.complete."""
        run = self._runs.pop(ids[0], None)
        if run is not None and run.samples != len(ids):  # of a lost worker, which had more of them
            run = None
        done: list[GivenQuery] = []
        for query, _, samples in self.parts(ids) if run is None else run.parts:
            if responses is None:
                query.failed = True
            elif run is not None and not query.started_ns:
                query.started_ns = run.started_ns
            if samples == query.samples or self._is_last(query, samples):
                del self._queries[query.number]
                done.append(query)
        self._deliver(run if responses is not None else None, done)

    def _is_last(self, query: GivenQuery, samples: int) -> bool:
        """Count samples of a query that is spread over batches, which end on several threads."""
        with self._lock:
            query.left -= samples
            return not query.left


def _noise(tensor: TensorSpec, samples: int, random: np.random.Generator) -> Array:
    """Return numbers of 0 to 1; zeros for integers, which may be places in a table."""
    shape = (samples, *tensor.sizes)
    if np.dtype(tensor.dtype).kind != "f":
        return np.zeros(shape, tensor.dtype)
    return random.random(shape, np.float32).astype(tensor.dtype)
