"""What a chart needs of a trace: latencies by rank, what waited, and rates over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sut.record.trace import EMPTY
from sut.report.from_trace import batch_sizes, distribution, latencies_ns, rates, waiting
from tests.sut.report.made import MS, trace


def test_latencies_are_those_of_each_sample_in_order() -> None:
    found = latencies_ns(trace(300))

    assert found.tolist() == [3 * MS] * 150 + [4 * MS] * 150


def test_a_distribution_has_few_points_and_ends_at_the_highest() -> None:
    values = np.sort(np.random.default_rng(1).exponential(1e6, 100_000)).astype(np.int64)

    points = distribution(values)

    assert len(points) < 150
    assert points == sorted(points)
    shares = {round(share, 9): ms for ms, share in points}
    assert shares[0.99] == pytest.approx(values[99_000] / 1e6)
    assert points[-1] == pytest.approx((values[-1] / 1e6, 1 - 1e-5))


def test_the_most_that_waited_counts_what_waited_before() -> None:
    late = trace(8)
    late.batches["closed_ns"][:] = late.batches["completed_ns"].max() - MS

    found = waiting(late)

    assert {most for _, most in waiting(trace(300))} == {2.0}
    assert found[0][1] == 1.0, "the first arrival"
    assert max(most for _, most in found) == found[-1][1] == 8.0


def test_a_trace_with_gaps_shows_no_queue_and_no_rate() -> None:
    part = replace(trace(300), one_in=2, counted=(300, 600))

    assert waiting(part) == rates(part) == []
    assert {size for _, size in batch_sizes(part)} == {2.0}


def test_rates_add_up_to_the_samples() -> None:
    found = rates(trace(300))

    width_s = 2 * found[0][0]
    assert sum(rate * width_s for _, rate in found) == pytest.approx(300)


def test_an_empty_trace_has_no_points() -> None:
    for draw in (waiting, batch_sizes, rates):
        assert draw(EMPTY) == []
    assert distribution(latencies_ns(EMPTY)) == []
