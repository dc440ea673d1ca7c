"""The latency at the percentile in parts: against a count by hand, and one cause at a time."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.base import Load
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.record.result import Tail
from sut.record.run_folder import read_result
from sut.record.tail import Around, HeldBack, find, line
from sut.record.trace import BATCH_FIELDS, Trace
from sut.run.run import run
from tests.sut.helpers import folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.int64]

US, MS = 1_000, 1_000_000
P99 = Around(percentile=0.99, latency_ns=None, slots=100)
# From IssueQuery on; together they are the latency.
PARTS = ("batch_ns", "others_ns", "transfer_ns", "compute_ns", "answer_ns")


def made(rows: Sequence[tuple[int, ...]], arrivals: list[int]) -> Trace:
    """Return a trace of batches (worker, samples, closed, started, finished, completed)."""
    batches = {name: np.zeros(len(rows), np.int64) for name in BATCH_FIELDS}
    table = np.array(rows, np.int64)
    names = ("worker", "samples", "closed_ns", "started_ns", "finished_ns", "completed_ns")
    batches |= {name: table[:, k] for k, name in enumerate(names)}
    batches["first_sample"] = np.cumsum(table[:, 1]) - table[:, 1]
    batches["oldest_ns"] = np.array(arrivals)[batches["first_sample"]]
    ones = np.ones(len(arrivals), np.int64)
    return Trace(batches, {"arrival_ns": np.array(arrivals, np.int64), "samples": ones})


def alone(count: int, last: tuple[int, ...], usual: tuple[int, ...] = (1, 1, 1, 1)) -> Trace:
    """Return samples far apart: waits for its batch, to the device, compute, answer, in ms each.

    Args:
        count: of batches of one.
        last: of the last three in a hundred.
        usual: of the others.
    """
    rows, arrivals = [], []
    for k in range(count):
        waits = np.cumsum(last if k % 100 >= 97 else usual) * MS
        arrivals.append(k * 1_000 * MS)
        rows.append((0, 1, *(int(arrivals[-1] + wait) for wait in waits)))
    return made(rows, arrivals)


def scrambled(seed: int) -> Trace:
    """Return batches of two workers, which wait, overlap and queue at random."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.integers(1, 400, 600)) * US
    rows, first, closed, free = [], 0, 0, [0, 0]
    while first < len(arrivals):
        samples = min(int(random.integers(1, 9)), len(arrivals) - first)
        worker = int(random.integers(2))
        closed = max(closed, int(arrivals[first + samples - 1])) + int(random.integers(0, 900)) * US
        started = max(closed, free[worker]) + int(random.integers(0, 300)) * US
        finished = free[worker] = started + int(random.integers(100, 2_000)) * US
        completed = finished + int(random.integers(1, 200)) * US
        rows.append((worker, samples, closed, started, finished, completed))
        first += samples
    return made(rows, arrivals.tolist())


def by_hand(
    batches: Mapping[str, Array], arrivals: list[int], slots: int, percentile: float
) -> dict[str, float]:
    """Count what `find` computes, sample by sample and event by event."""
    b = {name: values.tolist() for name, values in batches.items()}
    count = len(b["samples"])
    samples = []
    for k in range(count):
        first = b["first_sample"][k]
        samples += [
            (b["completed_ns"][k] - arrivals[n], n, k)
            for n in range(first, first + b["samples"][k])
        ]
    samples.sort()
    at = int(len(samples) * percentile)
    half = min(percentile, 1 - percentile) / 2
    around = samples[
        int(len(samples) * (percentile - half)) : int(len(samples) * (percentile + half))
    ]
    totals = dict.fromkeys(PARTS, 0.0)
    for _, n, k in around or [samples[at]]:
        closed, started = b["closed_ns"][k], b["started_ns"][k]
        events = sorted({*b["closed_ns"], *b["completed_ns"], arrivals[n], closed})
        no_slot = 0
        for begin, end in itertools.pairwise(events):
            if arrivals[n] <= begin and end <= closed:
                flying = sum(
                    b["closed_ns"][j] <= begin < b["completed_ns"][j] for j in range(count)
                )
                no_slot += (end - begin) * (flying >= slots)
        earlier = [b["finished_ns"][j] for j in range(k) if b["worker"][j] == b["worker"][k]]
        busy = max(0, min(max(earlier, default=0), started) - closed)
        totals["batch_ns"] += closed - arrivals[n] - no_slot
        totals["others_ns"] += no_slot + busy
        totals["transfer_ns"] += started - closed - busy
        totals["compute_ns"] += b["finished_ns"][k] - started
        totals["answer_ns"] += b["completed_ns"][k] - b["finished_ns"][k]
    scale = samples[at][0] / sum(totals.values())
    return {name: value * scale for name, value in totals.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("slots", "percentile"), [(1, 0.99), (3, 0.97), (4, 0.9)])
