"""What the multiprocessors do: NVML's GPM and DCGM, on answers written by hand."""

from __future__ import annotations

import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from sut.telemetry.dcgm import Dcgm, parsed
from sut.telemetry.figures import figures
from sut.telemetry.gpm import METRICS, SOURCE, SPAN, Gpm
from sut.telemetry.nvml import Nvml, NvmlMeter
from tests.sut.helpers.waiting import wait_until
from tests.sut.telemetry.fake_nvml import NOT_SUPPORTED, FakeNvml
from tests.sut.telemetry.readings import WINDOW, reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SM, OCCUPANCY, TENSOR, DRAM = METRICS


class Hopper(FakeNvml):
    """A GPU with GPM whose counters grow by 2 % of the time for metric 2, and so on."""

    def __init__(self, missing: int | None = None, counters: Sequence[int] = ()) -> None:
        super().__init__()
        self.missing, self.counters = missing, counters
        self.alive = 0
        self.samples = 0

    def nvmlGpmQueryDeviceSupport(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(isSupportedDevice=1)

    def nvmlGpmSampleAlloc(self) -> SimpleNamespace:
        self.alive += 1
        return SimpleNamespace(number=None)

    def nvmlGpmSampleGet(self, handle: int, sample: SimpleNamespace) -> SimpleNamespace:
        self.samples += 1
        sample.number = self.samples
        sample.counter = self.counters[self.samples] if self.counters else self.samples
        return sample

    def c_nvmlGpmMetricsGet_t(self) -> SimpleNamespace:
        return SimpleNamespace(metrics=[SimpleNamespace(nvmlReturn=0) for _ in range(98)])

    def nvmlGpmMetricsGet(self, asked: SimpleNamespace) -> SimpleNamespace:
        assert asked.version == 1
        for metric in asked.metrics[: asked.numMetrics]:
            calls = asked.sample2.number - asked.sample1.number
            moved = asked.sample2.counter - asked.sample1.counter
            metric.value = metric.metricId * moved / calls
            if metric.metricId == self.missing:
                metric.nvmlReturn = NOT_SUPPORTED
        return asked


def test_gpm_gives_the_averages_between_two_readings_in_percent() -> None:
    gpu = NvmlMeter(Nvml(Hopper()), 0, "0")

    first, second = gpu.sample(), gpu.sample()

    assert gpu.facts().profiling == SOURCE
    assert first.sm_percent is None
    assert (second.sm_percent, second.sm_occupancy_percent) == (2.0, 3.0)
    assert (second.tensor_percent, second.dram_percent) == (5.0, 10.0)


def test_gpm_uses_the_same_samples_for_ever() -> None:
    library = Hopper()
    gpm = Gpm(Nvml(library), 0)

    found = [gpm.read() for _ in range(9)]

    assert [one.get("sm_percent") for one in found] == [None, *[2.0] * 8]
    assert library.alive == SPAN + 1


def test_counters_that_are_renewed_as_often_as_they_are_read() -> None:
    # Between two calls they stand still once and move twice once, as an H200's did.
    gpm = Gpm(Nvml(Hopper(counters=(0, 1, 2, 3, 4, 4, 6, 7, 8, 9))), 0)

    found = [gpm.read().get("dram_percent") for _ in range(9)]

    assert found[0] is None
    assert all(value is not None and 5 <= value <= 15 for value in found[1:])


def test_counters_that_stand_still_are_no_reading() -> None:
    gpm = Gpm(Nvml(Hopper(counters=(0, *[1] * 9))), 0)

    assert [gpm.read() for _ in range(6)] == [{}] * 6


def test_a_metric_that_the_gpu_does_not_report_is_absent_and_not_zero() -> None:
    gpm = Gpm(Nvml(Hopper(missing=TENSOR)), 0)
    gpm.read()

    assert set(gpm.read()) == {METRICS[SM], METRICS[OCCUPANCY], METRICS[DRAM]}


def test_a_gpu_without_gpm_says_what_it_lacks_and_reads_nothing() -> None:
    gpm = Gpm(Nvml(FakeNvml(nvmlGpmQueryDeviceSupport=SimpleNamespace(isSupportedDevice=0))), 0)

    assert gpm.source is None
    assert "Hopper" in gpm.why_not
    assert gpm.read() == {}


def test_a_gpu_without_gpm_and_dcgm_says_so_in_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    gpu = NvmlMeter(Nvml(FakeNvml()), 0, "0")

    assert gpu.facts().profiling is None
    assert "dcgmi is not installed" in gpu.facts().no_profiling
    assert gpu.sample().tensor_percent is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("#Entity   SMACT   SMOCC   TENSO   DRAMA", None),
        ("ID", None),
        ("", None),
        (
            "GPU 0     0.250   0.125   0.500   1.000",
            {"sm_percent": 25, "sm_occupancy_percent": 12.5, "tensor_percent": 50,
             "dram_percent": 100},
        ),
        ("GPU 12    0.250   N/A     N/A     N/A", {"sm_percent": 25}),
        ("GPU 0     N/A     N/A     N/A     N/A", {}),
    ],
)  # fmt: skip
def test_a_line_of_dcgmi_is_read(line: str, found: dict[str, float] | None) -> None:
    assert parsed(line) == found


def test_dcgmi_is_started_at_the_first_read_and_old_values_are_forgotten(tmp_path: Path) -> None:
    program = tmp_path / "dcgmi"
    program.write_text('#!/bin/sh\necho "$@" > "$0.asked"\necho "GPU 3 0.5 0.25 0.125 0.75"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    now_s = [10.0]
    dcgm = Dcgm(3, str(program), lambda: now_s[0])

    wait_until(lambda: dcgm.read() != {}, "a line of dcgmi")

    assert dcgm.read()["tensor_percent"] == 12.5
    assert (tmp_path / "dcgmi.asked").read_text().split() == [
        "dmon", "-i", "3", "-d", "100", "-e", "1002,1003,1004,1005",
    ]  # fmt: skip
    now_s[0] += 5
    assert dcgm.read() == {}


def test_figures_span_what_was_reported_alone() -> None:
    readings = [reading(11, tensor_percent=20.0), reading(12), reading(13, tensor_percent=40.0)]

    found = figures(readings, WINDOW)

    assert found.tensor_percent is not None
    assert (found.tensor_percent.min, found.tensor_percent.mean) == (20.0, 30.0)
    assert found.dram_percent is None
