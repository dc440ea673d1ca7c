"""The per-batch trace: fixed records in a memory-mapped file, cheap enough to be always on.

The process under test writes, and its parent reads during the run. The records survive if that
process is killed. Knows only times and sizes.

A batch record is written once, when the batch is complete. Batches take samples in order of
arrival. So `first_sample` and the query records give the arrival of every sample. A trace that is
full thins itself: see sut.record.thinning. sut.record.trace_reader reads it.
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
from sut.record.thinning import BATCH_BYTES, DEFAULT_ROOMS, QUERY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sut.record.thinning import Rooms


class Close(Enum):
    """Why a batch was closed. The values are stored in the trace."""

    FULL = 0
    DELAY = 1
    IDLE = 2
    FLUSH = 3
    LATE = 4
    CLIENTS = 5
    LOST = 6


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
BATCH_RECORD = Struct(f"<{len(BATCH_FIELDS) + 1}q")  # and the number of the batch
QUERY_RECORD = Struct(f"<{len(QUERY_FIELDS)}q")
# Blocks and block size of batches and of queries; then batches and samples that were completed, and
# the last completion, as far as they are counted.
HEADER = Struct("<7q")
_COUNTS = Struct("<3q")
_COUNTS_AT = HEADER.size - _COUNTS.size
# For each place of a block of queries: its number, and its first sample in order of arrival.
BLOCK_RECORD = Struct("<2q")
_BATCH_STEP, _QUERY_STEP = 1 << 16, 1 << 18  # records whose room is reserved at once
# The first write to a file's first page took 1.7 ms of the first query's latency; that to a later
# page takes 15 to 37 us (virtual machine with an H100). So many bytes of either kind of records are
# ready before the test.
_TOUCHED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a trace file begin, in bytes."""

    rooms: Rooms
    batches: int
    queries: int
    blocks: int
    end: int

    @classmethod
    def of(cls, rooms: Rooms) -> Layout:
        """Return the layout for these rooms."""
        batches = mmap.PAGESIZE
        queries = batches + rooms.batches.records * BATCH_BYTES
        blocks = queries + rooms.queries.records * QUERY_BYTES
        return cls(
            rooms, batches, queries, blocks, blocks + rooms.queries.blocks * BLOCK_RECORD.size
        )


