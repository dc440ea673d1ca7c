"""The figures of a point, from times written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sut.base.scheduling import Scheduled
from sut.sweep.concurrency.figures import Ran, busy_share, figures, jain, marks, quantiles
from tests.sut.sweep.concurrency.times import MS, blocking, lane

WINDOW = (100 * MS, 1_100 * MS)
COUNTS = Scheduled(5, 400 * MS, 800, 40, 4)


def ran(*lanes: np.typing.NDArray[np.int64], batch: int = 4, counts: int = 1) -> Ran:
    return Ran(batch, WINDOW, lanes, [COUNTS] * counts)


def test_the_total_is_the_sum_of_its_parts() -> None:
    found = figures(ran(lane(10, 1_200), lane(20, 1_200), batch=4))

    assert found["samples_per_s"] == pytest.approx(400 + 200)
    assert found["per_process_min"] == pytest.approx(200)
    assert found["per_process_max"] == pytest.approx(400)
    assert found["per_process_mean"] == pytest.approx(300)
    assert found["parts_off"] == pytest.approx(0, abs=1e-9)


def test_batches_that_the_window_cuts_count_with_their_share() -> None:
    found = figures(ran(lane(300, 1_600), batch=1))

    assert found["samples_per_s"] == pytest.approx(1 / 0.3)
    assert found["parts_off"] == pytest.approx(0, abs=1e-9)


def test_batches_that_are_completed_in_pairs_do_not_bend_the_rate() -> None:
    pairs = lane(10, 1_200)
    pairs[0::2, -1] = pairs[1::2, -1]  # two are completed at the time of the second

    for cut in (0, 1):
        found = figures(Ran(4, WINDOW, [pairs[cut:]], [COUNTS], inflight=2))
        assert found["per_process_mean"] == pytest.approx(400, rel=1e-3)


def test_a_lane_that_slows_down_has_the_same_total_as_its_part() -> None:
    fast, slow = lane(10, 600), lane(20, 1_200, start_ms=600)

    found = figures(ran(np.concatenate([fast, slow])))

    assert abs(found["parts_off"]) < 0.02


def test_a_process_that_stood_still_shows_in_the_parts() -> None:
    times = lane(10, 1_200)
    stood = times[(times[:, -1] < 400 * MS) | (times[:, -1] > 1_150 * MS)]

    found = figures(ran(stood, lane(10, 1_200)))

    assert found["parts_off"] > 0.02
    assert any("parts:" in mark for mark in marks(found, 2, 16))


@pytest.mark.parametrize(
    ("rates", "index"), [([5, 5, 5], 1.0), ([9, 0, 0], 1 / 3), ([0, 0], 0.0), ([1, 3], 0.8)]
)
def test_jains_index(rates: list[float], index: float) -> None:
    assert jain(np.array(rates, float)) == pytest.approx(index)


def test_spans_of_the_host_are_told_apart() -> None:
    found = figures(ran(lane(10, 1_200, host_ms=2)))

    assert found["launch_ns"] == found["ec_ns"] == pytest.approx(0.1 * MS)
    assert found["enqueue_ns"] == 0
    assert found["sync_ns"] == pytest.approx(9.9 * MS)
    assert found["wake_up_p99_ns"] == pytest.approx(2 * MS)
    assert found["latency_p99_ns"] == 10 * MS


def test_a_batch_that_was_done_before_anybody_waited_woke_nobody() -> None:
    times = lane(10, 1_200, host_ms=2)
    times[:, 3] = times[:, 5] + 1  # the wait begins after the device is done

    assert "wake_up_ns" not in figures(ran(times))


def test_what_a_blocking_engine_does_not_tell_is_absent() -> None:
    found = figures(ran(blocking(10, 1_200)))

    assert found["latency_p50_ns"] == 10 * MS
    assert not {"launch_ns", "sync_ns", "wake_up_ns", "ec_ns"} & found.keys()
    assert busy_share(ran(blocking(10, 1_200))) is None


def test_the_schedulers_counts_are_for_each_batch() -> None:
    found = figures(ran(lane(10, 1_200), lane(10, 1_200), counts=2))

    assert found["batches"] == 200
    assert found["run_queue_ns"] == 4 * MS
    assert (found["voluntary_switches"], found["involuntary_switches"]) == (8, 0.4)


def test_counts_that_one_process_does_not_tell_are_absent() -> None:
    found = figures(Ran(1, WINDOW, [lane(10, 1_200)], [COUNTS, Scheduled(voluntary=3)]))

    assert "voluntary_switches" in found
    assert "migrations" not in found


def test_a_process_without_two_batches_in_the_window_has_no_figures() -> None:
    assert figures(ran(lane(10, 1_200), lane(1_000, 1_200))) == {}


def test_a_simulated_device_is_busy_for_all_its_engines() -> None:
    first = lane(10, 1_200, host_ms=5.1)

    assert busy_share(ran(first)) == pytest.approx(0.48)


def test_distributions_have_the_ends_and_the_middle() -> None:
    found = quantiles(ran(lane(10, 1_200, host_ms=2)))

    assert len(found["sync_ns"]) == 101
    assert found["latency_ns"][0] == found["latency_ns"][-1] == 10 * MS


def test_more_workers_than_half_of_the_cores_mark_the_row() -> None:
    assert marks({}, 4, 8) == []
    assert "5 workers on 8 usable cores" in marks({}, 5, 8)[0]
