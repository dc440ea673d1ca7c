"""What is known of a device before anything runs on it: its facts, and its roof."""

from __future__ import annotations

import pytest

from sut.config.arguments import Arguments
from sut.sweep.devices import peak
from sut.sweep.devices.plan import Planner, gpu_device, this_cpu
from sut.sweep.devices.ways import Device
from sut.telemetry.meter import Clock, Facts, Link


def test_a_gpu_has_what_may_differ_from_another_one() -> None:
    found = gpu_device(
        Facts(
            "1", "nvml", "NVIDIA L4", uuid="GPU-7", driver="580.1", compute_capability="8.9",
            memory_bytes=24 << 30, sm_clock=Clock(max_mhz=2040), memory_clock=Clock(max_mhz=6251),
            power_limit_w=72.0, ecc=True, link=Link(4, 4, 8, 16),
        )
    )  # fmt: skip

    assert (found.name, found.product, found.sm, found.is_cpu) == ("1", "NVIDIA L4", 89, False)
    assert found.facts == {
        "driver": "580.1", "memory": "24 GiB", "power limit": "72 W",
        "SM clock at most": "2040 MHz", "memory clock at most": "6251 MHz",
        "ECC": "on", "PCIe": "4.0 x8", "UUID": "GPU-7",
    }  # fmt: skip


def test_a_gpu_that_tells_little_has_few_facts() -> None:
    found = gpu_device(Facts("0", "nvml", "a GPU"))

    assert found.sm is None
    assert found.facts == {}


def test_this_cpu_has_a_name_and_instruction_sets() -> None:
    found = this_cpu()

    assert found.is_cpu
    assert found.product
    assert found.features
    assert int(found.facts["cores"]) >= 1


@pytest.mark.parametrize("typed", [{}, {"intra_op_threads": 3}])
def test_an_engine_alone_does_not_get_the_threads_of_one_of_many(typed: dict[str, int]) -> None:
    # The benchmark's own settings: an engine for each core, with one thread each.
    asked = Arguments(
        benchmark="efficientnet-lite0", scenario="Offline", instances=4, backend_options=typed
    )

    (point,) = Planner(asked, [this_cpu()], ["fp32"], [1]).points()

    assert point.options.get("intra_op_threads") == typed.get("intra_op_threads")


def test_a_gpu_in_the_list_has_its_published_roof_in_every_precision() -> None:
    found = peak.roofs_of(Device("0", "NVIDIA A100-SXM4-80GB", 80))

    assert found["tf32"].flops_per_s == 156e12
    assert {roof.bytes_per_s for roof in found.values()} == {2039e9}
    assert found["int8"].source == "NVIDIA, A100 datasheet"


def test_an_unknown_gpu_without_torch_has_no_roof() -> None:
    strange = Device("0", "something new", 120)

    assert peak.roofs_of(strange, has_torch=False) == {}


def test_a_copy_has_a_rate() -> None:
    assert peak.copy_bytes_per_s(threads=2, size=1 << 20, copies=2) > 1e8