def test_the_parts_are_those_counted_by_hand(seed: int, slots: int, percentile: float) -> None:
    trace = scrambled(seed)

    tail = find(trace, replace(P99, percentile=percentile, slots=slots))

    assert tail is not None
    expected = by_hand(trace.batches, trace.queries["arrival_ns"].tolist(), slots, percentile)
    assert {name: getattr(tail, name) for name in PARTS} == pytest.approx(expected)
    assert sum(expected.values()) == pytest.approx(tail.latency_ns)
    assert tail.issue_ns == 0


@pytest.mark.parametrize(
    ("last", "part", "name"),
    [
        ((9, 1, 1, 1), "batch_ns", "9.0 waiting for the batch"),
        ((1, 9, 1, 1), "transfer_ns", "9.0 to the device"),
        ((1, 1, 9, 1), "compute_ns", "9.0 compute"),
        ((1, 1, 1, 9), "answer_ns", "9.0 back to LoadGen"),
    ],
)
def test_the_part_that_is_long_in_the_tail_comes_first(
    last: tuple[int, ...], part: str, name: str
) -> None:
    tail = find(alone(1_000, last), P99)

    assert tail is not None
    assert getattr(tail, part) == pytest.approx(9 * MS)
    assert line(tail).startswith(f"p99 is 12.0 ms: {name}, 1.0 ")


