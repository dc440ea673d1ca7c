"""The reader's half of a stream: makes what the first stage is fed of each frame that is taken.

It runs where the frames are read: in this process or in one for readers. Knows no engine and
nothing that comes after the first input.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sut.video.flow.prepare import Preparer
from sut.video.flow.reader import Reader
from sut.video.flow.scaling import scaled_by
from sut.video.track.interval import is_inferred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from backends.base import Array
    from data.benchmark import Benchmark
    from sut.video.flow.interpreter import Looks
    from sut.video.flow.prepare import Fed
    from sut.video.flow.reader import FrameReader, Pacing, Record, Room
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.scaling import Scale
    from sut.video.sources.base import Picture, Source
    from sut.video.types import Frame


@dataclass(frozen=True, slots=True)
class FirstInput:
    """What is made of frames before the first stage; plain data.

    Attributes:
        benchmark: of the stage.
        interval: frames without inference after each one with it.
        scale: who scales.
    """

    benchmark: Benchmark
    interval: int
    scale: Scale


@dataclass(frozen=True, slots=True)
class Ready:
    """A frame that is taken, and when each step of its way so far ended, in ns.

    Attributes:
        frame: itself.
        fed: what the first stage is fed; None: it is not inferred.
        began_ns: its decoding began.
        decoded_ns: its pixels were there.
        prepared_ns: the input was; without one, as `decoded_ns`.
        taken: its place among those of its stream that are taken.
    """

    frame: Frame
    fed: Fed | None
    began_ns: int
    decoded_ns: int
    prepared_ns: int
    taken: int


@dataclass(frozen=True, slots=True)
class Hands:
    """Who gets what a reader has, on any thread.

    Attributes:
        take: a frame.
        ended: no more of them.
        failed: what making an input raised: the pipeline is wrong, not the clip.
    """

    take: Callable[[Ready], None]
    ended: Callable[[], None]
    failed: Callable[[Exception], None]


class Readers(Protocol):
    """Where the streams of one play are read."""

    @property
    def pids(self) -> Sequence[int]:
        """Of processes that they have for themselves."""

    def reads(self, source: Source, record: StreamRecord, hands: Hands) -> FrameReader:
        """Return the reader of a stream."""

    def looks(self) -> Sequence[Looks]:
        """Return what the watches of their processes' interpreters saw so far."""

    def memory_bytes(self) -> int:
        """Return the most that their processes had in RAM, frames left out."""

    def look(self, now_ns: int) -> None:
        """Bring the records up to date, and give up what does not go on; called now and then."""

    def close(self) -> None:
        """All streams are at their end, or nobody waits for them any more."""


class Near:
    """Readers on threads of this process. See Readers.

    Args:
        pacing: when frames are due.
        first: what is made of them.
    """

    pids: Sequence[int] = ()

    def __init__(self, pacing: Pacing, first: FirstInput) -> None:
        self._pacing, self._first = pacing, first

    def reads(self, source: Source, record: StreamRecord, hands: Hands) -> FrameReader:
        """See Readers."""
        return Taking(source, record, self._pacing, self._first, hands).reader

    def looks(self) -> Sequence[Looks]:
        """See Readers."""
        return ()

    def memory_bytes(self) -> int:
        """See Readers."""
        return 0

    def look(self, now_ns: int) -> None:
        """See Readers: they write into the records themselves."""

    def close(self) -> None:
        """See Readers."""


class Rooms(Protocol):
    """Where the frames of a stream lie until they are through."""

    def input(self, taken: int) -> Array | None:
        """Return where the input of the frame that is taken as this one lies; None: anywhere."""

    def keep(self, frame: Frame, taken: int, *, inferred: bool) -> None:
        """Make the pixels that others will want; it is a part of decoding."""


class _OwnMemory:
    """See Rooms: of a reader in this process."""

    def input(self, taken: int) -> Array | None:
        """See Rooms."""
        return None

    def keep(self, frame: Frame, taken: int, *, inferred: bool) -> None:
        """See Rooms. Pixels of frames that are not inferred are made when somebody asks."""
        if inferred and frame.small is None:
            frame.pixels.image()


class Taking:
    """The frames of one stream, made ready on the thread that reads them.

    Args:
        source: it is read and closed here.
        record: of the stream.
        pacing: when frames are due.
        first: what is made of them.
        hands: who gets them.
        rooms: where they lie; None: in memory of their own.
        room: how many may be under way; None: as `pacing` says.
    """

    def __init__(  # noqa: PLR0913 - what a stream gives its reader
        self,
        source: Source,
        record: Record,
        pacing: Pacing,
        first: FirstInput,
        hands: Hands,
        rooms: Rooms | None = None,
        room: Room | None = None,
    ) -> None:
        self._record, self._hands = record, hands
        self._rooms: Rooms = rooms or _OwnMemory()
        self._interval = first.interval
        self._preparer = Preparer(first.benchmark)
        self._by_decoder = scaled_by(first.scale, self._preparer)
        self.reader = Reader(source, record, pacing, self._take, hands.ended, self._scaled, room)

    def _is_inferred(self) -> bool:
        """Say whether the next frame that is taken is."""
        return is_inferred(self._record.taken, self._interval)

    def _scaled(self, picture: Picture) -> NDArray[np.uint8] | None:
        return self._by_decoder(picture) if self._is_inferred() else None

    def _take(self, frame: Frame, began_ns: int) -> None:
        record, taken, inferred = self._record, self._record.taken, self._is_inferred()
        self._rooms.keep(frame, taken, inferred=inferred)
        decoded_ns = prepared_ns = time.monotonic_ns()
        record.taken += 1
        fed = None
        if inferred:
            record.inferred += 1
            try:
                fed = self._preparer.frame(frame, self._rooms.input(taken))
            except Exception as error:
                self._hands.failed(error)
                raise
            prepared_ns = time.monotonic_ns()
        self._hands.take(Ready(frame, fed, began_ns, decoded_ns, prepared_ns, taken))
