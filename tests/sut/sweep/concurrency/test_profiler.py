"""The second phase of a point: what it adds, and what it must not change."""

from __future__ import annotations

import pytest

from sut.base.errors import SutError
from sut.sweep.concurrency.figures import Ran
from sut.sweep.concurrency.profiler import second_phase
from tests.sut.sweep.concurrency.times import MS, lane

WINDOW = (100 * MS, 1_100 * MS)


def test_the_second_phase_tells_its_intrusion_and_changes_no_figure() -> None:
    slowed = Ran(4, WINDOW, [lane(20, 1_200)], [])

    found, doubts = second_phase(400.0, lambda: slowed)

    assert found == {
        "profiled_samples_per_s": pytest.approx(200), "intrusion": pytest.approx(0.5),
    }  # fmt: skip
    assert doubts == []


def test_a_second_phase_that_fails_costs_no_figure_of_the_first() -> None:
    def fails() -> Ran:
        raise SutError("process 1 of 2: hung: device 0: no answer.")

    found, doubts = second_phase(400.0, fails)

    assert found == {}
    assert doubts == ["under the profiler: process 1 of 2: hung: device 0: no answer."]


def test_a_profiler_too_slow_for_two_batches_says_so() -> None:
    found, (doubt,) = second_phase(400.0, lambda: Ran(4, WINDOW, [lane(900, 1_200)], []))

    assert found == {}
    assert "less than two batches" in doubt
