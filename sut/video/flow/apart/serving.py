"""Streams that are served where they are read: all but the engines, which another process has.

Knows the memory and the messages of a process of readers, and no engine.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from sut.serve.workers.wire import pack_object
from sut.video.flow.apart.rooms import Rooms
from sut.video.flow.apart.wire import Ask, Kind, Pixels, Told, pack_ask
from sut.video.flow.flight import PartNames
from sut.video.flow.prepare import Preparer
from sut.video.flow.seen import NullSink
from sut.video.flow.strand import Threads
from sut.video.flow.stream import Shared, Stream
from sut.video.flow.taking import Taking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import Array
    from sut.video.flow.apart.memory import Memory
    from sut.video.flow.apart.wire import Answered, Played, ServedStage, Serves
    from sut.video.flow.reader import FrameReader, Reader
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Sink
    from sut.video.flow.stage import Answer
    from sut.video.flow.taking import Hands
    from sut.video.sources.base import Source

    Send = Callable[[bytes], None]


class FarAnswer:
    """See Answer: it lies in memory until its frame is through."""

    def __init__(self, answered: Answered, memory: Memory) -> None:
        self._answered, self._memory = answered, memory
        self.failed = answered.failed
        self.started_ns, self.ended_ns = answered.started_ns, answered.ended_ns

    def outputs(self) -> tuple[Array, ...]:
        """See Answer."""
        stream, taken, stage, samples, *_ = self._answered
        return self._memory.answer(stream, taken, stage, samples)


class FarStage:
    """See StreamsStage: the engines are in the process that started this one.

    Args:
        served: what is known of it here.
        number: of it in the pipeline.
        place: of the stream that asks, in this process.
        memory: where its frames lie.
        send: sends a message.
    """

    def __init__(
        self, served: ServedStage, number: int, place: int, memory: Memory, send: Send
    ) -> None:
        self.name, self.spec, self.answers = served.spec.name, served.spec, served.answers
        self.preparer = Preparer(served.benchmark)
        self._number, self._place, self._memory, self._send = number, place, memory, send
        self._asked: dict[int, Callable[[Answer], None]] = {}

    def room(self, frame: int, samples: int) -> Array | None:
        """See StreamsStage."""
        return self._memory.input(self._place, frame, self._number, samples)

    def ask(self, samples: Array, answered: Callable[[Answer], None], frame: int) -> None:
        """See StreamsStage; the samples lie in the frame's room."""
        self._asked[frame] = answered
        self._send(pack_ask(Ask(self._place, frame, self._number, len(samples))))

    def hear(self, answered: Answered) -> None:
        """Hand an answer to who asked."""
        asks = self._asked.pop(answered.taken, None)
        if asks is not None:  # else of a play before, whose stream was given up
            asks(FarAnswer(answered, self._memory))


class Serving:
    """The streams of one play, in a process of readers.

    Args:
        played: with what serves them.
        serves: that.
        memory: where frames lie.
        streams: source and record of each.
        send: sends a message. Any thread.
        failed: hears what an act of a stream raised, on any thread.
        sink: gets the frames; None: nobody does.
    """

    def __init__(  # noqa: PLR0913 - what a play gives its process
        self,
        played: Played,
        serves: Serves,
        memory: Memory,
        streams: Sequence[tuple[Source, StreamRecord]],
        send: Send,
        failed: Callable[[Exception], None],
        sink: Sink | None = None,
    ) -> None:
        self._played, self._memory, self._send = played, memory, send
        for stage in serves.stages:
            stage.answers.load()
        self._threads = Threads(serves.threads, "host")
        self._telling = threading.Lock()
        self._told_boxes = [0] * len(streams)
        self._records = [record for _, record in streams]
        self.readers: list[Reader] = []
        self._stages = [
            [
                FarStage(stage, number, place, memory, send)
                for number, stage in enumerate(serves.stages)
            ]
            for place in range(len(streams))
        ]
        names = PartNames.of([stage.spec.name for stage in serves.stages])
        sink = NullSink() if sink is None else sink
        self._streams = [
            Stream(
                record,
                source,
                tracker,
                Shared(
                    stages=self._stages[place],
                    names=names,
                    threads=self._threads,
                    sink=sink,
                    reads=partial(self._reads, place),
                    failed=failed,
                    over=partial(self._tell, place, over=True),
                ),
            )
            for place, ((source, record), tracker) in enumerate(
                zip(streams, serves.trackers, strict=True)
            )
        ]

    def _reads(self, place: int, source: Source, record: StreamRecord, hands: Hands) -> FrameReader:
        played = self._played
        rooms = Rooms(self._memory, place, Pixels.NONE, source.facts.name)
        taking = Taking(source, record, played.pacing, played.first, hands, rooms)
        self.readers.append(taking.reader)
        return taking.reader

    def answered(self, answered: Answered) -> None:
        """Hand an answer to its stream."""
        self._stages[answered.stream][answered.stage].hear(answered)

    def give_up(self, place: int, why: str) -> None:
        """Wait for no frame of a stream any more."""
        self._streams[place].abandon(why)

    def tell(self) -> None:
        """Send what came through since the last time: it is not lost with this process."""
        for place in range(len(self._streams)):
            self._tell(place, over=False)

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def _tell(self, place: int, *, over: bool) -> None:
        record = self._records[place]
        with self._telling:  # both threads that tell in the order of the frames
            boxes = record.boxes
            rows = record.rows[:]
            del record.rows[: len(rows)]  # the strand may add one meanwhile
            if not rows and not over:
                return
            new, self._told_boxes[place] = boxes - self._told_boxes[place], boxes
            how = record.problem, record.notes
            crops = dict(record.crops), dict(record.left_out)
            told = Told(place, over, *how, rows, new, record.ended_ns, *crops)
            self._send(pack_object(Kind.TOLD, told))
