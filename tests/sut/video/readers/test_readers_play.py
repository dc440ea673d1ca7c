"""Streams that are read in other processes go through a pipeline as those of threads do."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from sut.base.errors import ConfigError, WorkerError
from sut.video.figures import frames_of, unaccounted_ms
from sut.video.flow.apart.memory import Layout, StageRoom
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.apart.wire import Kind
from sut.video.flow.play import Play, Stages
from sut.video.flow.reader import Pacing
from sut.video.flow.settings import PlaySettings
from sut.video.track.presets import open_tracker
from tests.sut.video.made import RATE, Keeping, classify, detect, plans, write_pipeline
from tests.sut.video.readers import far
from tests.sut.video.readers.ran import run, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sut.video.flow.apart.wire import Opens
    from sut.video.flow.records import StreamRecord
    from sut.video.flow.seen import Seen

STREAMS, FRAMES = 3, 20


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    path = write_pipeline(tmp_path_factory.mktemp("readers"))
    with Stages(plans(path), warm_up_s=0.01) as opened:
        yield opened


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("interval", "tracker"), [(0, "none"), (2, "max_perf")])
def test_boxes_identities_and_crops_are_those_of_threads(
    processes: ReaderProcesses, stages: Stages, count: int, interval: int, tracker: str
) -> None:
    settings = PlaySettings(interval=interval)
    shares = [range(STREAMS)[k::count] for k in range(count)]

    apart = run(
        processes,
        stages,
        [partial(far.walks, FRAMES, *share) for share in shares],
        settings,
        tracker,
    )
    near = run(None, stages, [partial(far.walks, FRAMES, *range(STREAMS))], settings, tracker)

    for stream in range(STREAMS):
        assert [shown(s) for s in apart.seen[stream]] == [shown(s) for s in near.seen[stream]]
        assert len(apart.seen[stream]) == FRAMES
    for ours, theirs in zip(apart.records, near.records, strict=True):
        for name in ("decoded", "taken", "inferred", "delivered", "dropped", "passes", "problem"):
            assert getattr(ours, name) == getattr(theirs, name), name


def test_the_parts_add_up_and_the_hand_over_is_one(
    processes: ReaderProcesses, stages: Stages
) -> None:
    ran = run(processes, stages, [partial(far.walks, FRAMES, 0), partial(far.walks, FRAMES, 1)])

    table = frames_of(ran.played)
    assert len(table.rows) == 2 * FRAMES
    assert unaccounted_ms(table) < 1.0
    assert (table.parts_ns >= 0).all()
    assert ran.found["parts_ms"]["hand-over"]["mean"] > 0


def test_a_live_pace_drops_what_finds_no_room_and_counts_it(
    processes: ReaderProcesses, slow: Stages
) -> None:
    settings = PlaySettings(Pacing("live", 200.0, depth=2))

    ran = run(processes, slow, [partial(far.walks, 40, 0)], settings)

    (record,) = ran.records
    assert record.decoded == 40
    assert record.dropped_full > 0
    assert record.delivered + record.dropped == 40
    numbers = [seen.frame.number for seen in ran.seen[0]]
    assert numbers == sorted(set(numbers))


def test_a_free_pace_waits_for_room_and_a_camera_does_not(
    processes: ReaderProcesses, slow: Stages
) -> None:
    settings = PlaySettings(Pacing(depth=1))
    opens: list[Opens] = [partial(far.walks, 8, 0), partial(far.camera, 20)]

    ran = run(processes, slow, opens, settings)

    waits, camera = ran.records
    assert (waits.delivered, waits.dropped) == (8, 0)
    assert camera.dropped_full > 0
    assert camera.delivered + camera.dropped == 20


def test_a_clip_that_is_played_again_counts_on(processes: ReaderProcesses, stages: Stages) -> None:
    settings = PlaySettings(Pacing(loop=True), duration_s=0.3)

    ran = run(processes, stages, [partial(far.walks, 2, 0)], settings)

    (record,) = ran.records
    assert record.passes >= 2
    assert [seen.frame.number for seen in ran.seen[0]] == list(range(record.delivered))


def test_a_stream_that_breaks_or_stalls_is_named_and_the_next_play_is_whole(
    processes: ReaderProcesses, stages: Stages
) -> None:
    opens = [partial(far.breaks_and_stalls, 30)]

    ran = run(processes, stages, opens, PlaySettings(stall_s=0.1))
    after = run(processes, stages, [partial(far.walks, 5, 0)])

    assert [record.delivered for record in ran.records] == [3, 2, 30]
    assert [record.problem for record in ran.records] == [
        "made: frame 3: damaged.",
        "made: it stalls: no frame for 0.1 s. See its sender, or raise --stall-s.",
        None,
    ]
    assert ran.records[0].notes == ["made: 2 packets are damaged"]
    assert after.records[0].delivered == 5


@pytest.mark.parametrize(
    ("how", "words", "seconds"),
    [
        (signal.SIGKILL, "ended with signal SIGKILL", 0.4),
        (signal.SIGSTOP, "stands still (signal SIGSTOP) and was killed", 0.8),
    ],
)
def test_a_lost_process_ends_its_streams_by_name_and_the_others_go_on(
    processes: ReaderProcesses, stages: Stages, how: signal.Signals, words: str, seconds: float
) -> None:
    settings = PlaySettings(Pacing("live", 50.0, depth=30, loop=True), duration_s=seconds)
    opens = [partial(far.walks, FRAMES, 0, 1), partial(far.walks, FRAMES, 2)]
    processes.open(opens)
    pid = processes.call(1, far.count_of, 0)[0][1]
    hit: list[int] = []

    def look(records: Sequence[StreamRecord]) -> None:
        if not hit and min(record.delivered for record in records) > 2:
            os.kill(pid, how)
            hit.append(pid)

    ran = run(processes, stages, opens, settings, look=look)
    processes.open(opens)

    lost = f"made: the process that reads streams 0, 2 (pid {pid}) {words}"
    assert [record.problem for record in ran.records] == [lost, None, lost]
    assert ran.records[0].delivered == ran.records[0].taken < ran.records[1].delivered
    assert processes.call(2, far.count_of, 0)[1][1] != pid


def test_a_play_whose_only_process_is_lost_ends(processes: ReaderProcesses, stages: Stages) -> None:
    settings = PlaySettings(Pacing(loop=True), duration_s=30)
    hit: list[int] = []

    def look(records: Sequence[StreamRecord]) -> None:
        if records[0].delivered > 2 and not hit:
            os.kill(pid, signal.SIGKILL)
            hit.append(pid)

    processes.open([partial(far.walks, 3, 0)])
    pid = processes.call(1, far.count_of, 0)[0][1]
    ran = run(processes, stages, [partial(far.walks, 3, 0)], settings, look=look)

    assert ran.records[0].problem is not None
    assert f"stream 0 (pid {pid}) ended with signal SIGKILL" in ran.records[0].problem


def test_what_makes_no_input_ends_the_play_with_the_name_of_the_steps(
    processes: ReaderProcesses, stages: Stages
) -> None:
    with pytest.raises(ConfigError, match="preprocess makes"):
        run(processes, stages, [far.odd])


def test_a_frame_larger_than_its_clip_promised_ends_the_stream_with_what_to_do(
    processes: ReaderProcesses, stages: Stages
) -> None:
    ran = run(processes, stages, [far.growing])

    assert ran.records[0].problem is not None
    assert "Play it with --readers 0" in ran.records[0].problem


def test_an_engine_that_fails_ends_the_play_and_the_processes_stay(
    processes: ReaderProcesses, stages: Stages, tmp_path: Path
) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    plan = plans(path, "null", fail_at_batch=100, delay_us=1000)
    settings = PlaySettings(Pacing(loop=True), duration_s=30)
    pids = [processes.open([partial(far.walks, 9, 0)]) and processes.call(1, far.count_of, 0)]

    with (
        Stages(plan, warm_up_s=0.01) as failing,
        pytest.raises(WorkerError, match="stage find: device cpu"),
    ):
        run(processes, failing, [partial(far.walks, 60, 0)], settings)

    pids.append(processes.open([partial(far.walks, 9, 0)]) and processes.call(1, far.count_of, 0))
    assert pids[0] == pids[1]


def test_an_address_that_does_not_open_is_a_stream_unless_none_does(
    processes: ReaderProcesses, stages: Stages
) -> None:
    ran = run(processes, stages, [partial(far.nobody_there, 1)])

    assert ran.records[0].problem == "rtsp://u:***@cam/1: no answer."
    assert ran.records[1].delivered == 4
    with pytest.raises(ConfigError, match="no answer"):
        processes.open([partial(far.nobody_there, 0)] * 2)


def test_a_word_of_a_stream_that_is_over_does_no_harm(processes: ReaderProcesses) -> None:
    processes.open([partial(far.walks, 3, 0)])
    before = processes.call(1, far.count_of, 0)[0][1]

    link = processes._links[0]
    link.say_room(7)
    link.send(Kind.STOP, 7)

    processes.open([partial(far.walks, 3, 0)])
    assert processes.call(1, far.count_of, 0)[0][1] == before


def test_what_opening_raises_is_raised_here(processes: ReaderProcesses) -> None:
    with pytest.raises(WorkerError, match="KeyError: 'made'"):
        processes.open([far.fails])


def test_what_cannot_be_found_there_is_said_here(processes: ReaderProcesses) -> None:
    with pytest.raises(WorkerError, match="LookupError: made: not here"):
        processes.open([far.OnlyHere()])


def test_pixels_lie_in_shared_memory_where_a_sink_looks_at_them(
    processes: ReaderProcesses, stages: Stages
) -> None:
    class Looking(Keeping):
        sees_pixels = True

        def frame(self, seen: Seen) -> None:
            colours.append(seen.frame.image[1, 0].argmax())
            super().frame(seen)

    colours: list[int] = []
    sources = processes.open([partial(far.walks, 6, 2)])
    streams = [(source, open_tracker("none", RATE)) for source in sources]
    Play(stages, PlaySettings(interval=1), streams, Looking(), processes).run()

    assert colours == [2] * 6


def test_crops_of_frames_without_inference_have_pixels_where_a_stage_wants_them(
    processes: ReaderProcesses, tmp_path: Path
) -> None:
    crops = {"of": "find", "min_side": 2, "frames": "all"}
    path = write_pipeline(tmp_path, [detect(), classify(crops=crops)])
    with Stages(plans(path), warm_up_s=0.01) as stages:
        settings = PlaySettings(interval=1)
        ran = run(processes, stages, [partial(far.walks, 12, 1)], settings, "max_perf")

    told = [seen.found["tell"].boxes.label.tolist() for seen in ran.seen[0][3:]]
    assert told == [[1]] * 9


def test_processes_end_by_themselves_when_nobody_is_there_any_more() -> None:
    with ReaderProcesses(1) as started:
        started.open([partial(far.walks, 3, 0)])
        ((_, pid),) = started.call(1, far.count_of, 0)
        (link,) = started._links

    assert link._process.returncode == 0, "it was not killed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_play_takes_the_processes_time_and_memory_into_account(
    processes: ReaderProcesses, stages: Stages
) -> None:
    settings = PlaySettings(Pacing(loop=True), duration_s=0.4)
    ran = run(processes, stages, [partial(far.walks, 9, 0)], settings)

    assert ran.played.readers_bytes > 10_000_000
    assert ran.found["readers_interpreter_share"] is not None
    assert 0 <= ran.found["readers_interpreter_share"] <= 1
    assert 0 < ran.found["readers_cpu_cores"] < ran.found["cpu_cores"]


def test_a_process_that_does_not_move_is_given_up_and_says_so() -> None:
    heard: list[str] = []

    class Hearing:
        lost = heard.append

    with ReaderProcesses(1) as started:
        (link,) = started._links
        memory = link.memory(Layout((StageRoom(1, (((3,), "float32"),)),), 1, (0,)))
        link.streams = cast("Any", [Hearing()])
        now_ns = memory.beat_ns

        link.look(now_ns + 9_000_000_000, memory, stall_s=10.0)
        moved = link.lost.is_set()
        link.look(now_ns + 11_000_000_000, memory, stall_s=10.0)

        assert link.lost.wait(10)
    assert not moved
    assert heard == [f"(pid {link.pid}) has not moved for 10 s and was killed"]
