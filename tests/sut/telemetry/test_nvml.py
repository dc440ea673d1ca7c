"""GPUs through NVML: what is asked and how it is read, on answers written by hand."""

from __future__ import annotations

import pytest

from sut.telemetry.meter import Clock, Link
from sut.telemetry.nvml import Nvml, NvmlError, NvmlMeter, meters, visible_meters
from tests.sut.telemetry.fake_nvml import MIB, NOT_SUPPORTED, FakeNvml, field


def meter(**changes: object) -> NvmlMeter:
    return NvmlMeter(Nvml(FakeNvml(**changes)), 0, "0")


def test_facts_are_read_with_their_units() -> None:
    facts = meter().facts()

    assert (facts.name, facts.uuid, facts.pci) == ("Tesla T4", "GPU-0", "0000:3b:00.0")
    assert (facts.compute_capability, facts.memory_bytes) == ("7.5", 15360 * MIB)
    assert (facts.power_limit_w, facts.temperature_c, facts.slowdown_c) == (70.0, 61, 93)
    assert facts.sm_clock == Clock(585, 1590, 585)
    assert facts.memory_clock == Clock(5000, 5001, 5001)
    assert facts.link == Link(3, 3, 8, 16)
    assert (facts.ecc, facts.driver) == (True, "535.1")


def test_the_nearest_cores_and_memory_are_read_from_sets_of_bits() -> None:
    facts = meter().facts()

    assert facts.numa_nodes == (1,)
    assert facts.cpus == "0,12-15,64"


def test_a_reading_has_power_in_watts_and_energy_in_joules() -> None:
    reading = meter().sample()

    assert (reading.power_w, reading.energy_j) == (69.5, 123_456.0)
    assert (reading.sm_clock_mhz, reading.memory_clock_mhz) == (585, 5000)
    assert (reading.utilisation_percent, reading.memory_used_bytes) == (98, 900 * MIB)
    assert (reading.throttle, reading.link_generation, reading.link_width) == (0x4, 3, 8)
    assert reading.took_ns > 0


def test_power_of_this_moment_goes_before_the_average_over_a_second() -> None:
    assert meter(nvmlDeviceGetFieldValues=[field(1, 301_000)]).sample().power_w == 301.0
    assert meter(nvmlDeviceGetFieldValues=[field(3, 302_000)]).sample().power_w == 302.0


def test_a_gpu_that_cannot_tell_the_power_of_this_moment_tells_the_average() -> None:
    values = [field(1, 0, NOT_SUPPORTED)]

    assert meter(nvmlDeviceGetFieldValues=values).sample().power_w == 69.5


def test_the_energy_is_asked_once_a_second_because_that_is_slow() -> None:
    at_s = iter([10.0, 10.001, 10.1, 10.101, 10.9, 10.901, 11.0, 11.001])
    gpu = NvmlMeter(Nvml(FakeNvml()), 0, "0", lambda: round(next(at_s) * 1e9))

    readings = [gpu.sample() for _ in range(4)]

    assert [r.energy_j for r in readings] == [123_456.0, None, None, 123_456.0]
    assert [r.power_w for r in readings] == [69.5] * 4
    assert {r.took_ns for r in readings} == {1_000_000}


def test_the_newer_name_of_the_throttle_reasons_goes_before_the_older() -> None:
    assert meter(nvmlDeviceGetCurrentClocksEventReasons=0x20).sample().throttle == 0x20


def test_what_a_gpu_does_not_tell_is_none_and_no_error() -> None:
    silent = meter(**dict.fromkeys(FakeNvml().answers))

    facts, reading = silent.facts(), silent.sample()

    assert (facts.name, facts.ecc, facts.memory_bytes, facts.cpus) == (
        "unknown GPU", None, None, None,
    )  # fmt: skip
    assert (reading.power_w, reading.energy_j, reading.throttle) == (None, None, None)
    assert silent.processes() == ()


def test_a_package_without_a_function_is_as_a_driver_without_it() -> None:
    class OldPackage:
        NVMLError = FakeNvml.NVMLError

    assert NvmlMeter(Nvml(OldPackage()), 0, "0").sample().power_w is None


def test_processes_on_a_gpu_have_names_and_memory() -> None:
    (process,) = meter().processes()

    assert (process.pid, process.memory_bytes) == (1, 300 * MIB)
    assert process.name  # that of this machine's first process


@pytest.mark.parametrize(
    ("devices", "visible", "uuids"),
    [
        (("0", "1"), None, ["GPU-0", "GPU-1"]),
        (("1",), None, ["GPU-1"]),
        (("0",), "1,0", ["GPU-1"]),
        (("0",), "GPU-1", ["GPU-1"]),
        (("0", "1"), "1, 0", ["GPU-1", "GPU-0"]),
    ],
)
def test_devices_are_those_that_cuda_sees(
    devices: tuple[str, ...], visible: str | None, uuids: list[str]
) -> None:
    found = meters(Nvml(FakeNvml()), devices, visible)

    assert [meter.facts().uuid for meter in found] == uuids
    assert [meter.device for meter in found] == list(devices)


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ["GPU-0", "GPU-1"]),
        ("1,0", ["GPU-1", "GPU-0"]),
        ("GPU-1", ["GPU-1"]),
        ("1,-1,0", ["GPU-1"]),
        ("", []),
    ],
)
def test_cuda_sees_the_named_gpus_up_to_the_first_that_does_not_exist(
    visible: str | None, uuids: list[str]
) -> None:
    found = visible_meters(Nvml(FakeNvml()), visible)

    assert [meter.facts().uuid for meter in found] == uuids
    assert [meter.device for meter in found] == [str(k) for k in range(len(uuids))]


@pytest.mark.parametrize(
    ("device", "visible"), [("2", None), ("1", "0"), ("0", ""), ("0", "GPU-9")]
)
def test_a_gpu_that_does_not_exist_is_named(device: str, visible: str | None) -> None:
    with pytest.raises(NvmlError, match=r"it sees 2"):
        meters(Nvml(FakeNvml()), [device], visible)
