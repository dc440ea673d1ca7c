"""What devices say of themselves during a test, as summary.json keeps it.

Data alone: sut.telemetry measures it.
"""

from __future__ import annotations

import msgspec


class Span(msgspec.Struct, frozen=True):
    """Least, mean and most of what was read during the test."""

    min: float
    mean: float
    max: float


class Figures(msgspec.Struct, frozen=True):
    """One device during the test. None: it does not tell, or was not read during the test.

    Attributes:
        readings: taken during the test.
        name: of the device, as its driver calls it.
        energy_j: in J, from the first arrival to the last completion.
        energy_from: "counter", with the integral of power at both ends; or "power" alone.
        average_power_w: energy by time.
        peak_power_w: the highest reading.
        idle_power_w: the lowest reading before the test.
        temperature_c: in degrees Celsius.
        sm_clock_mhz: in MHz.
        memory_clock_mhz: in MHz.
        utilisation_percent: share of the time with any kernel running.
        memory_used_bytes: the most, by all processes.
        throttled: share of the readings by reason, of those that hold a device back.
        throttled_share: share of the readings with any of them.
        link_generation: the highest of PCIe.
        link_width: the most lanes of PCIe.
    """

    readings: int
    name: str = ""
    energy_j: float | None = None
    energy_from: str | None = None
    average_power_w: float | None = None
    peak_power_w: float | None = None
    idle_power_w: float | None = None
    temperature_c: Span | None = None
    sm_clock_mhz: Span | None = None
    memory_clock_mhz: Span | None = None
    utilisation_percent: Span | None = None
    memory_used_bytes: int | None = None
    throttled: dict[str, float] | None = None
    throttled_share: float | None = None
    link_generation: int | None = None
    link_width: int | None = None


class Sampling(msgspec.Struct, frozen=True):
    """What it cost to ask the devices.

    Attributes:
        period_s: time between two readings of a device.
        device_p50_us: what asking one device took, the median.
        device_max_us: the same, the longest.
        cpu_s: processor time of the sampling process; None if it ended early.
    """

    period_s: float
    device_p50_us: float | None
    device_max_us: float | None
    cpu_s: float | None


class DeviceTelemetry(msgspec.Struct, frozen=True):
    """All devices of a test, from its first arrival to its last completion.

    Attributes:
        source: "nvml", "rapl" or "simulated".
        energy_j: of all devices; None, here and below, if one of them does not tell.
        energy_per_sample_j: by sample completed.
        energy_per_sample_above_idle_j: the same less what the devices draw idle.
        average_power_w: of all devices together.
        peak_power_w: of all devices together.
        idle_power_w: the sum of what each drew at least before the test.
        devices: by device, as `--devices` names it.
        sampling: what asking them cost.
    """

    source: str
    energy_j: float | None
    energy_per_sample_j: float | None
    energy_per_sample_above_idle_j: float | None
    average_power_w: float | None
    peak_power_w: float | None
    idle_power_w: float | None
    devices: dict[str, Figures]
    sampling: Sampling

    def most(self, figure: str) -> float | None:
        """Return the most that any device shows of a figure; None where one does not tell it.

        Args:
            figure: a field of Figures that is a number, such as "average_power_w".
        """
        values = [getattr(device, figure) for device in self.devices.values()]
        known = [value for value in values if value is not None]
        return max(known) if known and len(known) == len(values) else None
