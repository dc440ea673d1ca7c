"""Power, energy, clocks and throttling of a test, from readings written by hand."""

from __future__ import annotations

import pytest

from sut.record.device_telemetry import Span
from sut.telemetry.figures import figures, held_back, total
from tests.sut.telemetry.readings import WINDOW, S, reading


def test_energy_is_the_counter_s_with_the_power_of_both_ends() -> None:
    counter_j = {9: 1000.0, 11: 1090.0, 15: 1300.0, 18: 1470.0, 21: 1600.0}

    found = figures(
        [reading(at, power_w=50.0, energy_j=joules) for at, joules in counter_j.items()], WINDOW
    )

    assert found.energy_j == pytest.approx(50 * 1 + (1470 - 1090) + 50 * 2)
    assert found.energy_from == "counter"
    assert found.average_power_w == pytest.approx(53.0)


def test_a_counter_that_is_read_now_and_then_is_enough() -> None:
    watts = [reading(10 + k / 10, power_w=50.0) for k in range(-1, 102)]
    counts = [reading(at, power_w=50.0, energy_j=60.0 * at) for at in (12.05, 17.05)]

    found = figures(sorted([*watts, *counts], key=lambda r: r.at_ns), WINDOW)

    assert found.energy_j == pytest.approx(50 * 5 + 60 * 5)


def test_without_a_counter_energy_is_the_integral_of_power() -> None:
    found = figures([reading(at, power_w=10.0 * at) for at in (5, 15, 25)], WINDOW)

    assert found.energy_j == pytest.approx(10 * 150.0)
    assert found.energy_from == "power"


def test_a_counter_that_stands_still_is_none() -> None:
    found = figures([reading(at, power_w=30.0, energy_j=7.0) for at in (5, 15, 25)], WINDOW)

    assert found.energy_j == pytest.approx(300.0)
    assert found.energy_from == "power"


def test_readings_that_do_not_span_the_test_give_no_energy() -> None:
    found = figures([reading(at, power_w=30.0, energy_j=30.0 * at) for at in (5, 15)], WINDOW)

    assert (found.energy_j, found.average_power_w) == (None, None)
    assert found.peak_power_w == 30.0


def test_the_peak_is_of_the_test_and_the_idle_power_of_before() -> None:
    watts = {2: 25.0, 8: 900.0, 12: 70.0, 18: 60.0, 22: 800.0}

    found = figures([reading(at, power_w=w) for at, w in watts.items()], WINDOW)

    assert (found.readings, found.peak_power_w, found.idle_power_w) == (2, 70.0, 25.0)


def test_clocks_and_temperatures_span_the_readings_of_the_test() -> None:
    clocks = {5: 300, 11: 1590, 15: 585, 19: 1500, 25: 300}

    found = figures(
        [reading(at, sm_clock_mhz=mhz, temperature_c=60) for at, mhz in clocks.items()], WINDOW
    )

    assert found.sm_clock_mhz == Span(585, 1225, 1590)
    assert found.temperature_c == Span(60, 60, 60)
    assert found.memory_clock_mhz is None


def test_throttling_is_a_share_of_the_test_by_reason_without_idleness() -> None:
    bits = {5: 0x4, 11: 0x1, 12: 0x4, 13: 0x24, 14: 0x2, 25: 0x4}

    found = figures([reading(at, throttle=b) for at, b in bits.items()], WINDOW)

    assert found.throttled == {"SwPowerCap": 0.5, "SwThermalSlowdown": 0.25}
    assert found.throttled_share == 0.5


def test_a_device_that_names_no_reasons_is_not_called_free_of_them() -> None:
    assert figures([reading(15)], WINDOW).throttled is None


def test_when_a_device_was_held_back_is_known_by_reason() -> None:
    found = held_back([reading(1, throttle=0x1), reading(2), reading(3, throttle=0x5)])

    assert found.at_ns.tolist() == [1 * S, 3 * S]
    assert {name: said.tolist() for name, said in found.by.items()} == {"SwPowerCap": [False, True]}


def test_the_best_link_of_the_test_counts_because_it_idles_narrow() -> None:
    widths = {5: 16, 11: 1, 15: 8}

    found = figures(
        [reading(at, link_width=w, link_generation=3) for at, w in widths.items()], WINDOW
    )

    assert (found.link_width, found.link_generation) == (8, 3)


def test_devices_add_up_to_the_energy_of_a_sample() -> None:
    one = [reading(at, power_w=w) for at, w in ((5, 20.0), (10, 100.0), (20, 100.0))]
    other = [reading(at, power_w=w) for at, w in ((5, 30.0), (10, 200.0), (20, 200.0))]
    readings = {"0": one, "1": other}
    devices = {name: figures(r, WINDOW) for name, r in readings.items()}

    found = total(devices, readings, WINDOW, samples=1000)

    assert found["energy_j"] == pytest.approx(3000.0)
    assert found["average_power_w"] == pytest.approx(300.0)
    assert found["peak_power_w"] == pytest.approx(300.0)
    assert found["energy_per_sample_j"] == pytest.approx(3.0)
    assert found["energy_per_sample_above_idle_j"] == pytest.approx((3000 - 50 * 10) / 1000)


def test_a_device_without_energy_leaves_no_total() -> None:
    readings = {"0": [reading(at, power_w=1.0) for at in (5, 25)], "1": [reading(15)]}
    devices = {name: figures(r, WINDOW) for name, r in readings.items()}

    found = total(devices, readings, WINDOW, samples=10)

    assert (found["energy_j"], found["energy_per_sample_j"]) == (None, None)


def test_the_length_of_a_test_is_in_seconds() -> None:
    assert WINDOW.seconds == (WINDOW.end_ns - WINDOW.start_ns) / S == 10.0
