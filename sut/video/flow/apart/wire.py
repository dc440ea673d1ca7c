"""Messages between this process and one of readers, in the frames of sut.serve.workers.wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from sut.serve.workers.wire import frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from data.benchmark import Benchmark
    from sut.video.flow.answers import Answers
    from sut.video.flow.apart.memory import Layout
    from sut.video.flow.reader import Pacing
    from sut.video.flow.taking import FirstInput
    from sut.video.pipeline_file import StageSpec
    from sut.video.sources.base import ClipFacts, Source
    from sut.video.types import Tracker

    # Opens the sources of a process; it travels, and is called there.
    Opens = Callable[[], Sequence[Source]]

# Stream, frame, its place among those that are taken, width, height, inferred, pixels handed over;
# time in the clip; due, began, decoded, prepared.
_FRAME = Struct("<IQQIIBBdqqqq")
_ASK = Struct("<IQHH")  # stream, frame as above; stage, samples
_ANSWERED = Struct("<IQHHBqq")  # likewise; failed, started, ended
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
    ANSWERED = 7  # Answered, not pickled
    GIVE_UP = 8  # a stream, and why
    # from them
    ANSWER = 9  # of OPEN, CALL, PLAY and END
    RAISED = 10  # in place of it; sut.serve.workers.failures.Raised
    FRAME = 11  # not pickled; it begins with its stream: Handed, or an Ask of a stream served there
    TOLD = 12  # Told
    FAILED = 13  # Raised: no input can be made of a frame, or no boxes of an answer


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
        serves: what the process needs to serve its streams; None: it only reads them.
    """

    layout: Layout
    streams: tuple[int, ...]
    pacing: Pacing
    first: FirstInput
    pixels: Pixels
    serves: Serves | None = None


@dataclass(frozen=True, slots=True)
class Serves:
    """What serves streams where they are read; plain data.

    Attributes:
        stages: of the pipeline.
        trackers: of the streams.
        threads: that serve them.
    """

    stages: tuple[ServedStage, ...]
    trackers: tuple[Tracker, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class ServedStage:
    """A stage as another process serves its frames; plain data.

    Attributes:
        spec: of the pipeline's file.
        benchmark: its model's.
        answers: reads what it answers.
    """

    spec: StageSpec
    benchmark: Benchmark
    answers: Answers


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


class Ask(NamedTuple):
    """Samples of a frame that lie in memory, for a stage; see Handed."""

    stream: int
    taken: int
    stage: int
    samples: int


class Answered(NamedTuple):
    """What was asked, whose answer lies in memory unless it failed; see Ask and Answer."""

    stream: int
    taken: int
    stage: int
    samples: int
    failed: bool
    started_ns: int
    ended_ns: int


class Told(NamedTuple):
    """What is new of a stream; see sut.video.flow.records.StreamRecord.

    Attributes:
        over: it is at its end.
        rows: of the frames since the last time, where they are served there.
        boxes: in these frames.
        crops: so far; None: none are made there.
        left_out: likewise.
    """

    stream: int
    over: bool = True
    problem: str | None = None
    notes: Sequence[str] = ()
    rows: Sequence[tuple[int, ...]] = ()
    boxes: int = 0
    ended_ns: int = 0
    crops: Mapping[str, int] | None = None
    left_out: Mapping[str, int] | None = None


def pack_frame(handed: Handed) -> bytes:
    """Return the message of a frame."""
    return frame(Kind.FRAME, _FRAME.pack(*handed))


def unpack_frame(body: memoryview) -> Handed:
    """Return a frame of its message."""
    return Handed._make(_FRAME.unpack(body))


def stream_of(body: memoryview) -> int:
    """Return the stream of a frame's message."""
    return int(_STREAM.unpack_from(body)[0])


def pack_ask(ask: Ask) -> bytes:
    """Return the message of what is asked."""
    return frame(Kind.FRAME, _ASK.pack(*ask))


def unpack_ask(body: memoryview) -> Ask:
    """Return what is asked of its message."""
    return Ask._make(_ASK.unpack(body))


def pack_answered(answered: Answered) -> bytes:
    """Return the message of an answer."""
    return frame(Kind.ANSWERED, _ANSWERED.pack(*answered))


def unpack_answered(body: memoryview) -> Answered:
    """Return an answer of its message."""
    return Answered._make(_ANSWERED.unpack(body))


def pack_room(stream: int) -> bytes:
    """Return the message of a stream that has room again."""
    return frame(Kind.ROOM, _STREAM.pack(stream))


def unpack_room(body: memoryview) -> int:
    """Return the stream of that message."""
    return int(_STREAM.unpack(body)[0])
