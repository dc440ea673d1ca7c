"""The rooms of one stream as its reader sees them, in memory that another process reads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sut.base.errors import DataError
from sut.video.flow.apart.memory import COUNTS

if TYPE_CHECKING:
    from backends.base import Array
    from sut.video.flow.apart.memory import Memory
    from sut.video.flow.apart.wire import Pixels
    from sut.video.types import Frame

RELEASED, WAITS = COUNTS.index("released"), COUNTS.index("waits_for_room")
# A message that there is room may cross the word that somebody waits for it.
_LOOK_S = 0.02


class Room:
    """See sut.video.flow.reader.Room. How many frames came through, the other process counts.

    Args:
        counts: of the stream; see sut.video.flow.apart.memory.
        places: frames under way at most.
    """

    def __init__(self, counts: memoryview, places: int) -> None:
        self._counts, self._places = counts, places
        self._taken = 0
        self._over = False
        self._woken = threading.Event()

    def take(self, *, waits: bool) -> bool:
        """Take a place, and wait for one if need be; return whether there was one."""
        while self._taken - self._counts[RELEASED] >= self._places:
            if not waits or self._over:
                return False
            self._counts[WAITS] = 1
            if self._taken - self._counts[RELEASED] >= self._places:
                self._woken.wait(_LOOK_S)
            self._woken.clear()
            self._counts[WAITS] = 0
        self._taken += 1
        return True

    def add(self) -> None:
        """Give back a place that was not used."""
        self._taken -= 1

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._woken.set()

    def end(self) -> None:
        """Nobody waits any more."""
        self._over = True
        self._woken.set()


class Rooms:
    """See sut.video.flow.taking.Rooms.

    Args:
        memory: of the process.
        place: of the stream in it.
        pixels: which frames' are handed over.
        clip: of the stream, for messages.
    """

    def __init__(self, memory: Memory, place: int, pixels: Pixels, clip: str) -> None:
        self._memory, self._place, self._clip = memory, place, clip
        self.pixels = pixels

    def input(self, taken: int) -> Array | None:
        """See Rooms."""
        return self._memory.input(self._place, taken)

    def keep(self, frame: Frame, taken: int, *, inferred: bool) -> None:
        """See Rooms.

        Raises:
            DataError: the frame is larger than its clip says.
        """
        if not self.pixels.wanted(inferred=inferred):
            if inferred and frame.small is None:
                frame.pixels.image()
            return
        image, most = frame.image, self._memory.layout.pixels[self._place]
        if image.nbytes > most:
            width, height = frame.pixels.size
            raise DataError(
                f"{self._clip}: frame {frame.number} has {width}x{height} pixels, {image.nbytes} "
                f"bytes; the clip promised {most}. Play it with --readers 0."
            )
        self._memory.pixels(self._place, taken, frame.pixels.size)[:] = image
