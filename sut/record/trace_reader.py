"""Reads a trace file while the test runs and at its end, and the arrays that are kept of it."""

from __future__ import annotations

import os
import weakref
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import DataError
from sut.record.thinning import BATCH_BYTES, QUERY_BYTES, Room, Rooms
from sut.record.trace import BATCH_FIELDS, BLOCK_RECORD, HEADER, QUERY_FIELDS, Layout, Trace

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sut.record.result import Recorded

    Records = NDArray[np.int64]

_LOOK = 4_096  # records to read at once
# What NumPy and zipfile raise for a file that is no whole .npz.
_NO_ARRAYS = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile)
_COMPLETED, _NUMBER = len(BATCH_FIELDS) - 1, len(BATCH_FIELDS)


def load(path: Path, recorded: Recorded | None = None, counted: tuple[int, int] = (0, 0)) -> Trace:
    """Read what Trace.save wrote.

    Args:
        path: of batches.npz.
        recorded: how much of the run it has; None: all, unless queries are missing in it.
        counted: batches and samples that the run completed.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            batches = {name: arrays[name] for name in BATCH_FIELDS}
            queries = {name: arrays[f"query_{name}"] for name in QUERY_FIELDS}
            firsts = arrays.get("query_first_sample")
        of_queries = [*queries.values(), *([] if firsts is None else [firsts])]
        for values in (list(batches.values()), of_queries):
            if any(one.shape != (len(values[0]),) or one.dtype != np.int64 for one in values):
                raise ValueError("its arrays do not fit together")
    except _NO_ARRAYS as error:
        raise DataError(
            f"{path}: {error}; expected the trace of a run. Copy it from the run again."
        ) from error
    is_whole = firsts is None if recorded is None else recorded.batches == counted[0]
    one_in = 1 if recorded is None else recorded.one_in
    return Trace(batches, queries, firsts, one_in, None if is_whole else counted)


class TraceReader:
    """Reads the file of a running or ended test; each call returns only what is new.

    It copies instead of mapping: on a full tmpfs, even a look at a page without room kills.
    The file may be removed meanwhile.
    """

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, file)
        sizes = HEADER.unpack(os.pread(file, HEADER.size, 0))
        rooms = Rooms(Room(*sizes[:2]), Room(*sizes[2:4]))
        layout = Layout.of(rooms)
        self._file, self._rooms = file, rooms
        self._batches = _Records(file, layout.batches, rooms.batches.records, BATCH_BYTES)
        self._queries = _Records(file, layout.queries, rooms.queries.records, QUERY_BYTES)
        self._blocks = _Records(file, layout.blocks, rooms.queries.blocks, BLOCK_RECORD.size)
        self._seen = 0
        self._read_counts: Records = np.zeros(3, np.int64)

    @property
    def one_in(self) -> int:
        """Of how many batches one is recorded, where this reader has come to."""
        return self._rooms.batches.one_in(self._seen // self._rooms.batches.block)

    def new_batches(self) -> Records:
        """Return the records since the last call up to the first unfinished one, [n, fields]."""
        room, found = self._rooms.batches, [np.zeros((0, _NUMBER + 1), np.int64)]
        while True:
            block, within = divmod(self._seen, room.block)
            count = min(room.block - within, _LOOK)
            slot = room.slot(block) * room.block + within
            done = self._finished(slot, count)
            found.append(self._batches.read(slot, done))
            self._seen += done
            if done < count and not self._is_gone(slot + done):
                break
            if self._seen % room.block == 0 or done < count:
                self._seen = (block + room.one_in(block)) * room.block
        return np.concatenate(found)[:, :_NUMBER]

    def read(self) -> Trace:
        """Return everything recorded so far."""
        batches, one_in = self._all_batches()
        queries, first_samples = self._all_queries()
        counts = HEADER.unpack(os.pread(self._file, HEADER.size, 0))[4:]
        counted = (int(counts[0]), int(counts[1])) if counts[0] > len(batches) else None
        return Trace(
            {name: np.array(batches[:, k]) for k, name in enumerate(BATCH_FIELDS)},
            {name: np.array(queries[:, k]) for k, name in enumerate(QUERY_FIELDS)},
            first_samples,
            one_in,
            counted,
            int(counts[2]),
        )

    def _finished(self, slot: int, count: int) -> int:
        """Return how many records from `slot` on are those that are due, and complete."""
        records = self._batches.read(slot, count)
        numbers = np.arange(self._seen, self._seen + len(records))
        done = (records[:, _COMPLETED] != 0) & (records[:, _NUMBER] == numbers)
        return len(done) if done.all() else int(np.argmin(done))

    def _is_gone(self, slot: int) -> bool:
        """Say whether a later batch has taken the place of the next one."""
        record = self._batches.read(slot, 1)
        return bool(len(record)) and int(record[0, _NUMBER]) > self._seen

    def _all_batches(self) -> tuple[Records, int]:
        room = self._rooms.batches
        batches = self._batches.until_zeros(_COMPLETED)
        batches = batches[batches[:, _COMPLETED] > 0]
        if not len(batches):
            return batches, 1
        blocks = batches[:, _NUMBER] // room.block
        one_in = room.one_in(int(blocks.max()))
        kept = batches[blocks % one_in == 0]
        return kept[np.argsort(kept[:, _NUMBER])], one_in

    def _all_queries(self) -> tuple[Records, Records | None]:
        """Return the recorded queries, and their first samples if some are missing."""
        room = self._rooms.queries
        records = self._queries.until_zeros(0)
        heads = self._blocks.read(0, room.blocks)
        last = int(heads[:, 0].max(initial=0))
        if last < room.blocks:
            return records[records[:, 0] > 0], None
        one_in = room.one_in(last)
        kept, firsts = [], []
        for place in sorted(np.flatnonzero(heads[:, 0] % one_in == 0), key=lambda k: heads[k, 0]):
            block = records[place * room.block : (place + 1) * room.block]
            # The last block is not full: what follows is older.
            block = block[: _ascending(block[:, 0])]
            kept.append(block)
            firsts.append(heads[place, 1] + np.cumsum(block[:, 1]) - block[:, 1])
        return np.concatenate(kept), np.concatenate(firsts)


def _ascending(times: Records) -> int:
    """Return how many of these times do not fall below the first."""
    older = times < times[:1]
    return int(np.argmax(older)) if older.any() else len(times)


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of one kind in a file."""

    file: int
    offset: int
    most: int
    record_bytes: int

    def read(self, start: int, count: int) -> Records:
        """Return up to `count` records, [n, fields]."""
        count = max(0, min(count, self.most - start))
        content = os.pread(
            self.file, count * self.record_bytes, self.offset + start * self.record_bytes
        )
        return np.frombuffer(content, "<i8").reshape(-1, self.record_bytes // 8)

    def until_zeros(self, column: int) -> Records:
        """Return all up to the last non-zero one. Holes are shorter than one block of 65,536."""
        step, end = 65_536, 0
        for start in range(0, self.most, step):
            used = np.flatnonzero(self.read(start, step)[:, column])
            if not len(used):
                break
            end = start + int(used[-1]) + 1
        return self.read(0, end)
