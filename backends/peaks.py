"""What NVIDIA publishes of its GPUs: operations a second by precision, and memory bandwidth.

Only a table. All are dense figures at the boost clock: a GPU that is held back by its power limit
reaches less. A GPU that is not here is measured, or has no peak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a device can do.

    Attributes:
        flops_per_s: by precision; for int8 integer operations. A multiply-add is two.
        bytes_per_s: of its memory, reads and writes together.
        source: where that is from.
    """

    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    source: str


def _peak(source: str, gb_per_s: float, **tera: float) -> Peak:
    if "fp16" in tera and "tf32" in tera:  # from Ampere on the two have the same rate
        tera.setdefault("bf16", tera["fp16"])
    return Peak(
        {precision: value * TERA for precision, value in tera.items()},
        gb_per_s * GIGA,
        f"NVIDIA, {source}",
    )


_H100_SXM = {"fp32": 66.9, "tf32": 494.7, "fp16": 989.4, "fp8": 1978.9, "int8": 1978.9}
_H100_NVL = {"fp32": 60.0, "tf32": 417.5, "fp16": 835.5, "fp8": 1670.5, "int8": 1670.5}
_A100 = {"fp32": 19.5, "tf32": 156.0, "fp16": 312.0, "int8": 624.0}
# A part of the name that NVML gives, and its figures. The first that is found counts.
_PUBLISHED: tuple[tuple[str, Peak], ...] = (
    (r"\bB200\b", _peak("HGX B200 datasheet", 7700, fp32=75, tf32=1125, fp16=2250, fp8=4500,
                        int8=4500, fp4=9000)),
    (r"\bH200 NVL\b", _peak("H200 datasheet", 4800, **_H100_NVL)),
    (r"\bH200\b", _peak("H200 datasheet", 4800, **_H100_SXM)),
    (r"\bH100 NVL\b", _peak("H100 datasheet", 3900, **_H100_NVL)),
    (r"\bH100 PCIe\b", _peak("H100 datasheet", 2000, fp32=51.2, tf32=378, fp16=756, fp8=1513,
                             int8=1513)),
    (r"\bH100 80GB HBM3\b", _peak("H100 datasheet", 3350, **_H100_SXM)),
    (r"\bA100[ -].*80GB.*PCIe|\bA100-PCIE-80GB\b", _peak("A100 datasheet", 1935, **_A100)),
    (r"\bA100-SXM\d?-80GB\b", _peak("A100 datasheet", 2039, **_A100)),
    (r"\bA100-(SXM\d?|PCIE)-40GB\b", _peak("A100 datasheet", 1555, **_A100)),
    (r"\bA40\b", _peak("A40 datasheet", 696, fp32=37.4, tf32=74.8, fp16=149.7, int8=299.3)),
    (r"\bA30\b", _peak("A30 datasheet", 933, fp32=10.3, tf32=82, fp16=165, int8=330)),
    (r"\bA10\b", _peak("A10 datasheet", 600, fp32=31.2, tf32=62.5, fp16=125, int8=250)),
    (r"\bA2\b", _peak("A2 datasheet", 200, fp32=4.5, tf32=9, fp16=18, int8=36)),
    (r"\bL40S\b", _peak("L40S datasheet", 864, fp32=91.6, tf32=183, fp16=362.05, fp8=733,
                         int8=733)),
    (r"\bL40\b", _peak("L40 datasheet", 864, fp32=90.5, tf32=90.5, fp16=181.05, fp8=362, int8=362)),
    (r"\bL4\b", _peak("L4 datasheet", 300, fp32=30.3, tf32=60, fp16=121, fp8=242.5, int8=242.5)),
    (r"\bT4\b", _peak("T4 datasheet", 320, fp32=8.1, fp16=65, int8=130)),
    (r"\bV100-SXM2\b", _peak("V100 datasheet", 900, fp32=15.7, fp16=125)),
    (r"\bV100-PCIE\b", _peak("V100 datasheet", 900, fp32=14, fp16=112)),
    (r"\bP100-SXM2\b", _peak("P100 datasheet", 732, fp32=10.6, fp16=21.2)),
)  # fmt: skip


def published(name: str) -> Peak | None:
    """Return what is published of a GPU with the name that NVML gives; None: it is not here."""
    return next((peak for part, peak in _PUBLISHED if re.search(part, name)), None)
