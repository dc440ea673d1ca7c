"""Why a GPU's clock is not at its maximum: NVML's bits, as words.

Source: nvml.h, nvmlClocksEventReason* (before CUDA 12.2: nvmlClocksThrottleReason*).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One bit.

    Attributes:
        bit: its value.
        name: NVML's name.
        throttles: the device is slowed down; otherwise it idles, or runs as configured.
        remedy: what to do.
    """

    bit: int
    name: str
    throttles: bool = False
    remedy: str = ""


_COOLING = "Improve the cooling, or lower the clocks until they stay constant."
REASONS = (
    Reason(0x001, "GpuIdle"),
    Reason(0x002, "ApplicationsClocksSetting"),
    Reason(
        0x004,
        "SwPowerCap",
        throttles=True,
        remedy="It reached its power limit: raise it if possible (nvidia-smi -pl), or lock a lower "
        "clock (nvidia-smi -lgc).",
    ),
    Reason(
        0x008,
        "HwSlowdown",
        throttles=True,
        remedy="Check temperature and power supply: nvidia-smi -q -d PERFORMANCE.",
    ),
    Reason(
        0x010,
        "SyncBoost",
        throttles=True,
        remedy="It waited for the slowest GPU of its sync boost group.",
    ),
    Reason(0x020, "SwThermalSlowdown", throttles=True, remedy=_COOLING),
    Reason(0x040, "HwThermalSlowdown", throttles=True, remedy=_COOLING),
    Reason(
        0x080,
        "HwPowerBrakeSlowdown",
        throttles=True,
        remedy="The power supply signals an overload: check it and its cables.",
    ),
    Reason(0x100, "DisplayClockSetting"),
    Reason(
        0x200,
        "BoardLimit",
        throttles=True,
        remedy="The board's own limit was reached: lock a lower clock (nvidia-smi -lgc).",
    ),
    Reason(
        0x400,
        "Reliability",
        throttles=True,
        remedy="Its voltage was at the limit: lock a lower clock (nvidia-smi -lgc).",
    ),
)
THROTTLING = tuple(reason for reason in REASONS if reason.throttles)


def words(bits: int) -> str:
    """Return the names of the bits, with "+" between them; "none" of 0."""
    names = [reason.name for reason in REASONS if bits & reason.bit]
    rest = bits & ~sum(reason.bit for reason in REASONS)
    return "+".join(names + ([f"{rest:#x}"] if rest else [])) or "none"
