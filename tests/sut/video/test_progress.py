"""The line that a play prints while it runs."""

from __future__ import annotations

from sut.base.steps import heard_by
from sut.video.flow.records import StreamRecord
from sut.video.progress import Progress
from sut.video.sources.base import ClipFacts

CLIP = ClipFacts("made", "raw", 64, 32, 25.0, None)


def test_rates_are_of_the_last_seconds_and_of_streams_that_run() -> None:
    now_s, heard = [0.0], list[str]()
    records = [StreamRecord(stream, CLIP) for stream in range(3)]
    look = Progress(lambda: now_s[0])

    with heard_by(heard.append):
        for at_s, counts in ((1.9, (9, 9, 9)), (2.0, (50, 40, 20)), (6.0, (150, 80, 20))):
            now_s[0] = at_s
            for record, count in zip(records, counts, strict=True):
                record.delivered = count
            records[0].dropped_full, records[2].ended_ns = int(at_s), int(at_s > 2)
            look(records)

    assert heard == [
        "3 of 3 streams run, 55.0 frames/s, the slowest 10.0 (stream 2), 2 dropped",
        "2 of 3 streams run, 35.0 frames/s, the slowest 10.0 (stream 1), 6 dropped",
    ]


def test_at_the_end_nothing_is_said() -> None:
    now_s, heard = [0.0], list[str]()
    look = Progress(lambda: now_s[0])
    now_s[0] = 3.0

    with heard_by(heard.append):
        look([StreamRecord(0, CLIP, delivered=5, ended_ns=1)])

    assert heard == []
