"""Equal parts of a run: rates by time, latencies by order of arrival."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sut.record.trace import BATCH_FIELDS, Trace
from sut.record.windows import PARTS, rates, rates_of, times_of


def trace(batches: int = 800, size: int = 4) -> Trace:
    """A query a ms; batches of `size`, each done 5 ms after its last query; later twice as late."""
    arrivals = 10**9 + 10**6 * np.arange(batches * size, dtype=np.int64)
    last = arrivals[size - 1 :: size]
    late = np.where(np.arange(batches) < batches // 2, 5, 10) * 10**6
    columns = dict.fromkeys(BATCH_FIELDS, np.zeros(batches, np.int64)) | {
        "first_sample": size * np.arange(batches),
        "samples": np.full(batches, size),
        "oldest_ns": arrivals[::size],
        "completed_ns": last + late,
    }
    return Trace(columns, {"arrival_ns": arrivals, "samples": np.ones(len(arrivals), np.int64)})


def test_a_steady_run_has_equal_rates_though_batches_end_within_the_parts() -> None:
    ends = np.arange(1, 101) * 7e6

    assert rates(ends.astype(np.float64), np.full(100, 7), 0.0) == pytest.approx([1000] * PARTS)


def test_rates_add_up_to_the_samples_whatever_order_batches_end_in() -> None:
    made = trace()
    backwards = {name: values[::-1] for name, values in made.batches.items()}
    found = rates_of(made)

    seconds = (made.batches["completed_ns"].max() - made.queries["arrival_ns"].min()) / 1e9
    assert sum(found) / PARTS * seconds == pytest.approx(3200)
    assert rates_of(replace(made, batches=backwards)) == found


def test_latencies_are_split_in_order_of_arrival() -> None:
    made = trace()
    shuffled = np.random.default_rng(0).permutation(len(made.batches["samples"]))
    mixed = replace(made, batches={n: values[shuffled] for n, values in made.batches.items()})

    means = [part.mean() for part in times_of(mixed)]

    assert means == pytest.approx([6.5e6] * 8 + [11.5e6] * 8)


@pytest.mark.parametrize(
    ("part", "means"),
    [("queue", [1.5e6] * 16), ("compute", [4e6] * 8 + [9e6] * 8), ("completion", [1e6] * 16)],
)
def test_each_part_of_a_latency_has_windows_too(part: str, means: list[float]) -> None:
    made = trace()
    done = made.batches["completed_ns"]
    last = made.queries["arrival_ns"][3::4]
    parts = {"closed_ns": last, "started_ns": last, "finished_ns": done - 10**6}

    found = times_of(replace(made, batches={**made.batches, **parts}), part)

    assert [times.mean() for times in found] == pytest.approx(means)


def test_queries_that_are_missing_count_from_the_oldest_sample_of_their_batch() -> None:
    made = trace()
    kept = {name: values[:1600] for name, values in made.queries.items()}
    thinned = replace(made, queries=kept, first_samples=np.arange(1600))

    whole, found = ([times.mean() for times in times_of(one, "compute")] for one in (made, thinned))

    assert found == whole
    assert [t.mean() for t in times_of(thinned)][8:] == pytest.approx([13e6] * 8)


def test_a_short_run_or_one_with_gaps_has_no_parts() -> None:
    short, gaps = trace(batches=40), replace(trace(), counted=(900, 3600))

    for made in (short, gaps):
        assert rates_of(made) == ()
        assert times_of(made) == []