@pytest.mark.parametrize("percentile", [0.0, 0.01, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("count", [1, 20])
def test_there_are_samples_around_any_percentile(percentile: float, count: int) -> None:
    tail = find(alone(count, (1, 1, 9, 1)), replace(P99, percentile=percentile))

    assert tail is not None
    assert 1 <= tail.samples <= max(1, count / 2)
    assert sum(getattr(tail, name) for name in PARTS) == pytest.approx(tail.latency_ns) == 4 * MS


def test_a_batch_that_waits_for_an_earlier_one_is_behind_it() -> None:
    rows = [(0, 1, 0, 0, 10 * MS, 10 * MS), (0, 1, 4 * MS, 11 * MS, 18 * MS, 18 * MS)]

    tail = find(made(rows, [0, 4 * MS]), P99)

    assert tail is not None
    assert line(tail) == "p99 is 14.0 ms: 7.0 compute, 6.0 behind other batches, 1.0 to the device"


def test_waiting_without_a_free_slot_is_waiting_behind_others() -> None:
    rows = [(0, 1, 0, 0, 10 * MS, 10 * MS), (0, 1, 12 * MS, 12 * MS, 13 * MS, 13 * MS)]
    trace = made(rows, [0, 0])

    one, two = (find(trace, replace(P99, slots=slots)) for slots in (1, 2))

    assert one is not None
    assert two is not None
    assert (one.others_ns, one.batch_ns) == pytest.approx((10 * MS, 2 * MS))
    assert (two.others_ns, two.batch_ns) == pytest.approx((0, 12 * MS))


def test_what_loadgen_measured_beyond_the_trace_is_the_way_to_issuequery() -> None:
    tail = find(alone(1_000, (1, 1, 9, 1)), replace(P99, latency_ns=20.0 * MS))

    assert tail is not None
    assert (tail.latency_ns, tail.issue_ns) == pytest.approx((20 * MS, 8 * MS))
    assert "9.0 compute, 8.0 before LoadGen's thread issued it" in line(tail)


def test_parts_add_up_to_a_latency_that_is_shorter_than_the_trace_s() -> None:
    tail = find(alone(1_000, (1, 1, 9, 1)), replace(P99, latency_ns=11.0 * MS))

    assert tail is not None
    assert (tail.issue_ns, tail.compute_ns) == pytest.approx((0, 9 * MS * 11 / 12))


def test_batches_that_took_longer_than_others_of_their_size_are_named() -> None:
    tail = find(alone(1_000, (1, 1, 6, 1), usual=(1, 1, 4, 1)), P99)

    assert tail is not None
    assert tail.compute_ratio == pytest.approx(1.5)
    assert line(tail).endswith("; these batches computed 50% longer than others of their size")


def test_a_large_batch_is_not_slow_because_it_takes_longer_than_small_ones() -> None:
    rows, arrivals = [], []
    for k in range(400):
        samples = 20 if k % 20 == 0 else 1
        at = k * 100 * MS
        arrivals += [at] * samples
        rows.append((0, samples, at, at, at + samples * MS, at + samples * MS))

    tail = find(made(rows, arrivals), P99)

    assert tail is not None
    assert tail.compute_ratio == pytest.approx(1.0)


def test_a_device_that_was_held_back_in_the_tail_is_named() -> None:
    trace = alone(1_000, (1, 1, 9, 1))
    readings = np.arange(0, 1_000 * 1_000 * MS, 100 * MS)
    capped = readings // (1_000 * MS) % 100 >= 97
    held = HeldBack(readings, {"SwPowerCap": capped})

    tail = find(trace, replace(P99, held_back=[held]))
    unknown = find(trace, replace(P99, held_back=[None]))

    assert tail is not None
    assert unknown is not None
    assert tail.held_back == {"SwPowerCap": 1.0}
    assert "; SwPowerCap held the device back in 100% of these samples" in line(tail)
    assert unknown.held_back == {}
    assert "held" not in line(unknown)


def test_samples_right_after_a_stall_name_it() -> None:
    trace = alone(1_000, (1, 1, 9, 1))
    arrivals = trace.queries["arrival_ns"]
    ends = arrivals[np.arange(1_000) % 100 >= 97]

    tail = find(trace, replace(P99, stall_ends_ns=ends))
    calm = find(trace, replace(P99, stall_ends_ns=arrivals[:1]))

    assert tail is not None
    assert calm is not None
    assert tail.after_stalls == 1.0
    assert line(tail).endswith("came right after LoadGen's own thread was held up")
    assert calm.after_stalls == 0.0


def test_a_trace_without_samples_has_no_tail() -> None:
    assert find(made([(0, 1, 1, 2, 3, 4)], [0]), P99) is not None
    empty = {name: np.zeros(0, np.int64) for name in BATCH_FIELDS}
    none = {name: np.zeros(0, np.int64) for name in ("arrival_ns", "samples")}
    assert find(Trace(empty, none), P99) is None


TAIL = Tail(
    percentile=0.99,
    latency_ns=15.3 * MS,
    samples=200,
    issue_ns=0.01 * MS,
    batch_ns=6.5 * MS,
    others_ns=1.28 * MS,
    transfer_ns=1.3 * MS,
    compute_ns=6.2 * MS,
    answer_ns=0.01 * MS,
    compute_ratio=1.0,
    after_stalls=0.1,
    held_back={},
)


def test_the_line_names_the_largest_parts() -> None:
    assert line(TAIL) == (
        "p99 is 15.3 ms: 6.5 waiting for the batch, 6.2 compute, 1.3 to the device, "
        "1.3 behind other batches"
    )


def test_a_queue_that_grew_is_long_and_behind_others() -> None:
    tail = msgspec.structs.replace(TAIL, latency_ns=24_015.3 * MS, others_ns=24_001.28 * MS)

    assert line(tail) == "p99 is 24,015 ms: 24,001 behind other batches, 14 other"


@given(st.lists(st.floats(0.0, 1e11), min_size=6, max_size=6).filter(lambda ns: sum(ns) > 1.0))
def test_the_numbers_of_the_line_add_up(parts: list[float]) -> None:
    names = ("issue_ns", *PARTS)
    tail = msgspec.structs.replace(
        TAIL, latency_ns=sum(parts), **dict(zip(names, parts, strict=True))
    )

    found = re.findall(r"(?<![p\d.,])\d[\d,]*(?:\.\d+)?", line(tail))
    total, *numbers = (float(number.replace(",", "")) for number in found)

    assert sum(numbers) == pytest.approx(total)


@pytest.mark.slow
def test_the_tail_of_a_run_is_that_of_its_trace(tmp_path: Path) -> None:
    plan = resolve(
        Arguments(
            benchmark="resnet50",
            scenario="Server",
            backend="simulated",
            devices=("0",),
            backend_options={"base_ms": 3.0, "per_sample_ms": 0.1},
            slots=2,
            load=Load(target_qps=800.0, min_duration_s=0.6, min_query_count=1),
        )
    )

    result = run(plan, tmp_path / "out", "sut run", quiet=True)

    tail, trace = result.tail, folders.batches(tmp_path / "out")
    assert tail is not None
    assert result.latency_ns is not None
    assert (tail.percentile, tail.latency_ns) == (0.99, result.latency_ns.p99)
    assert tail.issue_ns + sum(getattr(tail, n) for n in PARTS) == pytest.approx(tail.latency_ns)
    arrivals = np.repeat(trace["query_arrival_ns"], trace["query_samples"]).tolist()
    expected = by_hand({n: trace[n] for n in BATCH_FIELDS}, arrivals, 2, 0.99)
    scale = (tail.latency_ns - tail.issue_ns) / sum(expected.values())
    assert {name: getattr(tail, name) for name in PARTS} == pytest.approx(
        {name: value * scale for name, value in expected.items()}
    )
    assert read_result(tmp_path / "out").tail == tail
