"""What is known of a GPU before anything is opened: its precisions, and its published peaks."""

from __future__ import annotations

import pytest

from backends.capability import PRECISIONS, gpu_support
from backends.peaks import TERA, published


@pytest.mark.parametrize(
    ("sm", "on_tensor_cores"),
    [
        (53, set()),  # Jetson Nano
        (61, set()),  # P4
        (70, {"fp16"}),  # V100
        (75, {"fp16", "int8"}),  # T4
        (80, {"tf32", "bf16", "fp16", "int8"}),  # A100
        (87, {"tf32", "bf16", "fp16", "int8"}),  # Orin
        (89, {"tf32", "bf16", "fp16", "fp8", "int8"}),  # L4
        (90, {"tf32", "bf16", "fp16", "fp8", "int8"}),  # H100
        (120, {"tf32", "bf16", "fp16", "fp8", "int8", "fp4"}),
    ],
)
def test_tensor_cores_by_sm(sm: int, on_tensor_cores: set[str]) -> None:
    found = {p for p in PRECISIONS if gpu_support(sm, p).how == "tensor cores"}

    assert found == on_tensor_cores


@pytest.mark.parametrize(
    ("sm", "precision", "how"),
    [
        (53, "fp16", "arithmetic"),
        (53, "int8", "none"),  # falls back to fp32, as the study of Jetson Nano says
        (53, "tf32", "none"),
        (61, "int8", "arithmetic"),
        (61, "fp16", "none"),
        (70, "int8", "arithmetic"),
        (75, "bf16", "none"),
        (30, "fp32", "arithmetic"),
    ],
)
def test_what_a_gpu_without_such_tensor_cores_does(sm: int, precision: str, how: str) -> None:
    found = gpu_support(sm, precision)

    assert found.how == how
    assert str(sm) in found.why or how == "arithmetic"


def test_a_gpu_newer_than_the_table_counts_as_the_newest_and_says_so() -> None:
    found = gpu_support(130, "fp8")

    assert found.how == "tensor cores"
    assert "taken as SM 121" in found.why


@pytest.mark.parametrize(
    ("name", "precision", "tera", "gb_per_s"),
    [
        ("Tesla T4", "int8", 130, 320),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156, 2039),
        ("NVIDIA A100 80GB PCIe", "bf16", 312, 1935),
        ("NVIDIA A100-PCIE-40GB", "fp16", 312, 1555),
        ("NVIDIA H100 80GB HBM3", "fp8", 1978.9, 3350),
        ("NVIDIA H100 PCIe", "fp16", 756, 2000),
        ("NVIDIA H100 NVL", "fp32", 60, 3900),
        ("NVIDIA H200", "int8", 1978.9, 4800),
        ("NVIDIA L40S", "fp16", 362.05, 864),
        ("NVIDIA L4", "fp8", 242.5, 300),
        ("NVIDIA A10", "fp16", 125, 600),
        ("NVIDIA A2", "fp32", 4.5, 200),
        ("Tesla V100-SXM2-16GB", "fp16", 125, 900),
    ],
)
def test_published_peaks(name: str, precision: str, tera: float, gb_per_s: float) -> None:
    found = published(name)

    assert found is not None
    assert found.flops_per_s[precision] == tera * TERA
    assert found.bytes_per_s == gb_per_s * 1e9


@pytest.mark.parametrize("name", ["NVIDIA A10G", "NVIDIA GeForce GTX 1080", "A1000"])
def test_another_gpu_with_a_similar_name_has_no_published_peak(name: str) -> None:
    assert published(name) is None


def test_a_gpu_has_a_peak_for_every_precision_of_its_tensor_cores() -> None:
    for name, sm in (("Tesla T4", 75), ("NVIDIA A30", 80), ("NVIDIA L4", 89), ("NVIDIA B200", 100)):
        peak = published(name)
        assert peak is not None
        has = {p for p in PRECISIONS if gpu_support(sm, p).how == "tensor cores"}
        assert has <= set(peak.flops_per_s)
