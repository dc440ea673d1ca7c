"""The memory that a process of readers and this one both map: rooms for frames, and counts.

A stream has as many rooms as frames may be under way. The frame that is taken as the k-th lies in
room k modulo that number: frames leave in the order in which they came, so it is free by then.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
class Layout:
    """Where the frames of a process's streams lie; plain data.

    Attributes:
        shape: of the first stage's input, with a batch of one.
        dtype: of it.
        rooms: of each stream.
        pixels: bytes of a whole frame of each stream; 0: none are handed over.
    """

    shape: tuple[int, ...]
    dtype: str
    rooms: int
    pixels: tuple[int, ...]

    @property
    def input_bytes(self) -> int:
        """Of the input of one frame, and what fills its last page."""
        return _paged(int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize)

    @property
    def head_bytes(self) -> int:
        """Of the counts, which come first."""
        return _paged(_WORD * (_HEAD_WORDS + len(self.pixels) * len(COUNTS)))

    def start(self, stream: int) -> int:
        """Return where the rooms of a stream begin; of the one behind the last, where all end."""
        before = self.pixels[:stream]
        of_frames = sum(self.input_bytes + _paged(size) for size in before)
        return self.head_bytes + self.rooms * of_frames

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
        itemsize, count = np.dtype(layout.dtype).itemsize, int(np.prod(layout.shape))
        assert itemsize * count <= layout.input_bytes, "a page holds what is paged"
        self._inputs = [
            [
                np.frombuffer(self._map, layout.dtype, count, at).reshape(layout.shape)
                for at in self._rooms(stream)
            ]
            for stream in range(len(layout.pixels))
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

    def input(self, stream: int, taken: int) -> Array:
        """Return the first input of the frame that a stream takes as this one."""
        return self._inputs[stream][taken % self.layout.rooms]

    def pixels(self, stream: int, taken: int, size: Size) -> Image:
        """Return the pixels of that frame, [H, W, 3]; they fit."""
        start = self._rooms(stream)[taken % self.layout.rooms] + self.layout.input_bytes
        width, height = size
        found = np.frombuffer(self._map, np.uint8, width * height * 3, start)
        return found.reshape(height, width, 3)

    def _rooms(self, stream: int) -> range:
        """Return where the rooms of a stream begin."""
        layout = self.layout
        return range(
            layout.start(stream),
            layout.start(stream + 1),
            layout.input_bytes + _paged(layout.pixels[stream]),
        )


def _paged(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
