"""Streams of one stage that nobody here sees are served where they are read."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sut.base.errors import ConfigError, WorkerError
from sut.video.figures import frames_of, unaccounted_ms
from sut.video.flow.apart.far_stream import FarStream, Served
from sut.video.flow.apart.memory import Layout, Memory
from sut.video.flow.apart.readers import ReaderProcesses
from sut.video.flow.apart.serving import Serving
from sut.video.flow.apart.wire import Kind, Pixels, Played, stream_of
from sut.video.flow.play import Play, Stages
from sut.video.flow.reader import Pacing
from sut.video.flow.records import StreamRecord
from sut.video.flow.seen import NullSink
from sut.video.flow.settings import PlaySettings
from sut.video.flow.taking import FirstInput
from sut.video.track.presets import open_tracker
from tests.sut.video.made import RATE, Keeping, classify, detect, plans, write_pipeline
from tests.sut.video.readers import far
from tests.sut.video.readers.ran import run, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sut.video.flow.apart.far import FarSource
    from sut.video.flow.apart.readers import ReaderProcesses
    from sut.video.flow.apart.wire import Answered, Opens

STREAMS, FRAMES = 3, 20


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    path = write_pipeline(tmp_path_factory.mktemp("served"), [detect()])
    with Stages(plans(path), warm_up_s=0.01) as opened:
        yield opened


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """A detector, and a classifier of its boxes."""
    crops = {"of": "find", "min_side": 2, "frames": "all"}
    path = write_pipeline(tmp_path_factory.mktemp("both"), [detect(), classify(crops=crops)])
    with Stages(plans(path), warm_up_s=0.01) as opened:
        yield opened


@pytest.mark.parametrize(("interval", "preset"), [(0, "none"), (2, "max_perf")])
def test_boxes_and_identities_are_those_of_threads(
    processes: ReaderProcesses, stages: Stages, tmp_path: Path, interval: int, preset: str
) -> None:
    settings = PlaySettings(interval=interval)

    def tracker(where: str, stream: int) -> far.Writes:
        return far.Writes(tmp_path / f"{where}{stream}", preset)

    shares = [partial(far.walks, FRAMES, 0, 2), partial(far.walks, FRAMES, 1)]
    apart = run(processes, stages, shares, settings, partial(tracker, "apart"), keeps=False)
    every = [partial(far.walks, FRAMES, *range(STREAMS))]
    near = run(None, stages, every, settings, partial(tracker, "near"), keeps=False)

    for stream in range(STREAMS):
        written = (tmp_path / f"apart{stream}").read_text().splitlines()
        assert written == (tmp_path / f"near{stream}").read_text().splitlines()
        assert len(written) == FRAMES
    for ours, theirs in zip(apart.records, near.records, strict=True):
        for name in (
            "decoded", "taken", "inferred", "delivered", "dropped", "passes", "problem", "boxes",
        ):  # fmt: skip
            assert getattr(ours, name) == getattr(theirs, name), name
        assert [row[0] for row in ours.rows] == list(range(FRAMES))


def test_crops_are_asked_for_and_counted_as_by_threads(
    processes: ReaderProcesses, both: Stages
) -> None:
    shares = [partial(far.walks, FRAMES, 0, 2), partial(far.walks, FRAMES, 1)]
    apart = run(processes, both, shares, tracker="max_perf", keeps=False)
    every = [partial(far.walks, FRAMES, *range(STREAMS))]
    near = run(None, both, every, tracker="max_perf")

    for name in ("crops", "crops_left_out", "boxes", "delivered"):
        assert apart.found[name] == near.found[name], name
    assert apart.found["crops"] == {"tell": STREAMS * FRAMES}
    assert apart.found["stages"]["tell"]["samples"] == STREAMS * FRAMES
    assert apart.found["parts_ms"]["tell infer"]["mean"] > 0
    assert unaccounted_ms(frames_of(apart.played)) < 1.0


class Wire:
    """What lies between a process that serves streams and the one with the engines, in one."""

    def __init__(self) -> None:
        self.lost = threading.Event()
        self.fars: list[FarStream] = []
        self.serving: Serving

    def hear(self, message: bytes) -> None:
        kind, body = message[4], memoryview(message)[5:]
        if kind == Kind.FRAME:
            self.fars[stream_of(body)].framed(body)
        else:
            told = pickle.loads(body)
            self.fars[told.stream].told(told)

    def say_answered(self, answered: Answered) -> None:
        self.serving.answered(answered)


@pytest.mark.parametrize("interval", [0, 2])
def test_later_stages_find_in_crops_what_they_find_by_threads(both: Stages, interval: int) -> None:
    every = [partial(far.walks, FRAMES, *range(STREAMS))]
    near = run(None, both, every, PlaySettings(interval=interval), "max_perf")
    sources = far.walks(FRAMES, *range(STREAMS))
    served = Served(both.all, [open_tracker("max_perf", RATE) for _ in sources])
    layout = Layout(served.rooms, 4, (0,) * STREAMS)
    file = os.memfd_create("test")
    os.ftruncate(file, layout.size)
    memory, wire, sink = Memory(file, layout), Wire(), Keeping()
    os.close(file)
    first = FirstInput(both.all[0].plan.benchmark, interval, "steps")
    serves = served.of(range(STREAMS), 1)
    played = Played(layout, tuple(range(STREAMS)), Pacing(), first, Pixels.NONE, serves)
    records = [StreamRecord(k, source.facts) for k, source in enumerate(sources)]
    streams = list(zip(sources, records, strict=True))

    wire.serving = Serving(played, serves, memory, streams, wire.hear, print, sink)
    for k, source in enumerate(sources):
        there = cast("FarSource", SimpleNamespace(link=wire, place=k, facts=source.facts))
        record = StreamRecord(k, source.facts)
        wire.fars.append(FarStream(there, memory, record, str, both.all, print))
    for reader in wire.serving.readers:
        reader.start(time.monotonic_ns())
    assert all(one.done.wait(20) for one in wire.fars)
    wire.serving.close()

    for stream in range(STREAMS):
        assert [shown(s) for s in sink.seen[stream]] == [shown(s) for s in near.seen[stream]]
        assert wire.fars[stream].record.crops == near.records[stream].crops
        assert wire.fars[stream].record.crops["tell"] >= FRAMES - 2


def test_the_parts_add_up(processes: ReaderProcesses, stages: Stages) -> None:
    opens = [partial(far.walks, FRAMES, 0), partial(far.walks, FRAMES, 1)]
    ran = run(processes, stages, opens, keeps=False)

    table = frames_of(ran.played)
    assert len(table.rows) == 2 * FRAMES
    assert unaccounted_ms(table) < 1.0
    assert (table.parts_ns >= 0).all()
    assert ran.found["parts_ms"]["find infer"]["mean"] > 0
    assert ran.played.host_threads == 2


def test_a_live_pace_drops_what_finds_no_room_and_drains_at_the_end(
    processes: ReaderProcesses, slow: Stages
) -> None:
    settings = PlaySettings(Pacing("live", 200.0, depth=2, loop=True), duration_s=0.5)

    ran = run(processes, slow, [partial(far.walks, 40, 0)], settings, keeps=False)

    (record,) = ran.records
    assert record.dropped_full > 0
    assert record.delivered + record.dropped == record.decoded
    assert record.delivered == len(record.rows) == record.boxes == record.taken
    assert record.problem is None


def test_a_stream_that_breaks_or_stalls_is_named_and_the_next_play_is_whole(
    processes: ReaderProcesses, stages: Stages
) -> None:
    opens = [partial(far.breaks_and_stalls, 30)]

    ran = run(processes, stages, opens, PlaySettings(stall_s=0.1), keeps=False)
    after = run(processes, stages, [partial(far.walks, 5, 0)], keeps=False)

    assert [record.delivered for record in ran.records] == [3, 2, 30]
    assert [record.problem for record in ran.records] == [
        "made: frame 3: damaged.",
        "made: it stalls: no frame for 0.1 s. See its sender, or raise --stall-s.",
        None,
    ]
    assert ran.records[0].notes == ["made: 2 packets are damaged"]
    assert after.records[0].delivered == 5


def test_of_a_lost_process_what_came_through_stays_and_the_others_go_on(
    processes: ReaderProcesses, stages: Stages
) -> None:
    settings = PlaySettings(Pacing("live", 50.0, depth=30, loop=True), duration_s=0.9)
    opens: list[Opens] = [partial(far.walks, FRAMES, 0, 1), partial(far.walks, FRAMES, 2)]
    processes.open(opens)
    pid = processes.call(1, far.count_of, 0)[0][1]
    hit: list[int] = []

    def look(records: Sequence[StreamRecord]) -> None:
        if not hit and min(record.delivered for record in records) > 2:
            os.kill(pid, signal.SIGKILL)
            hit.append(pid)

    ran = run(processes, stages, opens, settings, look=look, keeps=False)

    lost = f"made: the process that reads streams 0, 2 (pid {pid}) ended with signal SIGKILL"
    assert [record.problem for record in ran.records] == [lost, None, lost]
    assert 2 < ran.records[0].delivered == len(ran.records[0].rows) < ran.records[1].delivered


@pytest.mark.parametrize(
    ("opens", "tracker", "error", "words"),
    [
        (far.odd, None, ConfigError, "preprocess makes"),
        (partial(far.walks, 9, 0), 4, WorkerError, "ValueError: made: no more"),
    ],
)
def test_what_is_raised_there_ends_the_play_here(  # noqa: PLR0913
    processes: ReaderProcesses,
    stages: Stages,
    tmp_path: Path,
    opens: Opens,
    tracker: int | None,
    error: type[Exception],
    words: str,
) -> None:
    def fails(stream: int) -> far.Writes:
        return far.Writes(tmp_path / str(stream), "none", -1 if tracker is None else tracker)

    with pytest.raises(error, match=words):
        run(processes, stages, [opens], tracker=fails, keeps=False)


def test_an_engine_that_fails_ends_the_play(processes: ReaderProcesses, tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [detect(pretend={"boxes": 1})])
    plan = plans(path, "null", fail_at_batch=60, delay_us=1000)
    settings = PlaySettings(Pacing(loop=True), duration_s=30)

    with (
        Stages(plan, warm_up_s=0.01) as failing,
        pytest.raises(WorkerError, match="stage find: device cpu"),
    ):
        run(processes, failing, [partial(far.walks, 60, 0)], settings, keeps=False)


@pytest.mark.parametrize("stays", ["sink", "tracker", "nothing"])
def test_what_does_not_travel_is_served_here(
    processes: ReaderProcesses, stages: Stages, tmp_path: Path, stays: str
) -> None:
    make: Callable[..., far.Writes] = far.StaysHere if stays == "tracker" else far.Writes
    (source,) = processes.open([partial(far.walks, 5, 0)])
    sink = Keeping() if stays == "sink" else NullSink()

    play = Play(stages, PlaySettings(), [(source, make(tmp_path / "0", "none"))], sink, processes)
    apart = isinstance(play._streams[0], FarStream)

    assert play.run().records[0].delivered == 5
    assert apart == (stays == "nothing")


def test_a_tracker_that_is_not_found_there_is_said_and_the_next_play_is_whole(
    processes: ReaderProcesses, stages: Stages, tmp_path: Path
) -> None:
    opens = [partial(far.walks, 5, 0), partial(far.walks, 5, 1)]

    with pytest.raises(WorkerError, match="LookupError: made: not here"):
        run(
            processes,
            stages,
            opens,
            tracker=lambda _: far.StaysBehind(tmp_path / "0", "none"),
            keeps=False,
        )
    after = run(processes, stages, opens, keeps=False)

    assert [record.delivered for record in after.records] == [5, 5]


def test_a_tracker_of_a_package_travels() -> None:
    pytest.importorskip("trackers")
    import pickle

    for preset in ("perf", "accuracy"):
        assert pickle.loads(pickle.dumps(open_tracker(preset, RATE))).describe()
