"""The per-batch trace: fixed records in a memory-mapped file, cheap enough to be always on.

The process under test writes, and its parent reads during the run. The records survive if that
process is killed. Knows only times and sizes.

A batch record is written once, when the batch is complete; from then on its `completed_ns` is not
zero. Batches take samples in order of arrival. So `first_sample` and the query records give the
arrival of every sample.
"""

from __future__ import annotations

import errno
import mmap
import os
import weakref
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Close(Enum):
    """Why a batch was closed. The values are stored in the trace."""

    FULL = 0
    DELAY = 1
    IDLE = 2
    FLUSH = 3
    LATE = 4


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
# the steps that are reserved take space, 4.7 and 4.2 MB each.
MAX_BATCHES = 4_000_000
MAX_QUERIES = 16_000_000
_BATCH_STEP, _QUERY_STEP = 1 << 16, 1 << 18


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
    """Writes records; owned by the process under test. Times are `time.monotonic_ns()`.

    Whoever writes to a mapped page that the disk has no room for is killed. So room is reserved in
    steps, before the records that need it; when there is no more, further records are dropped.

    Raises:
        ConfigError: the disk has no room for the first step.
    """

    def __init__(self, path: Path, batches: int = MAX_BATCHES, queries: int = MAX_QUERIES) -> None:
        self._query_base = batches * _BATCH.size
        size = self._query_base + queries * _QUERY.size
        self._batches, self._queries = batches, queries
        self._batch_room = self._query_room = 0
        self._next_query = 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            weakref.finalize(self, os.close, self._file)
            os.truncate(self._file, size)
            self._map = mmap.mmap(self._file, size)
            self._reserve_batches()
            self._reserve_queries()
        except OSError as error:
            raise ConfigError(
                f"--out: no room for the trace {path}: {error.strerror}. Free some space, raise "
                "the limit on the size of a file (ulimit -f), or name another folder."
            ) from error

    def query(self, arrival_ns: int, samples: int) -> None:
        """Record one call of IssueQuery. One thread only: LoadGen's."""
        k = self._next_query
        if k < self._query_room or self._has_room_for_query(k):
            _QUERY.pack_into(self._map, self._query_base + k * _QUERY.size, arrival_ns, samples)
        self._next_query = k + 1

    def batch(self, number: int, *record: int) -> None:
        """Record batch `number`, its values in the order of BATCH_FIELDS. Any thread, once each."""
        if number < self._batch_room or self._has_room_for_batch(number):
            _BATCH.pack_into(self._map, number * _BATCH.size, *record)

    def _has_room_for_query(self, number: int) -> bool:
        try:
            while self._query_room <= number < self._queries:
                self._reserve_queries()
        except OSError:  # the disk is full: the run goes on without more records
            self._queries = self._query_room
        return number < self._query_room

    def _has_room_for_batch(self, number: int) -> bool:
        try:
            while self._batch_room <= number < self._batches:
                self._reserve_batches()
        except OSError:  # see above
            self._batches = self._batch_room
        return number < self._batch_room

    def _reserve_queries(self) -> None:
        start, end = self._query_room, min(self._query_room + _QUERY_STEP, self._queries)
        _reserve(self._file, self._query_base + start * _QUERY.size, (end - start) * _QUERY.size)
        self._query_room = end

    def _reserve_batches(self) -> None:
        # Two threads may reserve the same step; that is the same room.
        start, end = self._batch_room, min(self._batch_room + _BATCH_STEP, self._batches)
        _reserve(self._file, start * _BATCH.size, (end - start) * _BATCH.size)
        self._batch_room = max(self._batch_room, end)


def _reserve(file: int, offset: int, size: int) -> None:
    try:
        os.posix_fallocate(file, offset, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV}:
            raise
        # This file system cannot reserve.


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
        try:
            np.savez(part, **arrays)  # type: ignore[arg-type]  # keyword arrays, not allow_pickle
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


EMPTY = Trace(
    {name: np.zeros(0, np.int64) for name in BATCH_FIELDS},
    {name: np.zeros(0, np.int64) for name in QUERY_FIELDS},
)

_LOOK = 4_096  # records to read at once


class TraceReader:
    """Reads the file of a running or ended test; each call returns only what is new.

    It copies instead of mapping: on a full tmpfs, even a look at a page without room kills.
    The file may be removed meanwhile.
    """

    def __init__(self, path: Path, batches: int = MAX_BATCHES, queries: int = MAX_QUERIES) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, file)
        self._batches = _Records(file, 0, batches, _BATCH.size)
        self._queries = _Records(file, batches * _BATCH.size, queries, _QUERY.size)
        self._seen = 0

    def new_batches(self) -> NDArray[np.int64]:
        """Return the records since the last call up to the first unfinished one, [n, fields]."""
        start = end = self._seen
        while True:
            done = self._batches.read(end, _LOOK)[:, -1] != 0
            finished = len(done) if done.all() else int(np.argmin(done))
            end += finished
            if finished < _LOOK:
                break
        self._seen = end
        # Again: what was copied while it was written may be half a record.
        return self._batches.read(start, end - start)

    def read(self) -> Trace:
        """Return everything recorded so far."""
        batches = self._batches.until_zeros(-1)
        queries = self._queries.until_zeros(0)
        batches = batches[batches[:, -1] > 0]
        return Trace(
            {name: np.array(batches[:, k]) for k, name in enumerate(BATCH_FIELDS)},
            {name: np.array(queries[:, k]) for k, name in enumerate(QUERY_FIELDS)},
        )


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of one kind in a file."""

    file: int
    offset: int
    most: int
    record_bytes: int

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """Return up to `count` records, [n, fields]."""
        count = min(count, self.most - start)
        content = os.pread(
            self.file, count * self.record_bytes, self.offset + start * self.record_bytes
        )
        return np.frombuffer(content, "<i8").reshape(-1, self.record_bytes // 8)

    def until_zeros(self, column: int) -> NDArray[np.int64]:
        """Return all up to the last non-zero one. Holes are shorter than one block of 65,536."""
        step, end = 65_536, 0
        for start in range(0, self.most, step):
            used = np.flatnonzero(self.read(start, step)[:, column])
            if not len(used):
                break
            end = start + int(used[-1]) + 1
        return self.read(0, end)
