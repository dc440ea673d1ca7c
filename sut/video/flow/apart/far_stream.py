"""A stream that is read and served in another process: this one has its engines alone.

What is left to do here for a frame is to ask the stages and to hand their answers back. See
sut.video.flow.apart.serving for the other side.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sut.base.environment import cores
from sut.video.flow.apart.far import Linked
from sut.video.flow.apart.memory import COUNTS, StageRoom
from sut.video.flow.apart.wire import Answered, Kind, ServedStage, Serves, unpack_ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.base.errors import SutError
    from sut.video.flow.apart.far import FarSource
    from sut.video.flow.apart.memory import Memory
    from sut.video.flow.apart.wire import Ask, Told
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Sink
    from sut.video.flow.stage import Answer, Stage
    from sut.video.types import Tracker

_TAKEN, _INFERRED = COUNTS.index("taken"), COUNTS.index("inferred")


@dataclass(frozen=True, slots=True)
class Served:
    """Who serves streams where they are read.

    Attributes:
        stages: of the pipeline; open.
        trackers: of the streams; they travel.
    """

    stages: Sequence[Stage]
    trackers: Sequence[Tracker]

    @property
    def rooms(self) -> tuple[StageRoom, ...]:
        """See Layout.stages."""
        return tuple(_room_of(stage) for stage in self.stages)

    def threads(self, processes: int) -> int:
        """Return how many threads of a process serve its streams: crops keep cores busy."""
        return 1 if len(self.stages) == 1 else max(1, cores() // processes)

    def of(self, streams: Sequence[int], processes: int) -> Serves:
        """Return what serves these streams in their process."""
        stages = (ServedStage(s.spec, s.plan.benchmark, s.answers) for s in self.stages)
        trackers = tuple(self.trackers[stream] for stream in streams)
        return Serves(tuple(stages), trackers, self.threads(processes))


def _room_of(stage: Stage) -> StageRoom:
    crops = stage.spec.crops
    inputs = ((stage.preparer.shape[1:], stage.preparer.dtype.name),)
    outputs = tuple((tensor.sizes, tensor.dtype) for tensor in stage.outputs)
    return StageRoom(1 if crops is None else crops.most, inputs + outputs)


def may_serve(stages: Sequence[Stage], sink: Sink, trackers: Sequence[Tracker]) -> bool:
    """Say whether streams may be served where they are read.

    Not where a sink here sees frames, nor if an output has as many rows as there are boxes, or a
    tracker does not travel.
    """
    outputs = [tensor for stage in stages for tensor in stage.outputs]
    if sink.sees_frames or any(None in tensor.shape for tensor in outputs):
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
        stages: that infer them.
        failed: hears what an act of the stream raised.
    """

    def __init__(  # noqa: PLR0913 - what a stream shares with others, and where frames lie
        self,
        source: FarSource,
        memory: Memory,
        record: StreamRecord,
        mates: Callable[[], str],
        stages: Sequence[Stage],
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__(source, memory, record, mates)
        self._stages, self._failed = stages, failed
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
        ask = unpack_ask(body)
        samples = self._memory.input(*ask)
        self._stages[ask.stage].ask(samples, partial(self._answered, ask))

    def told(self, told: Told) -> None:
        """See Hears."""
        record = self.record
        record.rows += told.rows
        record.delivered += len(told.rows)
        record.boxes += told.boxes
        record.crops = dict(told.crops or {})
        record.left_out = dict(told.left_out or {})
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

    def _answered(self, ask: Ask, answer: Answer) -> None:
        if not answer.failed:
            for room, output in zip(self._memory.answer(*ask), answer.outputs(), strict=True):
                room[...] = output
        times_ns = answer.started_ns, answer.ended_ns
        self._link.say_answered(Answered(*ask, answer.failed, *times_ns))
