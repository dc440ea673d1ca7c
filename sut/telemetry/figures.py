"""Figures from the readings of a test: power, energy, clocks, temperatures, throttling.

Knows readings and the time of the test; asks no device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.record.device_telemetry import Figures, Span
from sut.record.tail import HeldBack
from sut.telemetry.gpm import METRICS
from sut.telemetry.reasons import THROTTLING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Window
    from sut.telemetry.meter import Reading

NS_PER_S = 1e9


def figures(readings: Sequence[Reading], window: Window, name: str = "") -> Figures:
    """Return the figures of one device from its readings, which are in order of time.

    Args:
        readings: of the device.
        window: the time of the test.
        name: of the device, as its driver calls it.
    """
    during = [r for r in readings if window.start_ns <= r.at_ns <= window.end_ns]
    energy_j, energy_from = _energy_j(readings, window)
    throttled, share = _throttled(during)
    return Figures(
        readings=len(during),
        name=name,
        energy_j=energy_j,
        energy_from=energy_from,
        average_power_w=None
        if energy_j is None or not window.seconds
        else energy_j / window.seconds,
        peak_power_w=max(_known(during, "power_w"), default=None),
        idle_power_w=min(
            _known([r for r in readings if r.at_ns < window.start_ns], "power_w"), default=None
        ),
        temperature_c=_span(during, "temperature_c"),
        sm_clock_mhz=_span(during, "sm_clock_mhz"),
        memory_clock_mhz=_span(during, "memory_clock_mhz"),
        utilisation_percent=_span(during, "utilisation_percent"),
        decoder_percent=_span(during, "decoder_percent"),
        encoder_percent=_span(during, "encoder_percent"),
        memory_used_bytes=max(map(int, _known(during, "memory_used_bytes")), default=None),
        throttled=throttled,
        throttled_share=share,
        link_generation=max(map(int, _known(during, "link_generation")), default=None),
        link_width=max(map(int, _known(during, "link_width")), default=None),
        **{name: _span(during, name) for name in METRICS.values()},
    )


def total(
    devices: Mapping[str, Figures],
    readings: Mapping[str, Sequence[Reading]],
    window: Window,
    samples: int,
) -> dict[str, float | None]:
    """Add up the devices: fields of DeviceTelemetry by name; None if a device lacks one."""
    energy_j = _sum([f.energy_j for f in devices.values()])
    idle_w = _sum([f.idle_power_w for f in devices.values()])
    per_sample = above_idle = average_w = None
    if energy_j is not None and samples and window.seconds:
        average_w = energy_j / window.seconds
        per_sample = energy_j / samples
        if idle_w is not None:
            above_idle = (energy_j - idle_w * window.seconds) / samples
    return {
        "energy_j": energy_j,
        "energy_per_sample_j": per_sample,
        "energy_per_sample_above_idle_j": above_idle,
        "average_power_w": average_w,
        "peak_power_w": _peak_w(readings, window),
        "idle_power_w": idle_w,
    }


def held_back(readings: Sequence[Reading]) -> HeldBack:
    """Return when a device was slowed down, by reason, from its readings in order of time."""
    known = [r for r in readings if r.throttle is not None]
    bits = np.array([r.throttle for r in known], np.int64)
    by = {reason.name: (bits & reason.bit) != 0 for reason in THROTTLING}
    return HeldBack(
        at_ns=np.array([r.at_ns for r in known], np.int64),
        by={name: said for name, said in by.items() if said.any()},
    )


def _energy_j(readings: Sequence[Reading], window: Window) -> tuple[float | None, str | None]:
    """Return the energy of the test and its source.

    Between the first and the last reading of the counter in the test, the counter gives the energy;
    before and after, the integral of power. Without a working counter, the integral of power alone.
    """
    powered = [r for r in readings if r.power_w is not None]
    start_ns, end_ns = window.start_ns, window.end_ns
    if not powered or start_ns < powered[0].at_ns or powered[-1].at_ns < end_ns:
        return None, None
    counts = [
        (r.at_ns, r.energy_j)
        for r in readings
        if r.energy_j is not None and start_ns <= r.at_ns <= end_ns
    ]
    if not counts or counts[0][1] == counts[-1][1]:
        return _integral_j(powered, start_ns, end_ns), "power"
    (first_ns, first_j), (last_ns, last_j) = counts[0], counts[-1]
    before_j = _integral_j(powered, start_ns, first_ns)
    return before_j + last_j - first_j + _integral_j(powered, last_ns, end_ns), "counter"


def _integral_j(powered: Sequence[Reading], start_ns: int, end_ns: int) -> float:
    """Return the integral of power, assuming that it changes linearly between readings."""
    at_ns = _array(powered, "at_ns")
    inside = at_ns[(at_ns > start_ns) & (at_ns < end_ns)]
    times_ns = np.concatenate([[start_ns], inside, [end_ns]])
    power_w = np.interp(times_ns, at_ns, _array(powered, "power_w"))
    return float(np.trapezoid(power_w, times_ns) / NS_PER_S)


def _throttled(during: Sequence[Reading]) -> tuple[dict[str, float] | None, float | None]:
    bits = [r.throttle for r in during if r.throttle is not None]
    if not bits:
        return None, None
    counts = {reason.name: sum(bool(b & reason.bit) for b in bits) for reason in THROTTLING}
    shares = {name: count / len(bits) for name, count in counts.items() if count}
    every = sum(reason.bit for reason in THROTTLING)
    return shares, sum(bool(b & every) for b in bits) / len(bits)


def _peak_w(readings: Mapping[str, Sequence[Reading]], window: Window) -> float | None:
    """Return the highest power of all devices together; every round reads each device."""
    rounds = zip(*readings.values(), strict=False)
    sums = [
        _sum([r.power_w for r in each])
        for each in rounds
        if window.start_ns <= each[0].at_ns <= window.end_ns
    ]
    return max((w for w in sums if w is not None), default=None)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _known(readings: Sequence[Reading], name: str) -> list[float]:
    return [value for r in readings if (value := getattr(r, name)) is not None]


def _span(readings: Sequence[Reading], name: str) -> Span | None:
    values = _known(readings, name)
    return Span(min(values), sum(values) / len(values), max(values)) if values else None


def _array(readings: Sequence[Reading], name: str) -> NDArray[np.float64]:
    # Times of time.monotonic_ns() are below 2**53 ns (104 days), or lose too little to matter here.
    return np.array([getattr(r, name) for r in readings], np.float64)
