"""Messages between this process and one of readers, in the frames of sut.serve.workers.wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from sut.serve.workers.wire import frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.video.flow.apart.memory import Layout
    from sut.video.flow.reader import Pacing
    from sut.video.flow.taking import FirstInput
    from sut.video.sources.base import ClipFacts, Source

    # Opens the sources of a process; it travels, and is called there.
    Opens = Callable[[], Sequence[Source]]

# Stream, frame, its place among those that are taken, width, height, inferred, pixels handed over;
# time in the clip; due, began, decoded, prepared.
_FRAME = Struct("<IQQIIBBdqqqq")
_STREAM = Struct("<I")


class Kind(IntEnum):
    """The content of a message. Those without another word are pickled."""

    # to the readers
    OPEN = 0  # Opens
    CALL = 1  # a function of the sources that are open, and the rest of its arguments
    PLAY = 2  # Played
    START = 3  # a stream, and the origin in ns
    STOP = 4  # a stream
    ROOM = 5  # a stream that waits for room has some; its number, not pickled
    END = 6  # seconds that the readers have
    # from them
    ANSWER = 7  # of OPEN, CALL and END
    RAISED = 8  # in place of it; sut.serve.workers.failures.Raised
    FRAME = 9  # Handed, not pickled
    ENDED = 10  # Ended
    FAILED = 11  # Raised: no input can be made of a frame


@dataclass(frozen=True, slots=True)
class Opened:
    """A source in another process.

    Attributes:
        facts: of its clip.
        absent: why there is none.
    """

    facts: ClipFacts
    absent: str | None


@dataclass(frozen=True, slots=True)
class Played:
    """What a process reads in a play.

    Attributes:
        layout: of its memory.
        streams: their numbers in the play.
        pacing: when frames are due.
        first: what is made of them.
        pixels: of which frames the pixels are handed over, too.
    """

    layout: Layout
    streams: tuple[int, ...]
    pacing: Pacing
    first: FirstInput
    pixels: Pixels


class Pixels(IntEnum):
    """Of which frames others want the pixels."""

    NONE = 0
    INFERRED = 1
    ALL = 2

    def wanted(self, *, inferred: bool) -> bool:
        """Say whether they are wanted of a frame."""
        return self is Pixels.ALL or (self is Pixels.INFERRED and inferred)


class Handed(NamedTuple):
    """A frame whose input lies in memory; `stream` counts those of the process."""

    stream: int
    number: int
    taken: int
    width: int
    height: int
    inferred: bool
    has_pixels: bool
    pts_s: float
    due_ns: int
    began_ns: int
    decoded_ns: int
    prepared_ns: int


class Ended(NamedTuple):
    """A stream that is at its end; see sut.video.flow.records.StreamRecord."""

    stream: int
    problem: str | None
    notes: list[str]


def pack_frame(handed: Handed) -> bytes:
    """Return the message of a frame."""
    return frame(Kind.FRAME, _FRAME.pack(*handed))


def unpack_frame(body: memoryview) -> Handed:
    """Return a frame of its message."""
    return Handed._make(_FRAME.unpack(body))


def pack_room(stream: int) -> bytes:
    """Return the message of a stream that has room again."""
    return frame(Kind.ROOM, _STREAM.pack(stream))


def unpack_room(body: memoryview) -> int:
    """Return the stream of that message."""
    return int(_STREAM.unpack(body)[0])
