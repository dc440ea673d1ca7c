"""What a device reports: facts that stay, and readings of its state.

Knows no library that asks a device. None means that the device does not report it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Source = Literal["nvml", "rapl", "hwmon", "jtop", "simulated"]


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock in MHz; `application_mhz` is the clock that the driver is set to keep under load."""

    current_mhz: int | None = None
    max_mhz: int | None = None
    application_mhz: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The PCIe link: generation and lanes, now and at most."""

    generation: int | None = None
    max_generation: int | None = None
    width: int | None = None
    max_width: int | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process that has memory on the device; `own`: it belongs to the test."""

    pid: int
    name: str
    memory_bytes: int | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """A device before the test.

    Attributes:
        device: as `--devices` names it.
        source: where the facts come from.
        name: of the product.
        uuid: of this individual device.
        pci: bus address, such as "0000:3b:00.0".
        driver: its version.
        compute_capability: the SM, such as "9.0".
        memory_bytes: total.
        sm_clock: of the multiprocessors.
        memory_clock: of the memory.
        power_limit_w: the limit in force, in W.
        default_power_limit_w: the factory limit, in W.
        temperature_c: in degrees Celsius.
        slowdown_c: the temperature at which the device slows down.
        throttle: bits of sut.telemetry.reasons.
        ecc: error correction of the memory is on.
        link: to the host.
        numa_nodes: those with the nearest memory.
        cpus: the nearest cores, such as "0-15".
        profiling: who tells `sm_percent` and so on: "NVML GPM" or "DCGM".
        no_profiling: why nobody does.
    """

    device: str
    source: Source
    name: str
    uuid: str | None = None
    pci: str | None = None
    driver: str | None = None
    compute_capability: str | None = None
    memory_bytes: int | None = None
    sm_clock: Clock = Clock()
    memory_clock: Clock = Clock()
    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    temperature_c: int | None = None
    slowdown_c: int | None = None
    throttle: int | None = None
    ecc: bool | None = None
    link: Link = Link()
    numa_nodes: tuple[int, ...] = ()
    cpus: str | None = None
    profiling: str | None = None
    no_profiling: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a device at one time.

    Attributes:
        at_ns: `time.monotonic_ns()` before the device was asked.
        took_ns: time to ask the device.
        power_w: in W.
        energy_j: a counter in J; only differences have a meaning.
        temperature_c: in degrees Celsius.
        sm_clock_mhz: of the multiprocessors.
        memory_clock_mhz: of the memory.
        utilisation_percent: share of the time in which any kernel ran.
        memory_used_bytes: by all processes.
        throttle: bits of sut.telemetry.reasons.
        link_generation: of PCIe, now.
        link_width: lanes of PCIe, now.
        sm_percent: multiprocessors with a warp, on average; here and below since the last reading.
        sm_occupancy_percent: warps on the multiprocessors, of the most that fit.
        tensor_percent: time in which the tensor cores worked.
        dram_percent: bandwidth of the memory, of the most there is.
        decoder_percent: time in which the video decoders worked, over the driver's own period.
        encoder_percent: likewise of the encoders.
    """

    at_ns: int
    took_ns: int
    power_w: float | None = None
    energy_j: float | None = None
    temperature_c: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    utilisation_percent: float | None = None
    memory_used_bytes: int | None = None
    throttle: int | None = None
    link_generation: int | None = None
    link_width: int | None = None
    sm_percent: float | None = None
    sm_occupancy_percent: float | None = None
    tensor_percent: float | None = None
    dram_percent: float | None = None
    decoder_percent: float | None = None
    encoder_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Power:
    """The power of a simulated device.

    Attributes:
        device: as `--devices` names it.
        workers: numbers of its workers in the trace.
        idle_w: without a batch.
        power_w: with one.
    """

    device: str
    workers: tuple[int, ...]
    idle_w: float
    power_w: float


class Meter(Protocol):
    """One device that can be asked, by one thread at a time."""

    @property
    def device(self) -> str:
        """As `--devices` names it."""

    def facts(self) -> Facts:
        """Return the facts of the device."""

    def sample(self) -> Reading:
        """Return its current state."""

    def processes(self) -> tuple[Process, ...]:
        """Return the processes that use it now; `own` is unknown here."""
