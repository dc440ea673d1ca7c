"""The memory that a node receives samples into, and that its engines read: a row a sample.

A sample is in it from its arrival until its batch is answered, and nothing of it is kept longer.
Knows no socket, batch or engine.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.tasks.base import FrameFile, Frames
from sut.serve.samples import LoadedSamples

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from backends.base import Array, SampleMemory, TensorSpec

_FRAME_FIELDS = 4


class Slab:
    """Rows of every input. One thread takes rows; any thread frees them.

    Rows are taken in order and used again in the order in which they were freed, so that samples
    that arrived together mostly lie together: their batch needs no copy.

    Attributes:
        rows: how many.
        arrays: [rows, *shape] of each input, by its name; there after `allocate`.
        places: of each row, the bytes of each input, to receive into.
        index_of: of each row, the data set index of its sample, which some records name.
        near: what the memory is near to; None: ordinary memory.
    """

    def __init__(self, inputs: Sequence[TensorSpec], rows: int) -> None:
        self.rows = rows
        self.arrays: dict[str, Array] = {}
        self.places: list[tuple[memoryview, ...]] = []
        self.index_of = [0] * rows
        self.near: Hashable = None
        self._memory: SampleMemory | None = None
        self._allocating = threading.Lock()
        self._inputs = inputs
        self._free = deque(range(rows))
        self._count = 0
        self._frames: FrameFile | None = None
        self._table: NDArray[np.float32] | None = None

    def expect(self, count: int, frame: FrameFile | None) -> None:
        """Get ready for samples of a data set.

        Args:
            count: samples in it.
            frame: of its images; with a path, each sample brings where it lies in its image. None:
                the postprocess needs not know.
        """
        self._count = count
        self._frames, self._table = frame, None
        if frame is not None and frame.path:
            self._table = np.zeros((count, _FRAME_FIELDS), np.float32)
            self._frames = ArrivingFrames(frame.height, frame.width, "", self._table)

    def allocate(self, memory: SampleMemory | None) -> None:
        """Allocate the rows in an engine's memory, or in ordinary memory for None; only once."""
        with self._allocating:
            if not self.arrays:
                self._allocate(memory)

    def _allocate(self, memory: SampleMemory | None) -> None:
        self._memory = memory
        make = np.zeros if memory is None else memory.allocate
        self.near = None if memory is None else memory.near
        for tensor in self._inputs:
            block = make((self.rows, *tensor.sizes), np.dtype(tensor.dtype))
            block[...] = 0  # the pages are there before the first sample comes
            self.arrays[tensor.name] = block
        flat = [array.reshape(self.rows, -1).view(np.uint8) for array in self.arrays.values()]
        self.places = [tuple(memoryview(block[row]) for block in flat) for row in range(self.rows)]

    def loaded(self) -> LoadedSamples:
        """Return what an executor loads: every row, by its own number."""
        rows = range(self.rows)
        return LoadedSamples(self.arrays, rows, rows, self._frames)

    def take(self, index: int, frame: Sequence[float]) -> int | None:
        """Return a free row for a sample; None: all are taken, or the data set has no such sample.

        Args:
            index: of the data set.
            frame: where the sample lies in its image; see data.tasks.base.Frames.
        """
        if not self._free or not 0 <= index < self._count:
            return None
        row = self._free.popleft()
        self.index_of[row] = index
        if self._table is not None:
            self._table[index] = frame
        return row

    def close(self) -> None:
        """Free the memory, when no engine uses it."""
        self.places = []
        while self.arrays:
            block = self.arrays.popitem()[1]
            if self._memory is not None:
                self._memory.free(block)

    def free(self, rows: Sequence[int]) -> None:
        """Give rows back, whose samples nobody reads any more."""
        self._free.extend(rows)


@dataclass(frozen=True, slots=True)
class ArrivingFrames(FrameFile):
    """Where samples lie in their images, as each of them brings it.

    Attributes:
        table: as that of `Frames`, filled in as the samples arrive.
    """

    table: NDArray[np.float32] | None = None

    def open(self) -> Frames:
        """Return the table itself, which changes."""
        return Frames(self.height, self.width, self.table)
