"""The trace as its writer, a live reader and a late reader see it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.base import Expected
from sut.base.errors import DataError
from sut.record import summary
from sut.record.result import Recorded
from sut.record.thinning import Room, Rooms
from sut.record.trace import BATCH_FIELDS, Close, Trace, TraceWriter
from sut.record.trace_reader import TraceReader, load
from sut.run.live import LiveLine, Progress, Screen, WaitingLine

if TYPE_CHECKING:
    from collections.abc import Sequence


SMALL = Rooms(Room(32, 4), Room(32, 4))


def record(first: int, samples: int, oldest_ns: int, worker: int = 0) -> tuple[int, ...]:
    times = (oldest_ns, oldest_ns + 10, oldest_ns + 30, oldest_ns + 100, oldest_ns + 101)
    return (first, samples, worker, Close.FULL.value, *times)


def write(path: Path) -> TraceWriter:
    return TraceWriter(path, SMALL)


def read(path: Path) -> TraceReader:
    return TraceReader(path)


def test_what_was_written_is_read_while_the_writer_goes_on(tmp_path: Path) -> None:
    writer = write(tmp_path / "t")
    reader = read(tmp_path / "t")
    writer.query(1_000, 4)
    writer.batch(0, *record(0, 4, 1_000))
    first = reader.new_batches().tolist()
    writer.batch(1, *record(4, 2, 2_000))

    assert first == [list(record(0, 4, 1_000))]
    assert reader.new_batches().tolist() == [list(record(4, 2, 2_000))]
    assert len(reader.new_batches()) == 0


def test_the_first_records_wait_for_no_page(tmp_path: Path) -> None:
    """LoadGen's thread would wait for the kernel: 1.7 ms in the first query."""
    writer = TraceWriter(tmp_path / "t")

    maps = Path("/proc/self/smaps").read_text("ascii").partition(str(tmp_path / "t"))[2]
    resident_kib = int(maps.partition("Rss:")[2].split()[0])
    assert resident_kib >= 2 * 64, "64 KiB of batches and of queries"
    assert len(read(tmp_path / "t").new_batches()) == 0
    writer.query(1, 1)


def test_a_batch_in_flight_is_skipped_at_the_end_and_held_back_live(tmp_path: Path) -> None:
    writer = write(tmp_path / "t")
    writer.query(1_000, 6)
    writer.batch(1, *record(4, 2, 1_000))  # batch 0 was never completed
    reader = read(tmp_path / "t")

    assert len(reader.new_batches()) == 0
    assert reader.read().batches["first_sample"].tolist() == [4]


def test_every_sample_gets_its_own_arrival(tmp_path: Path) -> None:
    writer = write(tmp_path / "t")
    writer.query(1_000, 1)
    writer.query(2_000, 3)
    writer.query(3_000, 2)
    writer.batch(0, *record(0, 2, 1_000))
    writer.batch(1, *record(2, 4, 2_000))

    arrivals, known = read(tmp_path / "t").read().sample_arrivals_ns()

    assert arrivals.tolist() == [1_000, 2_000, 2_000, 2_000, 3_000, 3_000]
    assert known.all()


def test_saved_arrays_come_back(tmp_path: Path) -> None:
    writer = write(tmp_path / "t")
    writer.query(1_000, 2)
    writer.batch(0, *record(0, 2, 1_000))
    read(tmp_path / "t").read().save(tmp_path / "batches.npz")

    with np.load(tmp_path / "batches.npz") as arrays:
        assert set(BATCH_FIELDS) < set(arrays)
        assert arrays["query_arrival_ns"].tolist() == [1_000]
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def make_trace(sizes: list[int]) -> Trace:
    firsts = np.cumsum([0, *sizes])[:-1]
    rows = [
        record(int(f), s, 1_000 * (k + 1), k % 2)
        for k, (f, s) in enumerate(zip(firsts, sizes, strict=True))
    ]
    matrix = np.array(rows, np.int64).reshape(-1, len(BATCH_FIELDS))
    batches = {name: matrix[:, k] for k, name in enumerate(BATCH_FIELDS)}
    arrivals = np.array([1_000 * (k + 1) for k in range(len(sizes))], np.int64)
    return Trace(batches, {"arrival_ns": arrivals, "samples": np.array(sizes, np.int64)})


@given(st.lists(st.integers(1, 9), max_size=30))
def test_the_parts_of_the_latency_add_up(sizes: list[int]) -> None:
    parts = summary.parts_ns(make_trace(sizes))

    assert (parts is None) == (not sizes)
    if parts is not None:
        inner = (parts.queue, parts.dispatch, parts.compute, parts.completion)
        assert abs(sum(part.mean for part in inner) - parts.total.mean) < 1e-6


def test_batches_are_counted_by_size_and_by_reason() -> None:
    counted = summary.batches(make_trace([4, 4, 2]))

    assert counted.count == 3
    assert counted.histogram == {2: 1, 4: 2}
    assert counted.closed_by == {"full": 3}
    assert abs(counted.mean_size - 10 / 3) < 1e-9


def test_the_busy_fraction_is_the_engines_time_over_the_run() -> None:
    trace = make_trace([1, 1])  # 70 ns of engine in each; 1,000 to 2,101 ns

    assert summary.busy_fractions(trace, ["a", "b"]) == {"a": 70 / 1101, "b": 70 / 1101}


