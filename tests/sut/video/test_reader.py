"""The reader of one stream, apart from any play."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sut.video.flow.reader import Pacing, Reader
from sut.video.flow.records import StreamRecord
from tests.sut.video.made import frames, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.video.sources.base import Picture
    from sut.video.types import Frame


class Backlog:
    """A server at 25 frames/s; 1 s of it has waited in the connection, and comes at once."""

    def __init__(self) -> None:
        self._good = frames(walk(30))
        self.facts = replace(self._good.facts, live=True)
        self.notes: list[str] = []
        self.came_ns = time.monotonic_ns()

    def pictures(self) -> Iterator[Picture]:
        for number, picture in enumerate(self._good.pictures()):
            due_ns = self.came_ns - (30 - number) * 40_000_000
            yield replace(picture, came_ns=self.came_ns, due_ns=due_ns)

    def close(self) -> None:
        """Nothing is open."""


def test_a_backlog_is_late_and_is_dropped_until_the_reader_is_up_to_date() -> None:
    source = Backlog()
    taken: list[Frame] = []
    record = StreamRecord(0, source.facts)
    pacing = Pacing(depth=10)
    reader = Reader(source, record, pacing, lambda frame, _: taken.append(frame), lambda: None)

    reader.start(time.monotonic_ns())
    reader.join(20)

    assert record.decoded == 30
    assert record.dropped_late >= 20  # more on a machine that is busy
    assert record.dropped_late + len(taken) == 30
    assert [frame.number for frame in taken] == list(range(record.dropped_late, 30))
    assert all(source.came_ns - frame.due_ns <= 400_000_000 for frame in taken)


class Flushing:
    """A source that falls silent, and gives a last frame when its wait is over, as FFmpeg does."""

    def __init__(self) -> None:
        self._good = frames(walk(4))
        self.facts, self.notes = self._good.facts, self._good.notes
        self.silent, self.over = threading.Event(), threading.Event()

    def pictures(self) -> Iterator[Picture]:
        *first, last = self._good.pictures()
        yield from first
        self.silent.set()
        self.over.wait(20)
        yield last

    def close(self) -> None:
        """Nothing is open."""


def test_a_frame_that_comes_after_the_stop_is_neither_taken_nor_counted() -> None:
    source = Flushing()
    taken: list[Frame] = []
    record = StreamRecord(0, source.facts)
    ended = threading.Event()
    reader = Reader(source, record, Pacing(), lambda frame, _: taken.append(frame), ended.set)

    reader.start(time.monotonic_ns())
    assert source.silent.wait(20)
    reader.stop()
    source.over.set()
    reader.join(20)

    assert ended.is_set()
    assert [frame.number for frame in taken] == [0, 1, 2]
    assert record.decoded == 3
    assert record.waits_since_ns == 0
