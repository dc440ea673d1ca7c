"""NVML on a real GPU: what must be there on every one of NVIDIA's data centre GPUs."""

from __future__ import annotations

import time

import pytest

from sut.telemetry.nvml import NvmlError, all_facts, meters, open_nvml, visible_meters

_, PROBLEM = all_facts()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)]
GIB = 1 << 30


def test_the_facts_of_every_gpu_are_there() -> None:
    facts, _ = all_facts()

    assert facts
    for gpu in facts:
        assert gpu.name.strip()
        assert str(gpu.uuid).startswith("GPU-")
        assert gpu.compute_capability is not None
        assert (gpu.memory_bytes or 0) > GIB
        assert (gpu.power_limit_w or 0) > 10
        assert (gpu.sm_clock.max_mhz or 0) > 500
        assert gpu.link.max_width in {1, 2, 4, 8, 16}
        assert 0 < (gpu.temperature_c or 0) < 110


def test_power_and_energy_agree() -> None:
    with open_nvml() as nvml:
        (gpu,) = visible_meters(nvml, None)[:1]
        first = last = gpu.sample()
        while last is first or last.energy_j is None:  # the counter is asked once a second
            time.sleep(0.05)
            last = gpu.sample()

    assert first.power_w is not None
    assert first.energy_j is not None
    assert last.energy_j is not None
    average_w = (last.energy_j - first.energy_j) / (last.at_ns - first.at_ns) * 1e9
    assert first.power_w / 2 < average_w < first.power_w * 2  # an idle GPU, over a second


def test_a_uuid_of_cuda_visible_devices_names_the_gpu() -> None:
    facts, _ = all_facts()
    with open_nvml() as nvml:
        (found,) = meters(nvml, ["0"], facts[-1].uuid)

        assert found.facts().uuid == facts[-1].uuid


def test_a_gpu_beyond_the_last_is_refused() -> None:
    with open_nvml() as nvml, pytest.raises(NvmlError, match="NVML knows no GPU 99"):
        meters(nvml, ["99"], None)


def test_a_gpu_of_hopper_or_later_tells_what_its_multiprocessors_do() -> None:
    facts, _ = all_facts()
    if float(facts[0].compute_capability or 0) < 9.0:
        pytest.skip("GPM begins with Hopper")
    with open_nvml() as nvml:
        (gpu,) = visible_meters(nvml, None)[:1]
        gpu.sample()
        time.sleep(0.15)
        found = gpu.sample()

    assert facts[0].profiling == "NVML GPM"
    for percent in (found.sm_percent, found.tensor_percent, found.dram_percent):
        assert percent is not None
        assert 0 <= percent <= 100
