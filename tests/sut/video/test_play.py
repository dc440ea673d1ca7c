"""Streams through a pipeline whose answers are known: nothing is lost, moved, or out of order."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.base.errors import ConfigError, DataError, WorkerError
from sut.video.figures import figures, frames_of, unaccounted_ms
from sut.video.flow.play import Play, Played, Stages
from sut.video.flow.reader import Pacing
from sut.video.flow.settings import PlaySettings
from sut.video.run import findings
from sut.video.sources.memory import Frames
from sut.video.track.interval import inferred_frames
from sut.video.track.presets import open_tracker
from sut.video.types import no_boxes
from tests.sut.video.made import (
    HEIGHT,
    MOST,
    RATE,
    WIDTH,
    Keeping,
    classify,
    detect,
    frames,
    picture,
    plans,
    walk,
    write_pipeline,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Seen
    from sut.video.flow.stage import StagePlan
    from sut.video.sources.base import Picture, Source
    from sut.video.types import Boxes, Tracker

STREAMS, FRAMES = 3, 20


class Counting:
    """A tracker that counts its frames; what was found is what is there."""

    sees_pixels = False

    def __init__(self) -> None:
        self.frames = 0

    def update(self, boxes: Boxes | None, image: object) -> Boxes:
        self.frames += 1
        return no_boxes() if boxes is None else boxes

    def describe(self) -> dict[str, object]:
        return {}


@dataclass
class Ran:
    """What one play gave."""

    played: Played
    seen: dict[int, list[Seen]]
    found: dict[str, object]
    findings: list[str] = field(default_factory=list)


def run(
    plan: Sequence[StagePlan],
    sources: Sequence[Source],
    settings: PlaySettings | None = None,
    tracker: str | Tracker = "none",
) -> Ran:
    settings = settings or PlaySettings()
    sink = Keeping()

    def opened() -> Tracker:
        return open_tracker(tracker, RATE) if isinstance(tracker, str) else tracker

    with Stages(plan, warm_up_s=0.01) as stages:
        streams = [(source, opened()) for source in sources]
        played = Play(stages, settings, streams, sink).run()
        found = figures(played, stages.all)
    return Ran(played, sink.seen, found, findings(played, settings))


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    path = write_pipeline(tmp_path_factory.mktemp("exact"))
    return run(plans(path), [frames(walk(FRAMES, stream)) for stream in range(STREAMS)])


def test_every_frame_of_every_stream_comes_through_in_order(exact: Ran) -> None:
    for stream in range(STREAMS):
        numbers = [seen.frame.number for seen in exact.seen[stream]]
        assert numbers == list(range(FRAMES))
    assert exact.found["dropped"] == 0


def test_the_boxes_of_a_frame_are_its_own(exact: Ran) -> None:
    for stream, all_seen in exact.seen.items():
        for seen in all_seen:
            k = seen.frame.number % 16
            assert seen.boxes.xyxy.tolist() == [[1 + k, 4 + stream, 11 + k, 14 + stream]]
            assert seen.boxes.label.tolist() == [1]


def test_a_crop_is_told_by_its_own_pixels_and_knows_its_box(exact: Ran) -> None:
    for stream, all_seen in exact.seen.items():
        for seen in all_seen:
            told = seen.found["tell"]
            assert told.boxes.label.tolist() == [stream % 3]
            assert told.parents.tolist() == [0]
            np.testing.assert_array_equal(told.boxes.xyxy, seen.boxes.xyxy)


def test_the_parts_of_a_frames_time_add_up_to_its_latency_within_a_millisecond(exact: Ran) -> None:
    table = frames_of(exact.played)

    assert len(table.rows) == STREAMS * FRAMES
    assert unaccounted_ms(table) < 1.0
    assert (table.parts_ns >= 0).all()


def test_a_part_that_ends_before_it_begins_does_not_add_up(exact: Ran) -> None:
    table = frames_of(exact.played)
    table.rows[0, 3:5] += [-5_000_000, 5_000_000]

    assert unaccounted_ms(table) >= 4.0
    table.rows[0, 3:5] -= [-5_000_000, 5_000_000]


def test_the_work_of_a_later_stage_is_the_number_of_crops(exact: Ran) -> None:
    assert exact.found["crops"] == {"tell": STREAMS * FRAMES}
    assert exact.played.work["tell"].samples == STREAMS * FRAMES
    assert exact.played.work["find"].samples == STREAMS * FRAMES


@pytest.mark.parametrize("interval", [1, 3])
def test_an_interval_infers_one_frame_in_k_plus_one_and_the_tracker_knows_the_others(
    tmp_path: Path, interval: int
) -> None:
    path = write_pipeline(tmp_path)
    settings = PlaySettings(interval=interval)

    ran = run(plans(path), [frames(walk(9)), frames(walk(10))], settings, "max_perf")

    expected = [inferred_frames(count, interval) for count in (9, 10)]
    assert [record.inferred for record in ran.played.records] == expected
    assert [record.delivered for record in ran.played.records] == [9, 10]
    for all_seen in ran.seen.values():
        # The box moves evenly, so the tracker says where it is without a detector.
        assert [len(seen.boxes) for seen in all_seen][interval + 1 :] == [1] * (
            len(all_seen) - interval - 1
        )
    assert ran.found["crops"] == {"tell": sum(expected)}


def test_crops_are_chosen_by_class_size_and_score_and_the_others_are_counted(
    tmp_path: Path,
) -> None:
    boxes = [(1, 2, 9, 10, 100, 1), (11, 2, 19, 10, 200, 1), (21, 2, 29, 10, 250, 2)]
    crops = {"of": "find", "classes": ["thing"], "most": 1, "min_side": 2}
    tiny = [(1, 2, 2, 3, 255, 1)]
    path = write_pipeline(tmp_path, [detect(), classify(crops=crops)])

    ran = run(plans(path), [frames([picture(boxes), picture(tiny), picture([])])])

    first, second, third = ran.seen[0]
    assert first.found["tell"].parents.tolist() == [1]
    assert second.found == third.found == {}
    assert len(third.boxes) == 0
    assert ran.found["crops"] == {"tell": 1}
    assert ran.found["crops_left_out"] == {"tell": 2}


def test_more_boxes_than_a_batch_are_all_told(tmp_path: Path) -> None:
    boxes = [(x, 2, x + 8, 10, 255, 1) for x in range(1, 1 + 9 * MOST, 9)][:MOST]
    path = write_pipeline(tmp_path)
    plan = plans(path)

    ran = run(plan, [frames([picture(boxes, k % 3) for k in range(6)]) for _ in range(2)])

    for all_seen in ran.seen.values():
        for seen in all_seen:
            assert len(seen.found["tell"].boxes) == MOST
            assert set(seen.found["tell"].boxes.label.tolist()) == {seen.frame.number % 3}


def test_an_engine_that_fails_ends_the_play_with_the_name_of_its_stage(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1}), classify()])
    find, tell = plans(path, "null")
    (failing,) = plans(path, "null", fail_at_batch=9)[1:]

    with pytest.raises(WorkerError, match="stage tell: device cpu"):
        run([find, failing], [frames(walk(60))])
    ran = run([find, tell], [frames(walk(5))])

    assert ran.found["delivered"] == 5


class Broken:
    """A source whose frames end in an error, or in silence."""

    def __init__(self, good: Frames, stalls: threading.Event | None = None) -> None:
        self.facts, self.notes = good.facts, good.notes
        self._good, self._stalls = good, stalls

    def pictures(self) -> Iterator[Picture]:
        yield from self._good.pictures()
        if self._stalls is None:
            raise DataError("made: frame 4: damaged.")
        self._stalls.wait()

    def close(self) -> None:
        """Nothing is open."""


def test_a_stream_that_breaks_or_stalls_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect()])
    stalls = threading.Event()
    sources: list[Source] = [
        Broken(frames(walk(4))),
        Broken(frames(walk(3)), stalls),
        frames(walk(30)),
    ]

    ran = run(plans(path), sources, PlaySettings(stall_s=0.1))
    stalls.set()

    assert [record.delivered for record in ran.played.records] == [4, 3, 30]
    early = [line for line in ran.findings if "ended early" in line]
    assert early[0] == "stream 0 ended early: made: frame 4: damaged."
    assert early[1].startswith("stream 1 ended early: made: it stalls: no frame for 0.1 s. See its")
    rates = [stream for stream in ran.played.records if stream.problem]
    assert len(rates) == 2


def test_a_live_pace_drops_what_finds_no_room_and_counts_it(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    slow = plans(path, "null", delay_us=20_000)
    settings = PlaySettings(Pacing("live", 200.0, depth=1))
    tracker = Counting()

    ran = run(slow, [frames(walk(40))], settings, tracker)

    (record,) = ran.played.records
    assert record.decoded == 40
    assert record.dropped_full > 0
    assert record.delivered + record.dropped == 40
    numbers = [seen.frame.number for seen in ran.seen[0]]
    assert numbers == sorted(set(numbers))
    assert tracker.frames == numbers[-1] + 1, "it predicts what was dropped"
    assert any("found no room" in line for line in ran.findings)


def test_a_server_cannot_wait_so_its_frames_without_room_are_dropped_at_any_pace(
    tmp_path: Path,
) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    source = frames(walk(20))
    source.facts = replace(source.facts, live=True)

    ran = run(plans(path, "null", delay_us=20_000), [source], PlaySettings(Pacing(depth=1)))

    (record,) = ran.played.records
    assert record.dropped_full > 0
    assert record.delivered + record.dropped_full == 20


def test_five_hundred_objects_in_a_frame_are_all_tracked(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 500})])

    ran = run(plans(path, "null"), [frames(walk(4))], tracker="max_perf")

    first, *others = [sorted(seen.boxes.identity.tolist()) for seen in ran.seen[0]]
    assert len(set(first)) == 500
    assert others == [first] * 3


def test_at_a_live_pace_frames_come_at_their_time(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    settings = PlaySettings(Pacing("live", 100.0, depth=30))

    ran = run(plans(path, "null"), [frames(walk(20))], settings)

    # A machine that stalls drops frames, and moves none.
    due = {seen.frame.number: seen.frame.due_ns for seen in ran.seen[0]}
    first = min(due)
    assert len(due) > 1
    assert all(
        due_ns - due[first] == (number - first) * 10_000_000 for number, due_ns in due.items()
    )
    rows = frames_of(ran.played).rows
    assert (rows[:, 2] >= rows[:, 1]).all()


@pytest.mark.parametrize(("in_step", "gap_ns"), [(False, 2_500_000), (True, 0)])
def test_streams_are_out_of_step_as_cameras_are_unless_asked_for(
    tmp_path: Path, in_step: bool, gap_ns: int
) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    settings = PlaySettings(Pacing("live", 100.0, depth=30), in_step=in_step)

    ran = run(plans(path, "null"), [frames(walk(10, k)) for k in range(4)], settings)

    origins = [
        {seen.frame.due_ns - seen.frame.number * 10_000_000 for seen in ran.seen[k]}
        for k in range(4)
    ]
    assert all(len(own) == 1 for own in origins)
    first = min(origins[0])
    assert [min(own) - first for own in origins] == [k * gap_ns for k in range(4)]


def test_a_clip_that_is_played_again_counts_on(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    settings = PlaySettings(Pacing(loop=True), duration_s=0.2)

    ran = run(plans(path, "null"), [frames(walk(5))], settings)

    (record,) = ran.played.records
    assert record.passes >= 2
    assert [seen.frame.number for seen in ran.seen[0]] == list(range(record.delivered))
    times = [seen.frame.pts_s for seen in ran.seen[0]]
    np.testing.assert_allclose(np.diff(times), 1 / RATE, rtol=1e-6)


def test_frames_of_another_size_are_refused_with_the_name_of_the_steps(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect()])
    odd = [np.zeros((HEIGHT + 1, WIDTH - 3, 3), np.uint8)] * 3

    with pytest.raises(ConfigError, match="preprocess makes"):
        run(plans(path), [frames(odd)])


def test_a_killed_process_of_a_stage_ends_the_play_with_its_name(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect()])
    (plan,) = plans(path)
    settings = PlaySettings(Pacing(loop=True), duration_s=30)
    killed: list[int] = []
    sink = Keeping()

    with Stages([replace(plan, apart=True)], warm_up_s=0.01) as stages:
        streams = [(frames(walk(9)), open_tracker("none", RATE))]

        def look(records: Sequence[StreamRecord]) -> None:
            if records[0].delivered > 3 and not killed:
                killed.append(int(stages.all[0].facts[0]["pid"]))
                os.kill(killed[0], signal.SIGKILL)

        with pytest.raises(WorkerError) as caught:
            Play(stages, settings, streams, sink).run(look)

    assert f"(pid {killed[0]}) ended with signal SIGKILL" in str(caught.value)
    assert "stage find: device cpu" in str(caught.value)
    for seen in sink.seen[0]:  # until then, it answered as an engine in this process does
        k = seen.frame.number % 9
        assert seen.boxes.xyxy.tolist() == [[1 + k, 4, 11 + k, 14]]
