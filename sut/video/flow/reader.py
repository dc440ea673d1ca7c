"""Reads one stream on a thread of its own: waits for a frame's time, decodes it, or drops it.

At a free pace a frame is due when there is room for it in the pipeline, and none is dropped. At a
live pace it is due when a camera would send it, and dropped if there is no room, or if the decoder
is too far behind. Knows no stage; it hands frames over.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, Protocol

from sut.base.errors import SutError
from sut.video.types import Frame, Pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from sut.video.sources.base import Picture, Source

    # Takes a frame and the time at which its decoding began.
    Take = Callable[[Frame, int], None]
    # Returns a picture as small as the first stage wants it, made by the decoder; None: it is not.
    Scaled = Callable[[Picture], NDArray[np.uint8] | None]

Pace = Literal["free", "live"]
PACES: tuple[Pace, ...] = ("free", "live")
_LOOK_S = 0.05  # a sleeper looks so often whether it is over


@dataclass(frozen=True, slots=True)
class Pacing:
    """When frames are due.

    Attributes:
        pace: see the module.
        rate: frames a second; None: the clip's own times.
        depth: frames of a stream between its decoder and its sink, at most.
        loop: play the clip again and again.
        frames: how many to take of each pass, at most; None: all.
    """

    pace: Pace = "free"
    rate: float | None = None
    depth: int = 4
    loop: bool = False
    frames: int | None = None


class Record(Protocol):
    """What a reader writes down; see sut.video.flow.records.StreamRecord for what it means."""

    stream: int
    decoded: int
    taken: int
    inferred: int
    dropped_full: int
    dropped_late: int
    passes: int
    waits_since_ns: int
    problem: str | None
    notes: list[str]


class FrameReader(Protocol):
    """What a stream asks of whoever reads its frames. Any thread."""

    def start(self, origin_ns: int) -> None:
        """Begin; the first frame is due at `origin_ns` at a live pace."""

    def stop(self) -> None:
        """Take no more frames."""

    def release(self) -> None:
        """A frame came through: there is room for another."""

    def join(self, limit_s: float) -> None:
        """Wait for its end, so long at most."""


class Room(Protocol):
    """Places for frames of a stream that are under way."""

    def take(self, *, waits: bool) -> bool:
        """Take a place, and wait for one if need be; return whether there was one."""

    def add(self) -> None:
        """A place is free again."""

    def end(self) -> None:
        """Nobody shall wait any more."""


class Reader:
    """One stream's reader on a thread of this process. See FrameReader.

    Args:
        source: it is read and closed here.
        record: of the stream.
        pacing: when frames are due.
        take: what becomes of a frame; it may take as long as it needs to make the first input.
        ended: called once, at the end of the stream.
        scaled: makes a frame of the first stage's size, by the decoder, where that may be.
        room: for its frames; None: of its own.
    """

    def __init__(  # noqa: PLR0913 - what a stream gives its reader
        self,
        source: Source,
        record: Record,
        pacing: Pacing,
        take: Take,
        ended: Callable[[], None],
        scaled: Scaled = lambda picture: None,
        room: Room | None = None,
    ) -> None:
        self._scaled = scaled
        self._source, self._record, self._pacing = source, record, pacing
        self._take, self._ended = take, ended
        self._room: Room = room or _Room(pacing.depth)
        self._stop = threading.Event()
        self._live = pacing.pace == "live" and not source.facts.live
        self._rate = pacing.rate or source.facts.rate
        self._thread = threading.Thread(
            target=self._run, name=f"stream {record.stream}", daemon=True
        )

    def start(self, origin_ns: int) -> None:
        """See FrameReader."""
        self._origin_ns = origin_ns
        self._thread.start()

    def stop(self) -> None:
        """See FrameReader."""
        if not self._stop.is_set():
            self._stop.set()
            self._room.end()

    def release(self) -> None:
        """See FrameReader."""
        self._room.add()

    def join(self, limit_s: float) -> None:
        """See FrameReader."""
        self._thread.join(limit_s)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._read()
        except SutError as error:
            self._record.problem = str(error)
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything; others go on
            self._record.problem = (
                f"{self._source.facts.name}: {type(error).__name__}: {error}".rstrip(": ")
            )
        self._record.notes = list(self._source.notes)
        self._ended()
        self._source.close()

    def _read(self) -> None:
        offset_s, last_s = 0.0, 0.0
        while not self._stop.is_set():
            for picture, began_ns, has_room in self._pictures():
                last_s = picture.pts_s
                self._one(picture, began_ns, offset_s + last_s, has_room=has_room)
            self._record.passes += not self._stop.is_set()
            offset_s += last_s + 1 / self._source.facts.rate
            if not self._pacing.loop or self._source.facts.live:
                return

    def _pictures(self) -> Iterator[tuple[Picture, int, bool]]:
        """Yield each picture with the time at which its decoding began, when there may be room."""
        pictures, record = self._source.pictures(), self._record
        count = 0
        while not self._stop.is_set() and count != self._pacing.frames:
            has_room = False
            if self._live:
                self._sleep_until(self._due_ns(record.decoded, None))
            elif not self._source.facts.live:
                has_room = self._room.take(waits=True)
            if self._stop.is_set():
                return
            began_ns = record.waits_since_ns = time.monotonic_ns()
            picture = next(pictures, None)
            record.waits_since_ns = 0
            if picture is None or self._stop.is_set():  # FFmpeg flushes one after a silence
                if has_room:
                    self._room.add()
                return
            count += 1
            yield picture, began_ns, has_room

    def _one(self, picture: Picture, began_ns: int, at_s: float, *, has_room: bool) -> None:
        """Take a picture or drop it."""
        record = self._record
        number = record.decoded
        record.decoded += 1
        due_ns = began_ns
        if self._live:
            due_ns = self._due_ns(number, at_s)
            self._sleep_until(due_ns)  # the times of a clip may be uneven
        elif picture.came_ns is not None:
            began_ns = picture.came_ns
            due_ns = began_ns if picture.due_ns is None else picture.due_ns
        if self._live or picture.came_ns is not None:
            late_ns = time.monotonic_ns() - due_ns
            if late_ns * self._rate > self._pacing.depth * 1e9:
                record.dropped_late += 1
                return
        if not has_room and not self._room.take(waits=False):
            record.dropped_full += 1
            return
        if picture.size is None:
            pixels = Pixels.of(picture.image())
        else:
            pixels = Pixels(picture.size, picture.image)
        small = self._scaled(picture)
        frame = Frame(record.stream, number, at_s, due_ns, pixels, small)
        self._take(frame, max(began_ns, due_ns))

    def _due_ns(self, number: int, at_s: float | None) -> int:
        """Return when a frame is due; without its time in the clip, when it is expected."""
        if self._pacing.rate is not None or at_s is None:
            at_s = number / self._rate
        return self._origin_ns + int(at_s * 1e9)

    def _sleep_until(self, at_ns: int) -> None:
        while (left_ns := at_ns - time.monotonic_ns()) > 0 and not self._stop.is_set():
            time.sleep(min(left_ns / 1e9, _LOOK_S))  # to wait for the event takes twice as long


class _Room:
    """See Room. A queue of C, because a Semaphore is of Python and takes much longer."""

    def __init__(self, places: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._free.put(None)

    def add(self) -> None:
        self._free.put(None)

    def end(self) -> None:
        self._free.put(None)  # for a reader that waits

    def take(self, *, waits: bool) -> bool:
        try:
            self._free.get(waits)
        except Empty:
            return False
        return True
