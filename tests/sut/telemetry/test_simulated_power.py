"""The power of a simulated device: idle, busy, and batches longer than a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sut.record.trace import TraceWriter
from sut.telemetry.meter import Power
from sut.telemetry.simulated import SimulatedMeter

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000
POWER = Power("1", (1, 2), idle_w=10.0, power_w=70.0)


class Clock:
    """A clock that is set by hand, in ns."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Device:
    """A meter, its clock, and the trace that it reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Clock()
        self._writer: TraceWriter | None = None
        self._batches = 0
        self.meter = SimulatedMeter(POWER, path, self._clock)

    def batch(self, worker: int, started_s: float, finished_s: float) -> None:
        self._writer = self._writer or TraceWriter(self._path)
        ends_ns = int(started_s * S), int(finished_s * S), int(finished_s * S)
        self._writer.batch(self._batches, self._batches, 1, worker, 0, 0, 0, *ends_ns)
        self._batches += 1

    def watts_at(self, seconds: float) -> float | None:
        self._clock.now_ns = int(seconds * S)
        return self.meter.sample().power_w


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "batches.trace")


def test_a_device_idles_until_the_test_begins(device: Device) -> None:
    assert device.watts_at(1.0) == 10.0


def test_power_is_that_of_the_share_of_time_with_a_batch(device: Device) -> None:
    device.batch(1, 0.0, 0.5)

    assert device.watts_at(1.0) == pytest.approx(40.0)
    assert device.watts_at(2.0) == pytest.approx(10.0)


def test_a_batch_longer_than_a_sample_is_spread_over_the_next_ones(device: Device) -> None:
    assert device.watts_at(1.0) == 10.0

    device.batch(2, 0.0, 1.5)

    assert device.watts_at(2.0) == pytest.approx(70.0)
    assert device.watts_at(3.0) == pytest.approx(40.0)


def test_batches_of_other_devices_do_not_count(device: Device) -> None:
    device.batch(0, 0.0, 1.0)

    assert device.watts_at(1.0) == 10.0


def test_the_energy_is_that_of_the_power(device: Device) -> None:
    device.batch(1, 0.0, 0.5)
    device.watts_at(1.0)

    assert device.watts_at(3.0) == 10.0
    assert device.meter.sample().energy_j == pytest.approx(40.0 + 2 * 10.0)
