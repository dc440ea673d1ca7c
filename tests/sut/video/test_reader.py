"""The reader of one stream, apart from any play."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from sut.video.flow.reader import Pacing, Reader
from sut.video.flow.records import StreamRecord
from tests.sut.video.made import frames, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.video.sources.base import Picture
    from sut.video.types import Frame


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
    assert reader.waits_since_ns is None
