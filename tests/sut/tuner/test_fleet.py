"""The fewest devices that hold a load: against brute force, which asks the queue model directly."""

from __future__ import annotations

import pytest

from backends.simulated.curve import Curve, formula
from sut.serve.service_times import Point
from sut.tuner.fleet import Planner
from sut.tuner.job import Bound
from sut.tuner.kinds import Kind
from sut.tuner.model import Effort
from tests.benchmarks.plan import brute_force

MS = 1e6
BOUND = Bound("p99", 15 * MS, 0.99)
T4, SLOW = formula(0.31, 0.1782), formula(2.0, 1.2)
BRIEF = Effort(2_000, (1,), 1e-3)


def kind_of(curve: Curve) -> Kind:
    sizes = (1, 2, 4, 8, 16, 32, 64, 128)
    points = {size: Point(curve.service_ns(size), 0.0, 0.0) for size in sizes}
    return Kind("made", points, "made", simulated=True)


@pytest.mark.parametrize(("qps", "devices"), [(1_300.0, 3)])
def test_the_count_is_that_of_brute_force(qps: float, devices: int) -> None:
    fleet = Planner(qps, BOUND, 0.95, BRIEF).smallest(kind_of(SLOW))
    found = brute_force(SLOW, qps, BOUND, (3, 4, 5), 5, BRIEF.samples)

    assert fleet is not None
    assert fleet.devices == found == devices
    assert fleet.percentile_ns <= BOUND.limit_ns
    assert 0.3 < fleet.busy <= 1


def test_more_than_full_batches_can_do_is_never_held() -> None:
    fleet = Planner(100_000.0, BOUND, 0.95, BRIEF).fleet(kind_of(T4), 17)

    assert fleet is None  # 17 x 5,612/s


def test_a_bound_below_the_time_of_one_sample_has_no_answer() -> None:
    assert Planner(10.0, Bound("p99", 0.4 * MS, 0.99), 0.95, BRIEF).smallest(kind_of(T4)) is None


def test_a_bound_that_the_way_there_and_back_uses_up_has_no_answer() -> None:
    tight = Bound("p99", 0.6 * MS, 0.99)

    assert Planner(400.0, tight, 0.95, BRIEF).smallest(kind_of(T4)) is None


def test_the_power_is_that_of_the_busy_share() -> None:
    kind = Kind("made", {}, "made", simulated=True, power_w=(10.0, 70.0))

    assert kind.watts(0.5) == pytest.approx(40.0)
    assert Kind("made", {}, "made", simulated=True).watts(0.5) is None
