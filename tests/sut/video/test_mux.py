"""The mux across streams: a late stream holds nobody back, and no stream's frames swap places.

On a virtual clock it is the dispatcher's policy with the settings of the command line; in real
plays a stream waits for the others, so that a mux that waits for it would never end.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

import pytest

from sut.serve.batcher import BatcherSettings
from sut.serve.policy import MIN_WAIT_NS, Policy, WorkerLimits
from sut.video.flow.play import Play, Stages
from sut.video.flow.reader import Pacing
from sut.video.flow.settings import PlaySettings
from sut.video.flow.stage import Stage
from sut.video.pipeline_file import load_pipeline
from sut.video.plans import Overrides, stage_plans
from sut.video.track.presets import open_tracker
from tests.sut.video.made import RATE, Keeping, detect, frames, plans, walk, write_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from backends.base import Array
    from sut.serve.dispatcher import Failure
    from sut.video.flow.seen import Seen
    from sut.video.flow.stage import Asked, StagePlan
    from sut.video.sources.base import Picture, Source
    from sut.video.sources.memory import Frames

US, MS = 1_000, 1_000_000
STREAMS, FRAMES, EVERY_NS = 4, 20, 40 * MS
# When a frame arrived, its stream and its number in it.
Arrival = tuple[int, int, int]


def arrivals(late_ns: int | None) -> list[Arrival]:
    """Return the frames of cameras 50 us apart; the last one is late, or silent for None."""
    late = STREAMS - 1
    found = [
        (number * EVERY_NS + stream * 50 * US + (late_ns or 0) * (stream == late), stream, number)
        for number in range(FRAMES)
        for stream in range(STREAMS)
        if stream != late or late_ns is not None
    ]
    return sorted(found)


def muxed(settings: BatcherSettings, frames: Sequence[Arrival]) -> list[tuple[int, list[Arrival]]]:
    """Return when each batch was closed, and its frames, with a device that takes 1 ms for any."""
    policy = Policy(settings, [WorkerLimits(1, settings.max_batch_size)])
    coming, waiting = deque(frames), deque[Arrival]()
    closed: list[tuple[int, list[Arrival]]] = []
    now_ns, busy_until_ns = 0, None
    while coming or waiting:
        times = [coming[0][0] if coming else None, busy_until_ns, policy.due_ns(now_ns)]
        now_ns = min(at_ns for at_ns in times if at_ns is not None)
        if busy_until_ns == now_ns:
            policy.finish(0, now_ns, MS)
            busy_until_ns = None
        while coming and coming[0][0] <= now_ns:
            waiting.append(coming.popleft())
            policy.arrive(now_ns, 1)
        if (batch := policy.next_batch(now_ns)) is not None:
            closed.append((now_ns, [waiting.popleft() for _ in range(batch.samples)]))
            busy_until_ns = now_ns + MS
    return closed


def settings_of(folder: Path, timeout_us: int) -> BatcherSettings:
    """Return what `--mux-batch` and `--mux-timeout-us` make of a pipeline's first stage."""
    pipeline = load_pipeline(str(write_pipeline(folder, [detect()])))
    overrides = Overrides(backend="null", mux_batch=STREAMS, mux_timeout_us=timeout_us)
    harness = stage_plans(pipeline, overrides)[0].harness
    return BatcherSettings(harness.max_batch_size, harness.max_queue_delay_ns)


@pytest.mark.parametrize("late_ns", [None, 700 * US, 5 * MS, 39 * MS, 1000 * MS])
@pytest.mark.parametrize("timeout_us", [500, 2000, 20_000])
def test_a_late_stream_holds_no_frame_beyond_the_timeout(
    tmp_path: Path, timeout_us: int, late_ns: int | None
) -> None:
    closed = muxed(settings_of(tmp_path, timeout_us), arrivals(late_ns))

    waits = [at_ns - arrived for at_ns, batch in closed for arrived, _, _ in batch]
    # While the device works, which takes 1 ms, no batch is closed.
    assert max(waits) <= timeout_us * US + MS + MIN_WAIT_NS
    assert len(waits) == len(arrivals(late_ns))


