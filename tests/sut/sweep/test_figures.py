"""The figures of a point, by hand from traces of a few batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sut.base.errors import WorkerError
from sut.record.trace import Window
from sut.sweep.figures import figures, latencies_ns
from sut.sweep.marks import marks
from sut.sweep.steady import Rule
from tests.sut.sweep.traces import MS, closed


def test_a_closed_loop_keeps_littles_law_and_its_parts_add_up() -> None:
    sent = closed([2.0] * 100)

    found = figures(sent, Window(20 * MS, 200 * MS))

    assert found["samples_per_s"] == 2_000
    assert found["requests_per_s"] == 500
    assert found["little"] == 1.0
    assert found["in_flight"] == 1
    assert found["turn_overs"] == 90
    assert found["latency_mean_ns"] == found["latency_p99_ns"] == 2 * MS
    assert found["issue_ns"] == 0.1 * MS
    assert found["compute_ns"] == 1.9 * MS
    assert found["parts_error_ns"] == 0
    assert found["mean_batch"] == 4
    assert (found["requests"], found["samples"], found["duration_s"]) == (90, 360, 0.18)


def test_percentiles_are_loadgens() -> None:
    sent = closed([float(ms) for ms in range(1, 101)], batch=1)

    found = figures(sent, Window(0, sent.seen_ns))

    assert found["latency_p50_ns"] == 51 * MS
    assert found["latency_p99_ns"] == 100 * MS
    assert "latency_p99_high_ns" not in found  # too few requests beyond it


def test_a_request_is_whole_with_its_last_sample() -> None:
    whole = closed([2.0, 4.0], batch=2)
    queries = {"arrival_ns": np.array([0]), "samples": np.array([4])}
    halves = replace(
        whole,
        trace=replace(whole.trace, queries=queries),
        request_batch=4,
        scheduled_ns=np.array([0]),
    )

    found = figures(halves, Window(0, 6 * MS))

    assert found["requests"] == 1
    assert found["latency_p50_ns"] == 6 * MS


def test_a_device_that_stalls_makes_the_interval_of_p99_wide() -> None:
    generator = np.random.default_rng(0)
    even = generator.gamma(10, 0.2, 2_000)
    stalled = even.copy()
    stalled[1_000:1_040] += 20.0

    quiet, slow = (figures(closed(list(ms)), Window(0, 10**12)) for ms in (even, stalled))

    assert quiet["latency_p99_low_ns"] < quiet["latency_p99_ns"] < quiet["latency_p99_high_ns"]
    assert quiet["latency_p99_high_ns"] < 1.5 * quiet["latency_p99_ns"]
    assert slow["latency_p99_low_ns"] < 0.5 * slow["latency_p99_ns"]


def test_lateness_counts_from_when_a_request_was_due() -> None:
    sent = closed([2.0] * 100)
    late = replace(sent, scheduled_ns=sent.scheduled_ns - 3 * MS)

    found = figures(late, Window(20 * MS, 200 * MS))

    assert found["lateness_p50_ns"] == 3.1 * MS
    assert found["late_share"] == 1.0
    assert found["latency_p50_ns"] == 5 * MS
    assert any(mark.startswith("generator late: 100.0%") for mark in marks(found, None, Rule()))


def test_a_request_without_an_answer_counts_as_long_as_it_was_waited_for() -> None:
    sent = closed([2.0] * 10)
    trace = sent.trace
    cut = {name: values[:8] for name, values in trace.batches.items()}
    left = replace(sent, trace=replace(trace, batches=cut), concurrency=None, seen_ns=120 * MS)

    found = figures(left, Window(-1, 20 * MS))

    assert found["unanswered"] == 2
    assert found["latency_p99_ns"] == 104 * MS
    assert found["offered_per_s"] == pytest.approx(2_000)
    assert found["samples_per_s"] == pytest.approx(1_600)


def test_a_request_without_an_answer_has_no_latency_of_its_own() -> None:
    sent = closed([2.0] * 3)
    cut = {name: values[[0, 2]] for name, values in sent.trace.batches.items()}

    found = latencies_ns(replace(sent, trace=replace(sent.trace, batches=cut)))

    assert found.tolist() == [2 * MS, -1, 2 * MS]


def test_clocks_that_disagree_show_in_the_parts() -> None:
    sent = closed([2.0] * 10)
    batches = sent.trace.batches
    early = {**batches, "started_ns": batches["closed_ns"] - 5_000}

    found = figures(replace(sent, trace=replace(sent.trace, batches=early)), Window(0, 20 * MS))

    assert found["parts_error_ns"] == 5_000
    assert any(mark.startswith("parts:") for mark in marks(found, None, Rule()))


def test_nothing_in_the_window_is_no_figure() -> None:
    assert figures(closed([2.0]), Window(50 * MS, 60 * MS)) == {}


def test_a_trace_that_thinned_itself_is_refused() -> None:
    sent = closed([2.0] * 10)

    with pytest.raises(WorkerError, match="only a part of the batches or requests"):
        replace(sent, trace=replace(sent.trace, one_in=2))
