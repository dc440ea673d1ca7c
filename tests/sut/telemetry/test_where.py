"""Which devices are asked in a run, and what the doctor and the console say of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import SutError
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.record.device_telemetry import DeviceTelemetry, Sampling
from sut.report import words
from sut.run.figures import has_telemetry
from sut.submission import system
from sut.telemetry import rapl
from sut.telemetry.meter import Clock, Facts, Link, Power
from sut.telemetry.nvml import all_facts
from sut.telemetry.recorder import drawn, of_real_devices
from sut.verbs.doctor import crowd, gpus, power, tools

if TYPE_CHECKING:
    from backends.base import OptionValue
    from sut.config.plan import Plan

OUT = Path("/run/telemetry.part")
T4 = Facts(
    "0",
    "nvml",
    "Tesla T4",
    driver="535.1",
    compute_capability="7.5",
    memory_bytes=15 << 30,
    sm_clock=Clock(300, 1590, 585),
    power_limit_w=70.0,
    temperature_c=40,
    throttle=0x1,
    ecc=True,
    link=Link(1, 3, 16, 16),
    numa_nodes=(1,),
)


def test_gpus_are_asked_through_nvml() -> None:
    found = of_real_devices("torch", ("0", "1", "0"), OUT)

    assert found is not None
    assert (found.source, found.devices) == ("nvml", ("0", "1"))
    assert found.out == "/run/telemetry.part"


def test_a_run_without_a_gpu_asks_the_cpu_where_that_can_be_read() -> None:
    found = of_real_devices("onnxruntime", ("cpu",), OUT)

    assert (found is not None and found.source == "rapl") == bool(rapl.meters())


def test_a_backend_that_computes_nothing_is_not_asked() -> None:
    assert of_real_devices("null", ("0",), OUT) is None
    assert of_real_devices("simulated", ("0",), OUT) is None


def test_a_simulated_device_draws_what_its_engines_say_for_all_its_workers() -> None:
    facts = [{"power_w": 70, "idle_w": 10}] * 2 + [{"power_w": 40.5, "idle_w": 10.0}] * 2

    found = drawn(facts, ("0", "0", "1", "1"))

    assert found == (Power("0", (0, 1), 10.0, 70.0), Power("1", (2, 3), 10.0, 40.5))


def test_devices_that_say_nothing_of_power_are_left_out() -> None:
    silent: dict[str, object] = {"backend": "simulated"}

    assert drawn([silent, {"power_w": 70.0}], ("0", "1")) == (Power("1", (1,), 0.0, 70.0),)
    assert drawn([silent], ("0",)) == ()


@pytest.mark.parametrize(
    ("options", "has_power"),
    [({"power_w": 70.0}, True), ({"power_w@1": 70.0}, True), ({}, False)],
)
def test_a_plan_knows_before_it_runs_whether_it_will_have_telemetry(
    options: dict[str, OptionValue], has_power: bool
) -> None:
    assert has_telemetry(simulated({"base_ms": 1.0, **options})) is has_power


def test_wrong_power_is_refused_before_anything_runs() -> None:
    with pytest.raises(SutError, match="power_w"):
        has_telemetry(simulated({"base_ms": 1.0, "power_w": "much"}))


def simulated(options: dict[str, OptionValue]) -> Plan:
    """Return a run of two simulated devices."""
    return resolve(
        Arguments(
            "resnet50",
            "Offline",
            backend="simulated",
            devices=("0", "1"),
            backend_options=options,
        )
    )


def test_the_doctor_says_what_a_gpu_is_in_one_line() -> None:
    (finding,) = gpus([T4], "")

    line = str(finding)
    assert line.startswith("ok     GPU 0: Tesla T4, ")
    assert "\n" not in line
    for fact in (
        "7.5",
        "15.0 GiB",
        "535.1",
        "70 W",
        "40 C",
        "1590 MHz",
        "3.0 x16",
        "ECC on",
        "cores for fp16 int8",
    ):
        assert fact in line


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ecc": False}, "ECC is off"),
        ({"link": Link(1, 3, 8, 16)}, "8 of 16 lanes"),
        ({"throttle": 0x40}, "HwThermalSlowdown"),
    ],
)
def test_the_doctor_notes_what_a_measurement_would_suffer_from(
    change: dict[str, object], text: str
) -> None:
    fact, note = gpus([replace(T4, **change)], "")  # type: ignore[arg-type]  # by name

    assert (fact.state, note.state) == ("ok", "note")
    assert text in note.what
    assert note.remedy


def test_the_doctor_says_in_one_line_why_there_are_no_facts() -> None:
    (note,) = gpus([], "the package nvidia-ml-py is not installed")

    assert note.state == "note"
    assert "nvidia-ml-py" in note.what


def test_a_machine_has_facts_or_a_reason_for_none() -> None:
    facts, why_none = all_facts()

    assert bool(facts) != bool(why_none)
    assert system.describe()["accelerators_per_node"] in {str(len(facts)), ""}


def test_the_console_is_silent_where_nothing_measured_power() -> None:
    assert words.power_line(None) is None
    assert words.power_line(telemetry(energy_per_sample_j=None)) is None


def test_the_console_names_power_energy_and_who_measured_them() -> None:
    line = words.power_line(telemetry(energy_per_sample_j=0.02718))

    assert line is not None
    for figure in ("1,670.0 W", "1,718.4 W", "0.02718 J", "0.02438 J", "NVML"):
        assert figure in line


def telemetry(energy_per_sample_j: float | None) -> DeviceTelemetry:
    """Return what GPUs told of a run."""
    return DeviceTelemetry(
        source="nvml",
        energy_j=None,
        energy_per_sample_j=energy_per_sample_j,
        energy_per_sample_above_idle_j=0.02438,
        average_power_w=1670.0,
        peak_power_w=1718.44,
        idle_power_w=None,
        devices={},
        sampling=Sampling(0.1, None, None, None),
    )


def test_the_doctor_warns_of_more_workers_than_half_of_the_usable_cores() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        (note,), none = crowd(2), crowd(1)
    finally:
        os.sched_setaffinity(0, allowed)

    assert note.state == "note"
    assert "2 workers on 1 usable core" in note.what
    assert "taskset" in note.remedy
    assert none == []


def test_the_doctor_names_the_source_of_the_power_or_why_there_is_none() -> None:
    (first, *others) = power([])

    assert first.what.startswith("power from") == (first.state == "ok")
    assert all(other.what.startswith("power also from") for other in others)


def test_the_doctor_says_which_of_nvidias_programs_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nsys").write_text("")
    (tmp_path / "nsys").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    nsys, mps = tools()

    assert (nsys.state, mps.state) == ("ok", "note")
    assert "no sut concurrency --share mps" in mps.what
