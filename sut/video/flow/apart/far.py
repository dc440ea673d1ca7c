"""A stream whose frames are read in another process: what takes the place of source and reader.

Its frames are served here; see sut.video.flow.apart.far_stream for one that is served there, too.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from sut.video.flow.apart.memory import COUNTS
from sut.video.flow.apart.rooms import RELEASED, WAITS
from sut.video.flow.apart.wire import Kind, unpack_frame
from sut.video.flow.taking import Ready
from sut.video.types import Frame, Pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sut.base.errors import SutError
    from sut.video.flow.apart.link import Link
    from sut.video.flow.apart.memory import Memory
    from sut.video.flow.apart.wire import Handed, Told
    from sut.video.flow.prepare import Preparer
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.taking import Hands
    from sut.video.sources.base import ClipFacts, Picture

_MIRRORED = [
    (name, COUNTS.index(name))
    for name in ("decoded", "dropped_full", "dropped_late", "passes", "waits_since_ns")
]


class FarSource:
    """A source that is open in another process. See sut.video.sources.base.Source.

    Args:
        facts: of its clip.
        link: to the process.
        place: among the streams of the process.
    """

    def __init__(self, facts: ClipFacts, link: Link, place: int) -> None:
        self.facts, self.link, self.place = facts, link, place
        self.notes: list[str] = []

    def pictures(self) -> Iterator[Picture]:
        """See Source; nobody but the other process may ask."""
        raise AssertionError("its frames are read in another process")

    def close(self) -> None:
        """See Source: the other process closes it."""


class Linked:
    """What a stream that another process reads is to its play. See FrameReader and Hears.

    Args:
        source: of its frames.
        memory: where they lie.
        record: of the stream.
        mates: says which streams its process reads.
    """

    def __init__(
        self, source: FarSource, memory: Memory, record: StreamRecord, mates: Callable[[], str]
    ) -> None:
        self._link, self._place = source.link, source.place
        self._memory, self._counts = memory, memory.counts(source.place)
        self.record, self._mates = record, mates
        self.done = threading.Event()
        """Nothing comes from there any more."""

    def start(self, origin_ns: int) -> None:
        """See FrameReader."""
        self._link.send(Kind.START, (self._place, origin_ns))
        if self._link.lost.is_set():  # and has told only those that it knew by then
            self.lost(self._link.how)

    def stop(self) -> None:
        """See FrameReader."""
        if not self.done.is_set():
            self._link.send(Kind.STOP, self._place)

    def join(self, limit_s: float) -> None:
        """See FrameReader."""
        self.done.wait(limit_s)

    def look(self) -> None:
        """Bring the record up to date."""
        if not self.done.is_set():
            self._mirror()

    # the thread that hears

    def lost(self, how: str) -> None:
        """See Hears."""
        if not self.done.is_set():
            self.record.ended_ns = time.monotonic_ns()
            self._end(f"{self.record.clip.name}: the process that reads {self._mates()} {how}")

    def _end(self, problem: str | None) -> None:
        self._mirror()
        self.record.waits_since_ns = 0
        self.record.problem = self.record.problem or problem
        self.done.set()

    def _mirror(self) -> None:
        for name, place in _MIRRORED:
            setattr(self.record, name, self._counts[place])


class Far(Linked):
    """A stream that is served here.

    Args:
        source: of its frames.
        memory: where they lie.
        record: of the stream.
        mates: says which streams its process reads.
        hands: who gets them.
        preparer: of the first stage.
    """

    def __init__(  # noqa: PLR0913 - what a stream gives its reader, and where frames lie
        self,
        source: FarSource,
        memory: Memory,
        record: StreamRecord,
        mates: Callable[[], str],
        hands: Hands,
        preparer: Preparer,
    ) -> None:
        super().__init__(source, memory, record, mates)
        self._hands, self._preparer = hands, preparer

    def release(self) -> None:
        """See FrameReader."""
        counts = self._counts
        counts[RELEASED] += 1
        if counts[WAITS]:
            self._link.say_room(self._place)

    # the thread that hears

    def framed(self, body: memoryview) -> None:
        """See Hears."""
        frame = unpack_frame(body)
        record, size = self.record, (frame.width, frame.height)
        record.taken += 1  # counted here: frames that a lost process left behind never came
        fed = None
        if frame.inferred:
            record.inferred += 1
            fed = self._preparer.whole(self._memory.input(self._place, frame.taken), size)
        pixels = Pixels(size, _pixels_of(self._memory, frame) if frame.has_pixels else _nobodys)
        whole = Frame(record.stream, frame.number, frame.pts_s, frame.due_ns, pixels)
        times_ns = frame.began_ns, frame.decoded_ns, frame.prepared_ns
        try:
            self._hands.take(Ready(whole, fed, *times_ns, frame.taken))
        except Exception as error:  # noqa: BLE001 - the play ends with it
            self._hands.failed(error)

    def told(self, told: Told) -> None:
        """See Hears: that it is at its end."""
        self.record.notes = list(told.notes)
        self._end(told.problem)

    def failed(self, error: SutError) -> None:
        """See Hears."""
        self._hands.failed(error)

    def _end(self, problem: str | None) -> None:
        super()._end(problem)
        self._hands.ended()


def _pixels_of(memory: Memory, frame: Handed) -> Callable[[], Any]:
    return lambda: memory.pixels(frame.stream, frame.taken, (frame.width, frame.height))


def _nobodys() -> Any:
    raise AssertionError("whoever wants pixels says so before the play")
