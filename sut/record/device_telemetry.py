"""What devices report during a test, as summary.json keeps it.

Only data: sut.telemetry measures it.
"""

from __future__ import annotations

import msgspec


class Span(msgspec.Struct, frozen=True):
    """Minimum, mean and maximum of the readings during the test."""

    min: float
    mean: float
    max: float


class Figures(msgspec.Struct, frozen=True):
    """One device during the test. None: the device does not report it, or nobody read it.

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
        utilisation_percent: share of the time in which any kernel ran.
        memory_used_bytes: the highest, of all processes together.
        throttled: share of the readings by reason, for reasons that slow the device down.
        throttled_share: share of the readings with any of them.
        link_generation: the highest of PCIe.
        link_width: the highest number of PCIe lanes.
        sm_percent: multiprocessors with a warp; here and below from NVML's GPM or DCGM.
        sm_occupancy_percent: warps on them, of the most that fit.
        tensor_percent: time in which the tensor cores worked.
        dram_percent: bandwidth of the memory, of the most there is.
        decoder_percent: time in which the video decoders worked.
        encoder_percent: time in which the video encoders worked.
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
    sm_percent: Span | None = None
    sm_occupancy_percent: Span | None = None
    tensor_percent: Span | None = None
    dram_percent: Span | None = None
    decoder_percent: Span | None = None
    encoder_percent: Span | None = None


class Sampling(msgspec.Struct, frozen=True):
    """The cost of asking the devices.

    Attributes:
        period_s: time between two readings of a device.
        device_p50_us: median time to ask one device.
        device_max_us: the longest.
        cpu_s: processor time of the sampling process; None if it ended early.
    """

    period_s: float
    device_p50_us: float | None
    device_max_us: float | None
    cpu_s: float | None


class DeviceTelemetry(msgspec.Struct, frozen=True):
    """All devices of a test, from its first arrival to its last completion.

    Attributes:
        source: "nvml", "rapl", "hwmon", "jtop" or "simulated".
        energy_j: of all devices; None, here and below, if one of them does not report it.
        energy_per_sample_j: per completed sample.
        energy_per_sample_above_idle_j: the same, minus what the devices draw when idle.
        average_power_w: of all devices together.
        peak_power_w: of all devices together.
        idle_power_w: sum of the lowest power of each device before the test.
        devices: by device, as `--devices` names it.
        sampling: the cost of asking them.
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
        """Return the highest value of a figure on any device; None if one does not report it.

        Args:
            figure: a field of Figures that is a number, such as "average_power_w".
        """
        values = [getattr(device, figure) for device in self.devices.values()]
        known = [value for value in values if value is not None]
        return max(known) if known and len(known) == len(values) else None
