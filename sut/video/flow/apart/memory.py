"""The memory that a process of readers and this one both map: rooms for frames, and counts.

A stream has as many rooms as frames may be under way. The frame that is taken as the k-th lies in
room k modulo that number: frames leave in the order in which they came, so it is free by then.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from sut.video.flow.interpreter import Looks

if TYPE_CHECKING:
    from backends.base import Array
    from sut.video.types import Size

    Image = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

COUNTS = (
    *("decoded", "taken", "inferred", "dropped_full", "dropped_late", "passes", "waits_since_ns"),
    *("released", "waits_for_room"),
)
_WORD = 8
# The first words of all: when the process was last seen alive, and its looks for its interpreter.
_BEAT, _LOOKS, _HEAD_WORDS = 0, slice(1, 3), 3
_PAGE = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class StageRoom:
    """What a stage needs of a frame's room; plain data.

    Attributes:
        rows: samples of a frame, at most.
        tensors: shape, without the batch axis, and dtype of the input, and of each output where the
            answer lies there, too.
    """

    rows: int
    tensors: tuple[tuple[tuple[int, ...], str], ...]

    @property
    def arrays(self) -> list[tuple[tuple[int, ...], str]]:
        """Shape and dtype of all rows."""
        return [((self.rows, *shape), dtype) for shape, dtype in self.tensors]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the frames of a process's streams lie; plain data.

    Attributes:
        stages: whose inputs lie there; the first one's always do.
        rooms: of each stream.
        pixels: bytes of a whole frame of each stream; 0: none are handed over.
    """

    stages: tuple[StageRoom, ...]
    rooms: int
    pixels: tuple[int, ...]

    @property
    def array_bytes(self) -> list[int]:
        """Of each array in a room, stage after stage, and what fills its last page."""
        return [_paged(_bytes(*array)) for stage in self.stages for array in stage.arrays]

    @property
    def head_bytes(self) -> int:
        """Of the counts, which come first."""
        return _paged(_WORD * (_HEAD_WORDS + len(self.pixels) * len(COUNTS)))

    def start(self, stream: int) -> int:
        """Return where the rooms of a stream begin; of the one behind the last, where all end."""
        of_frames = sum(map(self.room_bytes, range(stream)))
        return self.head_bytes + self.rooms * of_frames

    def room_bytes(self, stream: int) -> int:
        """Return the size of a room of a stream: the stages' arrays and pixels."""
        return sum(self.array_bytes) + _paged(self.pixels[stream])

    @property
    def size(self) -> int:
        """Bytes of all."""
        return self.start(len(self.pixels))


class Memory:
    """The memory as one process maps it; it is let go of with its last array.

    Args:
        file: a descriptor of it.
        layout: of what lies there.
    """

    def __init__(self, file: int, layout: Layout) -> None:
        self.layout = layout
        self._map = mmap.mmap(file, layout.size)
        self._words = memoryview(self._map)[: layout.head_bytes].cast("q")
        self._sizes = layout.array_bytes
        self._arrays: list[list[list[list[Array]]]] = [
            [self._room(at) for at in self._rooms(stream)] for stream in range(len(layout.pixels))
        ]

    @property
    def beat_ns(self) -> int:
        """When the process of the readers was last seen alive."""
        return self._words[_BEAT]

    @beat_ns.setter
    def beat_ns(self, now_ns: int) -> None:
        self._words[_BEAT] = now_ns

    @property
    def looks(self) -> Looks:
        """See LockWatch: of the process of the readers."""
        return Looks(*self._words[_LOOKS])

    @looks.setter
    def looks(self, looks: Looks) -> None:
        self._words[_LOOKS.start], self._words[_LOOKS.start + 1] = looks

    def counts(self, stream: int) -> memoryview:
        """Return the counts of a stream, int64, in the order of COUNTS."""
        start = _HEAD_WORDS + stream * len(COUNTS)
        return self._words[start : start + len(COUNTS)]

    def clear(self) -> None:
        """Set all counts to 0."""
        self._words[:] = memoryview(bytes(len(self._words) * _WORD)).cast("q")

    def input(self, stream: int, taken: int, stage: int = 0, rows: int = 1) -> Array:
        """Return the first samples of the frame that a stream takes as this one, for a stage."""
        return self._arrays[stream][taken % self.layout.rooms][stage][0][:rows]

    def answer(self, stream: int, taken: int, stage: int, rows: int) -> tuple[Array, ...]:
        """Return where the stage's outputs for these samples lie, [rows, ...] each."""
        arrays = self._arrays[stream][taken % self.layout.rooms][stage]
        return tuple(array[:rows] for array in arrays[1:])

    def pixels(self, stream: int, taken: int, size: Size) -> Image:
        """Return the pixels of that frame, [H, W, 3]; they fit."""
        start = self._rooms(stream)[taken % self.layout.rooms] + sum(self._sizes)
        width, height = size
        found: Image = self._array((height, width, 3), "uint8", start)
        return found

    def _room(self, at: int) -> list[list[Array]]:
        """Return the arrays of each stage in the room that begins there."""
        starts = iter(accumulate(self._sizes, initial=at))
        return [
            [self._array(shape, dtype, next(starts)) for shape, dtype in stage.arrays]
            for stage in self.layout.stages
        ]

    def _array(self, shape: tuple[int, ...], dtype: str, start: int) -> Any:
        found = np.frombuffer(self._map, dtype, math.prod(shape), start)
        return found.reshape(shape)

    def _rooms(self, stream: int) -> range:
        """Return where the rooms of a stream begin."""
        layout = self.layout
        return range(
            layout.start(stream),
            layout.start(stream + 1),
            layout.room_bytes(stream),
        )


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _paged(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
