"""Queries at a fixed interval: the latency of each, and their percentile."""

from __future__ import annotations

import math

from sut.load.interval import Latencies, percentile_ns


def test_the_percentile_counts_missing_answers_as_never() -> None:
    assert percentile_ns([3, 1, 2], 1.0) == 3
    assert percentile_ns([3, 1, 2, 4], 0.5) == 3
    assert percentile_ns([1, -1], 1.0) == math.inf


def test_a_query_is_answered_with_its_last_sample() -> None:
    latencies = Latencies(streams=2, queries=2)

    latencies.complete([1, 3, 4], None)

    first, second = latencies.since([0, 0])
    assert first == -1
    assert second > 0
    assert not latencies.all_done.is_set()
    latencies.complete([2], None)
    assert latencies.all_done.is_set()
    assert min(latencies.since([0, 0])) > 0