def test_percentiles_follow_loadgens_index() -> None:
    sizes = [1] * 100
    trace = make_trace(sizes)
    trace.batches["completed_ns"][:] = trace.batches["oldest_ns"] + np.arange(1, 101)

    latency = summary.latency_ns(trace)

    assert latency is not None
    assert (latency.p50, latency.p99) == (51, 100)


def test_an_empty_trace_summarises_to_nothing() -> None:
    empty = make_trace([])

    assert summary.latency_ns(empty) is None
    assert summary.batches(empty).count == 0
    assert summary.duration_s(empty) == 0.0
    assert summary.busy_fractions(empty, ["a"]) == {"a": 0.0}


class Tape:
    """A text stream that keeps what was written."""

    def __init__(self, terminal: bool) -> None:
        self.text = ""
        self._terminal = terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""

    def isatty(self) -> bool:
        return self._terminal


def screen(tape: Tape, now: Sequence[float] = (0.0,)) -> Screen:
    """Return a screen whose clock shows `now[0]`."""
    return Screen(tape, lambda: now[0])  # type: ignore[arg-type]  # a stream by behaviour


def test_the_live_line_shows_rate_percentile_and_what_is_left(tmp_path: Path) -> None:
    writer = write(tmp_path / "t")
    for k in range(100):
        writer.batch(k, k, 1, 0, 0, k * 10_000_000 + 1, 0, 0, 0, k * 10_000_000 + 5_000_001)
    progress = Progress(read(tmp_path / "t"))
    line = LiveLine("Server", progress, Expected(seconds=10), screen(Tape(terminal=True)))
    line()

    text = line.text(4.0)

    assert "100 samples" in text
    assert "about 6 s left" in text
    assert 5.0e6 <= progress.percentile_ns(0.99) <= 5.0e6 * 1.045
    assert abs(progress.rate - 100 / 0.995) < 0.1


def test_without_a_terminal_lines_are_plain_and_rare(tmp_path: Path) -> None:
    write(tmp_path / "t")
    now = [0.0]
    tape = Tape(terminal=False)
    line = LiveLine("Offline", Progress(read(tmp_path / "t")), Expected(), screen(tape, now))
    for _ in range(100):
        now[0] += 0.25
        line()
    line.close()

    assert tape.text.count("\n") == 2
    assert "\r" not in tape.text


def test_a_long_wait_is_said_every_ten_seconds() -> None:
    now, tape = [0.0], Tape(terminal=False)
    line = WaitingLine("opening 2 engines", screen(tape, now))

    for now[0] in (0.0, 5.0, 10.0, 12.0, 20.0):
        line()

    assert tape.text.splitlines() == ["opening 2 engines: 10 s", "opening 2 engines: 20 s"]


def test_a_wait_says_what_is_done_at_the_moment() -> None:
    now, tape, step = [0.0], Tape(terminal=True), [""]
    line = WaitingLine("Server: opening the engine", screen(tape, now), lambda: step[0])

    for now[0], step[0] in ((1.0, ""), (14.0, "compiling 3 of 6")):
        line()
    line.close()

    assert tape.text.split("\r\x1b[K")[1:] == [
        "Server: opening the engine: 1 s",
        "Server: opening the engine: compiling 3 of 6, 14 s",
        "",
    ]


def test_many_short_waits_are_no_long_silence() -> None:
    now, tape = [0.0], Tape(terminal=False)
    shared = screen(tape, now)

    for number in range(5):
        line = WaitingLine(f"wait {number}", shared)
        for _ in range(24):
            now[0] += 0.25
            line()

    assert tape.text.splitlines() == ["wait 1: 3 s", "wait 2: 6 s", "wait 4: 3 s"]


def test_a_wait_that_has_just_begun_says_nothing() -> None:
    now, tape = [0.0], Tape(terminal=False)
    shared = screen(tape, now)
    now[0] = 11.0  # a slow start of the program
    line = WaitingLine("opening the engine", shared)

    for now[0] in (11.0, 11.4, 11.6):
        line()

    assert tape.text.splitlines() == ["opening the engine: 1 s"]


def test_a_clock_that_jumped_prints_one_line() -> None:
    now, tape = [0.0], Tape(terminal=False)
    line = WaitingLine("waiting", screen(tape, now))

    for now[0] in (100.0, 101.0, 107.0, 110.0):
        line()

    assert tape.text.splitlines() == ["waiting: 100 s", "waiting: 110 s"]


def test_saved_arrays_become_the_same_trace(tmp_path: Path) -> None:
    made = make_trace([2, 3, 1])
    made.save(tmp_path / "batches.npz")

    whole = load(tmp_path / "batches.npz")
    part = load(tmp_path / "batches.npz", Recorded(3, 3, 2, 6), (5, 9))

    assert whole.is_whole
    assert whole.batches["first_sample"].tolist() == [0, 2, 5]
    assert whole.queries["samples"].tolist() == [2, 3, 1]
    assert (part.is_whole, part.total_batches, part.total_samples) == (False, 5, 9)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    made = make_trace([2, 3, 1])
    made.batches["worker"] = made.batches["worker"][:2]
    made.save(tmp_path / "batches.npz")

    with pytest.raises(DataError, match="do not fit together"):
        load(tmp_path / "batches.npz")