def test_a_batch_that_waits_for_a_silent_stream_is_closed_at_its_timeout(tmp_path: Path) -> None:
    closed = muxed(settings_of(tmp_path, 20_000), arrivals(None))

    assert [len(batch) for _, batch in closed] == [STREAMS - 1] * FRAMES
    assert {at_ns - batch[0][0] for at_ns, batch in closed} == {20 * MS}


def test_cameras_in_step_share_a_batch_and_wait_for_nobody(tmp_path: Path) -> None:
    closed = muxed(settings_of(tmp_path, 20_000), arrivals(0))

    assert [len(batch) for _, batch in closed] == [STREAMS] * FRAMES
    assert {at_ns - batch[0][0] for at_ns, batch in closed} == {(STREAMS - 1) * 50 * US}


@pytest.mark.parametrize("late_ns", [0, 5 * MS, 39 * MS, 1000 * MS])
def test_frames_of_a_stream_are_in_order_within_and_across_batches(
    tmp_path: Path, late_ns: int
) -> None:
    numbers = defaultdict(list)
    for _, batch in muxed(settings_of(tmp_path, 2000), arrivals(late_ns)):
        for _, stream, number in batch:
            numbers[stream].append(number)

    assert dict(numbers) == {stream: list(range(FRAMES)) for stream in range(STREAMS)}


# --- real plays


class Counted(Keeping):
    """A sink that says when stream 0 came to its end."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.enough = threading.Event()
        self._wanted = wanted

    def frame(self, seen: Seen) -> None:
        super().frame(seen)
        if len(self.seen[0]) == self._wanted:
            self.enough.set()


class Waiting:
    """A source that gives no frame before the others are through."""

    def __init__(self, good: Frames, others: threading.Event) -> None:
        self.facts, self.notes = good.facts, good.notes
        self._good, self._others = good, others

    def pictures(self) -> Iterator[Picture]:
        assert self._others.wait(20), "the mux holds the other stream back"
        yield from self._good.pictures()

    def close(self) -> None:
        """Nothing is open."""


def test_a_silent_stream_does_not_hold_back_another_one(tmp_path: Path) -> None:
    (plan,) = plans(write_pipeline(tmp_path, [detect()]))
    harness = replace(plan.harness, max_batch_size=8, max_queue_delay_us=2000)
    sink = Counted(6)

    with Stages([replace(plan, harness=harness)], warm_up_s=0.01) as stages:
        sources: list[Source] = [frames(walk(6)), Waiting(frames(walk(3)), sink.enough)]
        streams = [(source, open_tracker("none", RATE)) for source in sources]
        played = Play(stages, PlaySettings(), streams, sink).run()

    assert [record.problem for record in played.records] == [None, None]
    assert [record.delivered for record in played.records] == [6, 3]


class Backwards(Stage):
    """A stage whose engines answer four frames in the reverse of their order."""

    def __init__(self, plan: StagePlan, on_failure: Callable[[Failure], None]) -> None:
        super().__init__(plan, on_failure)
        self._held: list[tuple[int, Callable[[Asked], None], Asked]] = []
        self.answered: list[int] = []
        self._asks = 0

    def ask(self, samples: Array, answered: Callable[[Asked], None], frame: int = 0) -> None:
        number, self._asks = self._asks, self._asks + 1
        super().ask(samples, partial(self._hold, number, answered), frame)

    def _hold(self, number: int, answered: Callable[[Asked], None], query: Asked) -> None:
        self._held.append((number, answered, query))
        if len(self._held) == 4:
            held, self._held = self._held, []
            for last, tell, of in sorted(held, key=itemgetter(0), reverse=True):
                self.answered.append(last)
                tell(of)


def test_answers_in_the_wrong_order_come_to_tracker_and_sink_in_the_right_one(
    tmp_path: Path,
) -> None:
    opened = Stages(plans(write_pipeline(tmp_path, [detect()])), warm_up_s=0.01)
    opened.all[0] = stage = Backwards(opened.all[0].plan, print)
    sink = Keeping()

    with opened:
        streams = [(frames(walk(8)), open_tracker("max_perf", RATE))]
        Play(opened, PlaySettings(Pacing(depth=4)), streams, sink).run()

    assert stage.answered == [3, 2, 1, 0, 7, 6, 5, 4]
    assert [seen.frame.number for seen in sink.seen[0]] == list(range(8))
    assert {int(seen.boxes.identity[0]) for seen in sink.seen[0]} == {0}
