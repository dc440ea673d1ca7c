"""The per-batch trace: fixed records in a memory-mapped file, cheap enough to be always on.

The process under test writes, and its parent reads during the run. The records survive if that
process is killed. Knows only times and sizes.

A batch record is written once, when the batch is complete; from then on its `completed_ns` is not
zero. Batches take samples in order of arrival. So `first_sample` and the query records give the
arrival of every sample.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Close(Enum):
    """Why a batch was closed. The values are stored in the trace."""

    FULL = 0
    DELAY = 1
    IDLE = 2
    FLUSH = 3


BATCH_FIELDS = (
    "first_sample",  # number of the batch's first sample in order of arrival
    "samples",
    "worker",
    "why",  # the value of a Close
    "oldest_ns",  # arrival of the oldest sample
    "closed_ns",  # batch closed and given to its worker
    "started_ns",  # the worker started it
    "finished_ns",  # outputs ready
    "completed_ns",  # QuerySamplesComplete returned
)
QUERY_FIELDS = ("arrival_ns", "samples")
_BATCH = Struct(f"<{len(BATCH_FIELDS)}q")
_QUERY = Struct(f"<{len(QUERY_FIELDS)}q")

# Most records of each kind; beyond it a run counts but does not trace. The file is sparse: only
# written records take space (72 and 16 bytes each).
MAX_BATCHES = 4_000_000
MAX_QUERIES = 16_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """The test on time.monotonic_ns(): its first arrival, and its last completion."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length in s."""
        return (self.end_ns - self.start_ns) / 1e9


class TraceWriter:
    """Writes records; owned by the process under test. Times are `time.monotonic_ns()`."""

    def __init__(self, path: Path, batches: int = MAX_BATCHES, queries: int = MAX_QUERIES) -> None:
        self._query_base = batches * _BATCH.size
        size = self._query_base + queries * _QUERY.size
        with path.open("w+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._batches, self._queries = batches, queries
        self._next_query = 0

    def query(self, arrival_ns: int, samples: int) -> None:
        """Record one call of IssueQuery. One thread only: LoadGen's."""
        k = self._next_query
        if k < self._queries:
            _QUERY.pack_into(self._map, self._query_base + k * _QUERY.size, arrival_ns, samples)
        self._next_query = k + 1

    def batch(self, number: int, *record: int) -> None:
        """Record batch `number`, its values in the order of BATCH_FIELDS. Any thread, once each."""
        if number < self._batches:
            _BATCH.pack_into(self._map, number * _BATCH.size, *record)


@dataclass(frozen=True, slots=True)
class Trace:
    """The records of one run.

    Attributes:
        batches: by field of BATCH_FIELDS, each [B] int64, complete batches only.
        queries: by field of QUERY_FIELDS, each [Q] int64.
    """

    batches: dict[str, NDArray[np.int64]]
    queries: dict[str, NDArray[np.int64]]

    def sample_arrivals_ns(self) -> NDArray[np.int64]:
        """Arrival of every sample of every complete batch, [S] int64, in the batches' order."""
        ends = np.cumsum(self.queries["samples"])
        first, samples = self.batches["first_sample"], self.batches["samples"]
        offsets = np.arange(int(samples.sum())) - np.repeat(np.cumsum(samples) - samples, samples)
        numbers = np.repeat(first, samples) + offsets
        query = np.searchsorted(ends, numbers, side="right")
        known = query < len(ends)  # a run beyond MAX_QUERIES has batches without query records
        oldest = np.repeat(self.batches["oldest_ns"], samples)
        if not len(ends):
            return oldest
        arrivals = self.queries["arrival_ns"][np.minimum(query, len(ends) - 1)]
        return np.where(known, arrivals, oldest)

    def save(self, path: Path) -> None:
        """Write `batches.npz`: one array a field, the queries' with the prefix `query_`."""
        arrays = {**self.batches, **{f"query_{name}": a for name, a in self.queries.items()}}
        part = path.with_name(path.name + ".part.npz")
        np.savez(part, **arrays)  # type: ignore[arg-type]  # keyword arrays; allow_pickle is not one
        part.replace(path)


EMPTY = Trace(
    {name: np.zeros(0, np.int64) for name in BATCH_FIELDS},
    {name: np.zeros(0, np.int64) for name in QUERY_FIELDS},
)

_LOOK = 4_096  # records to read at once; more would touch pages that were never written


class TraceReader:
    """Reads the file of a running or ended test; each call returns only what is new."""

    def __init__(self, path: Path, batches: int = MAX_BATCHES, queries: int = MAX_QUERIES) -> None:
        self._batches = _matrix(path, 0, batches, len(BATCH_FIELDS))
        self._queries = _matrix(path, batches * _BATCH.size, queries, len(QUERY_FIELDS))
        self._seen = 0

    def new_batches(self) -> NDArray[np.int64]:
        """Return the records since the last call up to the first unfinished one, [n, fields]."""
        start = self._seen
        while True:
            block = self._batches[self._seen : self._seen + _LOOK, -1]
            unfinished = np.flatnonzero(block == 0)
            self._seen += int(unfinished[0]) if len(unfinished) else len(block)
            if len(unfinished) or not len(block):
                return self._batches[start : self._seen]

    def read(self) -> Trace:
        """Return everything recorded so far."""
        batches = _until_zeros(self._batches, -1)
        queries = _until_zeros(self._queries, 0)
        batches = batches[batches[:, -1] > 0]
        return Trace(
            {name: np.array(batches[:, k]) for k, name in enumerate(BATCH_FIELDS)},
            {name: np.array(queries[:, k]) for k, name in enumerate(QUERY_FIELDS)},
        )


def _matrix(path: Path, offset: int, rows: int, columns: int) -> NDArray[np.int64]:
    return np.memmap(path, np.dtype("<i8"), "r", offset, (rows, columns))


def _until_zeros(matrix: NDArray[np.int64], column: int) -> NDArray[np.int64]:
    """Cut `matrix` after its last non-zero record. Holes are shorter than one block of 65,536."""
    step = 65_536
    end = 0
    for start in range(0, len(matrix), step):
        used = np.flatnonzero(matrix[start : start + step, column])
        if not len(used):
            break
        end = start + int(used[-1]) + 1
    return matrix[:end]
