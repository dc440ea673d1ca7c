"""What a trace shows of service times and hops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.simulated.curve import formula
from sut.record.trace import BATCH_FIELDS
from sut.record.trace_facts import Measured, trace_facts

if TYPE_CHECKING:
    from numpy.typing import NDArray

US = 1_000
CURVE = formula(1.0, 0.5)


def trace(
    count: int, service_ns: list[int], gap_ns: int, hops: tuple[int, int]
) -> dict[str, NDArray[np.int64]]:
    """Batches of two, one after the other on one worker, `gap_ns` apart."""
    batches = {name: np.zeros(count, np.int64) for name in BATCH_FIELDS}
    now = 0
    for k in range(count):
        batches["samples"][k] = 2
        batches["closed_ns"][k] = now
        batches["started_ns"][k] = now + hops[0]
        batches["finished_ns"][k] = now + hops[0] + service_ns[k % len(service_ns)]
        batches["completed_ns"][k] = batches["finished_ns"][k] + hops[1]
        now = int(batches["finished_ns"][k]) + gap_ns
    return batches


def test_hops_and_service_times_are_read_from_the_trace() -> None:
    made = trace_facts(trace(200, [2_200_000], 50 * US, (120 * US, 300 * US)), [Measured(CURVE)])

    assert made is not None
    assert made.service_ratio == pytest.approx(1.1)  # S(2) is 2 ms
    assert made.hop_in_ns == pytest.approx(120 * US)
    assert made.hop_out_ns == pytest.approx(300 * US)
    assert set(made.service_factors) == {1.0}


def test_the_wire_to_a_node_is_no_part_of_the_hops() -> None:
    batches = trace(200, [2_000_000], 50 * US, (520 * US, 730 * US))
    there = Measured(CURVE, (), 0.0, 400 * US, 420 * US, 5 * US)

    made = trace_facts(batches, [there])

    assert made is not None
    assert made.hop_in_ns == pytest.approx(120 * US)
    assert made.hop_out_ns == pytest.approx(300 * US)


def test_outliers_show_in_the_factors() -> None:
    times = [2_000_000] * 99 + [10_000_000]

    made = trace_facts(trace(2_000, times, 0, (0, 1)), [Measured(CURVE)])

    assert made is not None
    assert made.service_factors[-1] == pytest.approx(10 / 2.08, rel=0.01)
    assert made.service_factors[-4] == pytest.approx(2 / 2.08, rel=0.01)


def test_a_device_that_never_waits_hides_the_way_to_it() -> None:
    batches = trace(100, [2_000_000], 0, (0, 1))
    batches["closed_ns"] = batches["closed_ns"] - 1_000_000

    made = trace_facts(batches, [Measured(CURVE)])

    assert made is not None
    assert made.hop_in_ns is None


def test_a_trace_that_is_too_short_shows_nothing() -> None:
    assert trace_facts(trace(5, [2_000_000], 0, (0, 1)), [Measured(CURVE)]) is None


def test_a_padded_batch_is_no_slow_one() -> None:
    """S(8) is 5 ms, and the engine runs nothing between 1 and 8."""
    ladder = Measured(CURVE, (1, 8))

    made = trace_facts(trace(200, [5_000_000], 0, (0, 1)), [ladder])

    assert made is not None
    assert made.service_ratio == pytest.approx(1.0)


def test_the_copies_of_the_samples_are_no_part_of_the_hop() -> None:
    copied = Measured(CURVE, copy_in_ns=30 * US)

    made = trace_facts(trace(200, [2_000_000], 50 * US, (120 * US, 1)), [copied])

    assert made is not None
    assert made.hop_in_ns == pytest.approx(60 * US)  # of 120 us, two samples took 60
