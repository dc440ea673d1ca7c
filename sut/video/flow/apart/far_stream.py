"""A stream that is read and served in another process: this one has its engines alone.

What is left to do here for a frame is to ask the first stage and to hand its answer back. See
sut.video.flow.apart.serving for the other side.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sut.video.flow.apart.far import Linked
from sut.video.flow.apart.memory import COUNTS
from sut.video.flow.apart.wire import Answered, Kind, Serves, unpack_ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.base.errors import SutError
    from sut.video.flow.apart.far import FarSource
    from sut.video.flow.apart.memory import Memory
    from sut.video.flow.apart.wire import Told
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Sink
    from sut.video.flow.stage import Answer, FirstStage, Stage
    from sut.video.types import Tracker

_TAKEN, _INFERRED = COUNTS.index("taken"), COUNTS.index("inferred")


@dataclass(frozen=True, slots=True)
class Served:
    """Who serves streams where they are read.

    Attributes:
        stage: the only one; open.
        trackers: of the streams; they travel.
    """

    stage: Stage
    trackers: Sequence[Tracker]

    @property
    def outputs(self) -> tuple[tuple[tuple[int, ...], str], ...]:
        """See Layout.answers."""
        return tuple(((1, *tensor.sizes), tensor.dtype) for tensor in self.stage.outputs)

    def of(self, streams: Sequence[int]) -> Serves:
        """Return what serves these streams in their process."""
        trackers = tuple(self.trackers[stream] for stream in streams)
        return Serves(self.stage.name, self.stage.answers, trackers)


def may_serve(stages: Sequence[Stage], sink: Sink, trackers: Sequence[Tracker]) -> bool:
    """Say whether streams may be served where they are read.

    Not with a second stage, whose crops an engine here sees; nor where a sink here sees frames; nor
    if an output has as many rows as there are boxes, or a tracker does not travel.
    """
    if len(stages) > 1 or sink.sees_frames:
        return False
    if any(None in tensor.shape for tensor in stages[0].outputs):
        return False
    try:
        pickle.dumps(list(trackers))
    except Exception:  # noqa: BLE001 - pickle raises whatever an object does
        return False
    return True


class FarStream(Linked):
    """A stream that is served there. See sut.video.flow.stream.Stream.

    Args:
        source: of its frames.
        memory: where they and their answers lie.
        record: of the stream.
        mates: says which streams its process reads.
        stage: that infers them.
        failed: hears what an act of the stream raised.
    """

    def __init__(  # noqa: PLR0913 - what a stream shares with others, and where frames lie
        self,
        source: FarSource,
        memory: Memory,
        record: StreamRecord,
        mates: Callable[[], str],
        stage: FirstStage,
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__(source, memory, record, mates)
        self._stage, self._failed = stage, failed
        self.reader = self  # that is read and that is served is one
        self.abandoned = False

    def release(self) -> None:
        """See FrameReader; nobody here has a frame."""

    def abandon(self, why: str) -> None:
        """See Stream."""
        self.abandoned = True
        self._link.send(Kind.GIVE_UP, (self._place, why))

    # the thread that hears

    def framed(self, body: memoryview) -> None:
        """See Hears."""
        _, taken = unpack_ask(body)
        room = self._memory.input(self._place, taken)
        self._stage.ask(room, partial(self._answered, taken))

    def told(self, told: Told) -> None:
        """See Hears."""
        record = self.record
        record.rows += told.rows
        record.delivered += len(told.rows)
        record.boxes += told.boxes
        if told.over:
            record.notes = list(told.notes)
            record.ended_ns = told.ended_ns
            self._end(told.problem)

    def failed(self, error: SutError) -> None:
        """See Hears."""
        self._failed(error)

    def _mirror(self) -> None:
        super()._mirror()
        self.record.taken, self.record.inferred = self._counts[_TAKEN], self._counts[_INFERRED]

    # a worker's thread

    def _answered(self, taken: int, answer: Answer) -> None:
        if not answer.failed:
            rooms = self._memory.answer(self._place, taken)
            for room, output in zip(rooms, answer.outputs(), strict=True):
                room[...] = output
        times_ns = answer.started_ns, answer.ended_ns
        self._link.say_answered(Answered(self._place, taken, answer.failed, *times_ns))
