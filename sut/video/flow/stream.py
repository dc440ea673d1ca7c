"""One stream: its frames pass the stages in order, and come to tracker and sink in order.

A reader makes the input of the first stage (see sut.video.flow.taking); all that follows runs on
the stream's strand. Frames may overtake each other on the engines; they wait for each other here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sut.video.flow.flight import (
    DECODE,
    HAND_OVER,
    INFER,
    PREPARE,
    QUEUE,
    READ,
    SINK,
    SINK_WAIT,
    SOURCE,
    TRACK,
    WAIT,
    Flight,
    PartNames,
)
from sut.video.flow.seen import Seen
from sut.video.flow.strand import Strand
from sut.video.flow.taking import Hands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sut.video.flow.reader import FrameReader
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Sink
    from sut.video.flow.stage import Answer, StreamsStage
    from sut.video.flow.strand import Threads
    from sut.video.flow.taking import Ready
    from sut.video.sources.base import Source
    from sut.video.types import Boxes, Frame, Tracker

# After a longer gap no object is where it was.
_MOST_PREDICTED = 60


@dataclass(frozen=True, slots=True)
class Shared:
    """What the streams of a play have in common.

    Attributes:
        stages: in the pipeline's order; open.
        names: of the parts of a frame's time.
        threads: that serve the streams.
        sink: gets every frame.
        reads: returns the reader of a source.
        failed: hears what an act of a stream raised, on any thread.
        over: called when nothing of the stream is under way any more; None: nobody asks.
    """

    stages: Sequence[StreamsStage]
    names: PartNames
    threads: Threads
    sink: Sink
    reads: Callable[[Source, StreamRecord, Hands], FrameReader]
    failed: Callable[[Exception], None]
    over: Callable[[], None] | None = None


class Stream:
    """One stream of a play.

    Args:
        record: of the stream.
        source: of its frames.
        tracker: of its objects.
        shared: with the other streams.
    """

    def __init__(
        self, record: StreamRecord, source: Source, tracker: Tracker, shared: Shared
    ) -> None:
        self.record = record
        self.done = threading.Event()
        """Nothing of it is under way any more."""
        self._shared, self._tracker = shared, tracker
        self._strand = Strand(shared.threads, shared.failed)
        hands = Hands(self._arrive, self._ended, shared.failed)
        self.reader = shared.reads(source, self.record, hands)
        self._untracked: deque[Flight] = deque()  # in order; the reader adds, the strand takes
        self._answers: dict[Flight, Answer | None] = {}  # of those that wait for earlier ones
        self._unsunk: deque[Flight] = deque()
        self._complete: set[Flight] = set()
        self._due = 0  # the number of the frame that the tracker expects
        self._reads = True
        self.abandoned = False
        """Nobody waits for its reader."""

    def abandon(self, why: str) -> None:
        """Give the stream up: its source owes a frame and nobody waits for it any more."""
        self.record.problem = why
        self.abandoned = True
        self.reader.stop()
        self._strand.post(self._no_more)

    # the reader's thread, or the one that hears of other processes

    def _arrive(self, ready: Ready) -> None:
        if self.abandoned:
            return
        shared, names, inferred = self._shared, self._shared.names, ready.fed is not None
        flight = Flight(ready.frame, ready.taken, len(names.all), inferred=inferred)
        flight.mark(names.index(SOURCE), ready.began_ns)
        flight.mark(names.index(DECODE), ready.decoded_ns)
        flight.mark(names.of_stage(0, PREPARE), ready.prepared_ns)
        flight.mark(names.index(HAND_OVER), time.monotonic_ns())
        self._untracked.append(flight)
        if ready.fed is None:
            self._strand.post(partial(self._ready, flight, None))
            return
        flight.fed = ready.fed
        answered = partial(self._answered, flight, 0)
        shared.stages[0].ask(ready.fed.samples, answered, flight.taken)

    def _ended(self) -> None:
        self._strand.post(self._no_more)

    # a worker's thread

    def _answered(self, flight: Flight, place: int, query: Answer) -> None:
        act = partial(self._ready, flight) if place == 0 else partial(self._next, flight, place)
        self._strand.post(partial(act, query))

    # the strand

    def _no_more(self) -> None:
        self._reads = False
        self._finish_if_over()

    def _finish_if_over(self) -> None:
        if not (self._reads or self._untracked or self._unsunk) and not self.done.is_set():
            self.record.ended_ns = time.monotonic_ns()
            self.done.set()
            if self._shared.over is not None:
                self._shared.over()

    def _ready(self, flight: Flight, query: Answer | None) -> None:
        """The first stage is through with a frame; go on with those whose turn it is."""
        self._answers[flight] = query
        while self._untracked and self._untracked[0] in self._answers:
            first = self._untracked.popleft()
            self._track(first, self._answers.pop(first))

    def _track(self, flight: Flight, query: Answer | None) -> None:
        shared, names = self._shared, self._shared.names
        self._unsunk.append(flight)
        boxes: Boxes | None = None
        if query is None:
            flight.mark(names.of_stage(0, WAIT), time.monotonic_ns())
        else:
            if not self._mark_answered(flight, 0, query):
                return
            assert flight.fed is not None, "an answered frame was fed"
            boxes = shared.stages[0].answers.of_frame(query.outputs(), flight.fed)
            flight.mark(names.of_stage(0, READ), time.monotonic_ns())
        flight.fed = None
        flight.tracked = self._update(flight.frame, boxes)
        flight.mark(names.index(TRACK), time.monotonic_ns())
        self._show(flight, 1)

    def _update(self, frame: Frame, boxes: Boxes | None) -> Boxes:
        """Return a frame's objects; the tracker predicts the frames that were dropped before it."""
        for _ in range(min(frame.number - self._due, _MOST_PREDICTED)):
            self._tracker.update(None, frame.pixels)  # else all objects would seem to move faster
        self._due = frame.number + 1
        return self._tracker.update(boxes, frame.pixels)

    def _next(self, flight: Flight, place: int, query: Answer) -> None:
        """A later stage is through with the crops of a frame."""
        stage, names = self._shared.stages[place], self._shared.names
        if not self._mark_answered(flight, place, query):
            return
        assert flight.fed is not None, "an answered frame was fed"
        shown, rows = flight.shown
        flight.found[stage.name] = stage.answers.of_crops(query.outputs(), flight.fed, shown, rows)
        flight.fed = None
        flight.mark(names.of_stage(place, READ), time.monotonic_ns())
        self._show(flight, place + 1)

    def _mark_answered(self, flight: Flight, place: int, query: Answer) -> bool:
        """Note the times of a query; return False if its engine failed, which ends the frame."""
        if query.failed:
            self._unsunk.remove(flight)
            self.reader.release()
            self._finish_if_over()
            return False
        names = self._shared.names
        flight.mark(names.of_stage(place, QUEUE), query.started_ns)
        flight.mark(names.of_stage(place, INFER), query.ended_ns)
        flight.mark(names.of_stage(place, WAIT), time.monotonic_ns())
        return True

    def _show(self, flight: Flight, place: int) -> None:
        """Ask the first stage from `place` on that has crops to see; without one, end the frame."""
        names = self._shared.names
        for at in range(place, len(self._shared.stages)):
            stage = self._shared.stages[at]
            shown, rows = self._crops(flight, stage)
            if not len(rows):
                continue
            crops = stage.spec.crops
            assert crops is not None, "later stages see crops"
            flight.shown = shown, rows
            room = stage.room(flight.taken, len(rows))
            flight.fed = stage.preparer.crops(flight.frame.image, shown.xyxy, crops.grow, room)
            count = self.record.crops.get(stage.name, 0) + len(rows)
            self.record.crops[stage.name] = count
            flight.mark(names.of_stage(at, PREPARE), time.monotonic_ns())
            stage.ask(flight.fed.samples, partial(self._answered, flight, at), flight.taken)
            return
        self._complete.add(flight)
        while self._unsunk and self._unsunk[0] in self._complete:
            first = self._unsunk.popleft()
            self._complete.remove(first)
            self._deliver(first)
        self._finish_if_over()

    def _crops(self, flight: Flight, stage: StreamsStage) -> tuple[Boxes, NDArray[np.intp]]:
        """Return the boxes that a stage sees, and their rows in the stage that found them."""
        crops, stages = stage.spec.crops, self._shared.stages
        assert crops is not None, "later stages see crops"
        first = stages[0]
        if crops.of == first.name:
            boxes, found_by = flight.tracked, first
        else:
            if crops.of not in flight.found:
                return flight.tracked, np.empty(0, np.intp)
            boxes = flight.found[crops.of].boxes
            found_by = next(other for other in stages if other.name == crops.of)
        if not flight.inferred and crops.frames == "inferred":
            return boxes, np.empty(0, np.intp)
        wanted = np.ones(len(boxes), np.bool_)
        if crops.classes:
            numbers = [found_by.spec.classes[name] for name in crops.classes]
            wanted = np.isin(boxes.label, numbers)
        sides = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).min(axis=1, initial=np.inf)
        rows = np.flatnonzero(wanted & (sides >= crops.min_side))
        best = rows[np.argsort(-boxes.score[rows], kind="stable")[: crops.most]]
        left_out = int(wanted.sum()) - len(best)
        if left_out:
            before = self.record.left_out.get(stage.name, 0)
            self.record.left_out[stage.name] = before + left_out
        return boxes.take(best), best

    def _deliver(self, flight: Flight) -> None:
        names, frame = self._shared.names, flight.frame
        flight.mark(names.index(SINK_WAIT), time.monotonic_ns())
        self._shared.sink.frame(Seen(frame, flight.inferred, flight.tracked, flight.found))
        done_ns = time.monotonic_ns()
        flight.mark(names.index(SINK), done_ns)
        record = self.record
        record.boxes += len(flight.tracked)
        record.rows.append((frame.number, frame.due_ns, done_ns, *flight.parts_ns))
        record.delivered += 1
        self.reader.release()
