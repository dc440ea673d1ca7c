"""A full trace keeps evenly spread blocks, and counts what it does not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.record import stalls, summary
from sut.record.thinning import BATCH_BYTES, DEFAULT_ROOMS, QUERY_BYTES, Room, Rooms
from sut.record.trace import BATCH_FIELDS, TraceWriter
from sut.record.trace_reader import TraceReader
from sut.run.live import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.trace import Trace

ROOMS = Rooms(Room(8, 4), Room(8, 16))  # 32 batches and 128 queries
STEP_NS = 1_000


def latency_ns(number: int) -> int:
    """Return a latency that grows over the run, so that a part of it is no fair sample."""
    return 100 + number


def sizes(count: int) -> list[int]:
    return [int(size) for size in np.random.default_rng(count).integers(1, 6, count)]


def fill(path: Path, batches: int, *, order: int = 1) -> TraceWriter:
    """Write batches of 1 to 5 samples, each sample a query, completed in groups backwards."""
    writer, rows, first = TraceWriter(path, ROOMS), [], 0
    for size in sizes(batches):
        arrivals = [1 + (first + k) * STEP_NS for k in range(size)]
        closed = arrivals[-1]
        ends = closed + latency_ns(first)
        rows.append((first, size, 0, 0, arrivals[0], closed, closed, ends, ends))
        for arrival in arrivals:
            writer.query(arrival, 1)
        first += size
    for start in range(0, batches, order):
        for number in reversed(range(start, min(start + order, batches))):
            writer.batch(number, *rows[number])
    writer.count(batches, first)
    return writer


def read(path: Path) -> Trace:
    return TraceReader(path).read()


@pytest.mark.parametrize("block", range(300))
def test_n9_every_kept_block_has_a_place_of_its_own(block: int) -> None:
    room = Room(8, 4)
    one_in = room.one_in(block)
    kept = [b for b in range(block + 1) if b % one_in == 0]

    places = {room.slot(b) for b in kept}

    assert len(places) == len(kept) <= 8
    assert all(0 <= place < 8 for place in places)
    assert len(kept) > 4 or block < 5


def test_n9_a_trace_that_is_not_full_has_all(tmp_path: Path) -> None:
    fill(tmp_path / "t", 32)

    trace = read(tmp_path / "t")

    assert (trace.one_in, trace.is_whole, trace.total_batches) == (1, True, 32)
    assert trace.batches["samples"].tolist() == sizes(32)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("batches", [33, 40, 63, 64, 65, 127, 1_000, 4_096, 5_000])
def test_n9_totals_are_of_all_batches(tmp_path: Path, batches: int, order: int) -> None:
    fill(tmp_path / "t", batches, order=order)
    samples = sum(sizes(batches))
    last_ns = 1 + (samples - 1) * STEP_NS + latency_ns(samples - sizes(batches)[-1])

    trace = read(tmp_path / "t")
    counted = summary.batches(trace)

    assert (trace.total_batches, trace.total_samples) == (batches, samples)
    assert counted.count == batches
    assert counted.mean_size == pytest.approx(samples / batches)
    if order == 1:
        assert summary.duration_s(trace) == pytest.approx((last_ns - 1) / 1e9)


@pytest.mark.parametrize("batches", [33, 64, 65, 1_000, 5_000])
def test_n9_what_is_kept_is_true_and_evenly_spread(tmp_path: Path, batches: int) -> None:
    fill(tmp_path / "t", batches, order=2)
    all_sizes = np.array(sizes(batches))
    firsts = np.cumsum(all_sizes) - all_sizes

    trace = read(tmp_path / "t")

    numbers = np.searchsorted(firsts, trace.batches["first_sample"])
    assert trace.batches["first_sample"].tolist() == firsts[numbers].tolist()
    assert trace.batches["samples"].tolist() == all_sizes[numbers].tolist()
    blocks = sorted(set((numbers // 4).tolist()))
    assert blocks == list(range(0, (batches - 1) // 4 + 1, trace.one_in))


@pytest.mark.parametrize("batches", [64, 333, 1_000, 5_000])
def test_n9_arrivals_are_those_of_the_samples_where_they_are_known(
    tmp_path: Path, batches: int
) -> None:
    fill(tmp_path / "t", batches)
    trace = read(tmp_path / "t")

    arrivals, known = trace.sample_arrivals_ns()

    numbers = np.concatenate(
        [
            np.arange(first, first + size)
            for first, size in zip(
                trace.batches["first_sample"], trace.batches["samples"], strict=True
            )
        ]
    )
    assert known.any()
    assert (arrivals[known] == 1 + numbers[known] * STEP_NS).all()


def test_n9_the_share_of_kept_batches_is_that_of_the_time_a_worker_was_busy(
    tmp_path: Path,
) -> None:
    fill(tmp_path / "t", 5_000)
    all_sizes = np.array(sizes(5_000))
    firsts = np.cumsum(all_sizes) - all_sizes
    busy_ns = int((100 + firsts).sum())
    trace = read(tmp_path / "t")

    found = summary.busy_fractions(trace, ["a"])["a"]

    assert found == pytest.approx(busy_ns / 1e9 / summary.duration_s(trace), rel=0.25)


def test_n9_the_live_line_goes_on(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t", ROOMS)
    progress = Progress(TraceReader(tmp_path / "t"))
    seen = []
    for number in range(3_000):
        writer.batch(
            number, number * 2, 2, 0, 0, *[1_000 * (number + 1)] * 4, 1_000 * number + 1_500
        )
        if number % 100 == 99:
            progress.update()
            seen.append(progress.samples)

    assert seen == sorted(seen)
    assert len(set(seen)) > 10
    # A kept block of 4 batches comes once in 512 at the end.
    assert 6_000 - seen[-1] <= 2 * 516
    assert progress.rate == pytest.approx(2e6, rel=0.1)


def test_n9_a_reader_that_was_away_catches_up(tmp_path: Path) -> None:
    fill(tmp_path / "t", 5_000)
    reader = TraceReader(tmp_path / "t")

    found = reader.new_batches()

    assert (np.diff(found[:, 0]) > 0).all()
    assert found[-1, 0] > sum(sizes(5_000)) * 0.8
    assert len(reader.new_batches()) == 0


def test_n9_a_thinned_trace_is_a_finding_with_its_numbers(tmp_path: Path) -> None:
    fill(tmp_path / "t", 5_000)
    trace = read(tmp_path / "t")

    text = summary.finding(summary.recorded(trace), trace)

    assert text is not None
    assert f"{len(trace.batches['samples'])} of 5,000 batches" in text
    assert "--trace-mb" in text


def test_n9_pauses_across_a_gap_are_no_stalls(tmp_path: Path) -> None:
    fill(tmp_path / "t", 5_000)
    trace = read(tmp_path / "t")
    queries = int(trace.queries["samples"].sum())

    found = stalls.find(trace.queries["arrival_ns"], queries, trace.follows())

    assert found is not None
    assert (found.count, found.longest_ns) == (0, 0) or found.longest_ns == STEP_NS


def test_n9_the_bound_holds_by_default_and_by_option() -> None:
    for most in (50_000_000, 200_000_000, 1_000_000_000):
        rooms = Rooms.of_bytes(most)
        size = rooms.batches.records * BATCH_BYTES + rooms.queries.records * QUERY_BYTES
        assert most / 2 < size <= most
    assert Rooms.of_bytes(200_000_000) == DEFAULT_ROOMS
    assert Rooms.of_bytes(None).batches.records > 100_000_000


def test_n9_the_file_takes_no_more_than_its_bound(tmp_path: Path) -> None:
    fill(tmp_path / "t", 5_000)

    assert (tmp_path / "t").stat().st_size < 32 * BATCH_BYTES + 128 * QUERY_BYTES + 3 * 4_096
    assert len(BATCH_FIELDS) * 8 + 8 == BATCH_BYTES