@dataclass(frozen=True, slots=True)
class Window:
    """What is measured, on time.monotonic_ns(); of a test, first arrival to last completion."""

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

    Args:
        path: of the file.
        rooms: for how many records; a full trace thins itself.

    Raises:
        ConfigError: the disk has no room for the first step.
    """

    def __init__(self, path: Path, rooms: Rooms = DEFAULT_ROOMS) -> None:
        self._layout = layout = Layout.of(rooms)
        self._batch_base, self._query_base = layout.batches, layout.queries
        self._batch_room = self._query_room = 0
        self._next_query = 0
        self._issued = 0  # samples of the queries in full steps, and of all that followed them
        self._is_full = False  # of the disk
        self._last_ns = 0  # a completion beyond the room
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            weakref.finalize(self, os.close, self._file)
            kinds = (rooms.batches, rooms.queries)
            sizes = (value for room in kinds for value in (room.blocks, room.block))
            os.pwrite(self._file, HEADER.pack(*sizes, 0, 0, 0), 0)
            _reserve(self._file, 0, mmap.PAGESIZE)
            _reserve(self._file, layout.blocks, layout.end - layout.blocks)
            os.truncate(self._file, layout.end)
            self._map = mmap.mmap(self._file, layout.end)
            self._reserve_batches()
            self._reserve_queries()
            for start, room in (
                (self._batch_base, self._batch_room * BATCH_BYTES),
                (self._query_base, self._query_room * QUERY_BYTES),
            ):
                self._touch(start, min(room, _TOUCHED_BYTES))
        except OSError as error:
            raise ConfigError(
                f"--out: no room for the trace {path}: {error.strerror}. Free some space, raise "
                "the limit on the size of a file (ulimit -f), or name another folder."
            ) from error

    def query(self, arrival_ns: int, samples: int) -> None:
        """Record one call of IssueQuery. One thread only: LoadGen's."""
        k = self._next_query
        if k < self._query_room:
            QUERY_RECORD.pack_into(self._map, self._query_base + k * 16, arrival_ns, samples)
        else:
            self._query_beyond(k, arrival_ns, samples)
        self._next_query = k + 1

    def batch(self, number: int, *record: int) -> None:
        """Record batch `number`, its values in the order of BATCH_FIELDS. Any thread, once each."""
        if number < self._batch_room:
            BATCH_RECORD.pack_into(self._map, self._batch_base + number * 80, *record, number)
        else:
            self._batch_beyond(number, record)

    def count(self, batches: int, samples: int) -> None:
        """Note how many batches and samples are complete. Only now and then: one thread."""
        _COUNTS.pack_into(self._map, _COUNTS_AT, batches, samples, self._last_ns)

    def _touch(self, start: int, size: int) -> None:
        """Let the kernel map pages before the test, with the zeros that they hold."""
        for page in range(start, start + size, mmap.PAGESIZE):
            self._map[page] = 0

    def _batch_beyond(self, number: int, record: tuple[int, ...]) -> None:
        self._last_ns = record[-1]
        room = self._layout.rooms.batches
        slot = number
        if number < room.records:
            if not self._grows(number, self._reserve_batches, lambda: self._batch_room):
                return
        else:
            block, within = divmod(number, room.block)
            if self._is_full or block % room.one_in(block):
                return
            slot = room.slot(block) * room.block + within
        BATCH_RECORD.pack_into(self._map, self._batch_base + slot * BATCH_BYTES, *record, number)

    def _query_beyond(self, k: int, arrival_ns: int, samples: int) -> None:
        room = self._layout.rooms.queries
        slot = k
        if k < room.records:
            if not self._grows(k, self._reserve_queries, lambda: self._query_room):
                return
        elif self._is_full:
            return
        else:
            if k == room.records:
                self._count_step(k - min(_QUERY_STEP, k), k)
            first, self._issued = self._issued, self._issued + samples
            block, within = divmod(k, room.block)
            if block % room.one_in(block):
                return
            place = room.slot(block)
            if not within:
                offset = self._layout.blocks + place * BLOCK_RECORD.size
                BLOCK_RECORD.pack_into(self._map, offset, block, first)
            slot = place * room.block + within
        QUERY_RECORD.pack_into(
            self._map, self._query_base + slot * QUERY_BYTES, arrival_ns, samples
        )

    def _grows(self, number: int, reserve: Callable[[], None], room: Callable[[], int]) -> bool:
        """Reserve room up to a record; False: the disk is full, so the run goes on without it."""
        try:
            while not self._is_full and room() <= number:
                reserve()
        except OSError:
            self._is_full = True
        return number < room()

    def _reserve_queries(self) -> None:
        start = self._query_room
        end = min(start + _QUERY_STEP, self._layout.rooms.queries.records)
        _reserve(self._file, self._query_base + start * QUERY_BYTES, (end - start) * QUERY_BYTES)
        if start:
            self._count_step(max(0, start - _QUERY_STEP), start)
        self._query_room = end

    def _count_step(self, start: int, end: int) -> None:
        """Note the first sample of each block of a step that is complete: 0.3 ms."""
        block = self._layout.rooms.queries.block
        offset = self._query_base + start * QUERY_BYTES
        records = np.frombuffer(self._map, "<i8", 2 * (end - start), offset).reshape(-1, 2)
        sums = records[:, 1].reshape(-1, block).sum(axis=1)
        for place, samples in enumerate(sums.tolist(), start // block):
            offset = self._layout.blocks + place * BLOCK_RECORD.size
            BLOCK_RECORD.pack_into(self._map, offset, place, self._issued)
            self._issued += samples

    def _reserve_batches(self) -> None:
        # Two threads may reserve the same step; that is the same room.
        start = self._batch_room
        end = min(start + _BATCH_STEP, self._layout.rooms.batches.records)
        _reserve(self._file, self._batch_base + start * BATCH_BYTES, (end - start) * BATCH_BYTES)
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
        first_samples: number of the first sample of each query, [Q] int64; None: none is missing.
        one_in: of how many batches, in blocks of consecutive ones, one is recorded.
        counted: batches and samples that were completed, recorded or not; None: all are recorded.
        last_ns: a completion after the recorded ones; 0: none.
    """

    batches: dict[str, NDArray[np.int64]]
    queries: dict[str, NDArray[np.int64]]
    first_samples: NDArray[np.int64] | None = None
    one_in: int = 1
    counted: tuple[int, int] | None = None
    last_ns: int = 0

    @property
    def total_batches(self) -> int:
        """Batches that were completed."""
        return len(self.batches["samples"]) if self.counted is None else self.counted[0]

    @property
    def total_samples(self) -> int:
        """Samples that were completed."""
        return int(self.batches["samples"].sum()) if self.counted is None else self.counted[1]

    @property
    def is_whole(self) -> bool:
        """Every batch is recorded."""
        return len(self.batches["samples"]) == self.total_batches

    def follows(self) -> NDArray[np.bool_] | None:
        """Say which queries but the first have their predecessor recorded; None: all."""
        firsts, sizes = self.first_samples, self.queries["samples"]
        return None if firsts is None else firsts[1:] == firsts[:-1] + sizes[:-1]

    def sample_arrivals_ns(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Arrival of every sample of every recorded batch, in the batches' order.

        Returns:
            [S] int64, and [S] bool: the query is recorded. Elsewhere it is the arrival of the
            oldest sample of the batch.
        """
        queries, sizes = self.queries["arrival_ns"], self.queries["samples"]
        starts = np.cumsum(sizes) - sizes if self.first_samples is None else self.first_samples
        first, samples = self.batches["first_sample"], self.batches["samples"]
        offsets = np.arange(int(samples.sum())) - np.repeat(np.cumsum(samples) - samples, samples)
        oldest = np.repeat(self.batches["oldest_ns"], samples)
        if not len(queries):
            return oldest, np.zeros(len(oldest), np.bool_)
        numbers = np.repeat(first, samples) + offsets
        query = np.maximum(np.searchsorted(starts, numbers, side="right") - 1, 0)
        known = (numbers >= starts[query]) & (numbers < starts[query] + sizes[query])
        return np.where(known, queries[query], oldest), known

    def save(self, path: Path) -> None:
        """Write `batches.npz`: one array a field, the queries' with the prefix `query_`."""
        arrays = {**self.batches, **{f"query_{name}": a for name, a in self.queries.items()}}
        if self.first_samples is not None:
            arrays["query_first_sample"] = self.first_samples
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
