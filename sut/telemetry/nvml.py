"""NVIDIA's GPUs through NVML. No other module uses NVML.

Needs the package nvidia-ml-py and NVIDIA's driver. Without them there is no meter, but a line that
says why.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sut.base.errors import SutError
from sut.base.process import cpu_list
from sut.telemetry import dcgm
from sut.telemetry.dcgm import Dcgm
from sut.telemetry.gpm import Gpm
from sut.telemetry.meter import Clock, Facts, Link, Process, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Numbers of nvml.h, which do not change.
_SM, _MEMORY = 1, 2  # NVML_CLOCK_*
_SENSOR = 0  # NVML_TEMPERATURE_GPU
_SLOWDOWN = 1  # NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
_NODE = 0  # NVML_AFFINITY_SCOPE_NODE
# Since Ampere, nvmlDeviceGetPowerUsage is an average over a second; this field is not.
_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT, mW
# Reading the counter takes 3 ms of a core on an H100; everything else together takes 0.4 ms.
ENERGY_EVERY_S = 1.0
_VALUES = {1: "uiVal", 2: "ulVal", 3: "ullVal"}  # NVML_VALUE_TYPE_UNSIGNED_*
_MASK_BITS = 64


class NvmlError(SutError):
    """NVML is missing, or knows no such GPU."""


class Nvml:
    """NVML, initialised. Its Python module has no types, so its answers are untyped."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def ask(self, function: str, *arguments: object) -> Any:
        """Return an answer; None if this GPU, driver or package does not report it."""
        call = getattr(self._module, function, None)
        if call is None:
            return None
        try:
            return call(*arguments)
        except self._module.NVMLError:
            return None

    def handles(self) -> list[object]:
        """Return the GPUs of this machine, in the order of nvidia-smi: by PCI bus address."""
        count = self.ask("nvmlDeviceGetCount") or 0
        return [self.ask("nvmlDeviceGetHandleByIndex", index) for index in range(count)]


@contextmanager
def open_nvml() -> Iterator[Nvml]:
    """Initialise NVML for the duration of a `with`.

    Raises:
        NvmlError: the package or the driver is missing; one line.
    """
    try:
        import pynvml  # noqa: PLC0415 - only machines with GPUs have it
    except ImportError as error:
        raise NvmlError("the package nvidia-ml-py is not installed") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NvmlError(f"NVML: {error}") from error
    try:
        yield Nvml(pynvml)
    finally:
        pynvml.nvmlShutdown()


def all_facts(visible: str | None = None) -> tuple[list[Facts], str]:
    """Return the facts of every GPU, and if there are none, the reason.

    Args:
        visible: CUDA_VISIBLE_DEVICES, for the GPUs that CUDA sees, by CUDA's numbers; None: every
            GPU in this machine.
    """
    try:
        with open_nvml() as nvml:
            found = [meter.facts() for meter in visible_meters(nvml, visible)]
    except NvmlError as error:
        return [], str(error)
    return found, "" if found else "NVML sees no GPU"


def installed() -> int:
    """Return how many GPUs NVIDIA's driver lists, whether or not NVML is there."""
    try:
        return sum(1 for _ in Path("/proc/driver/nvidia/gpus").iterdir())
    except OSError:
        return 0


def visible_meters(nvml: Nvml, visible: str | None) -> list[NvmlMeter]:
    """Return every GPU that CUDA sees: with CUDA_VISIBLE_DEVICES, those before the first wrong one.

    Without it, these are all GPUs, with the numbers of nvidia-smi.
    """
    named = nvml.handles() if visible is None else visible.split(",")
    found: list[NvmlMeter] = []
    for device in range(len(named)):
        try:
            found += meters(nvml, [str(device)], visible)
        except NvmlError:
            break
    return found


def meters(nvml: Nvml, devices: Iterable[str], visible: str | None) -> list[NvmlMeter]:
    """Return the GPUs that CUDA calls `devices`.

    Args:
        nvml: an open NVML.
        devices: indices, such as "0".
        visible: CUDA_VISIBLE_DEVICES, which renumbers the GPUs; None if it is not set.

    Raises:
        NvmlError: there is no such GPU.
    """
    handles = nvml.handles()
    named = None if visible is None else [text.strip() for text in visible.split(",")]
    found = []
    for device in devices:
        wanted = device if named is None else "".join(named[int(device) : int(device) + 1])
        if wanted.isdecimal():
            handle = handles[int(wanted)] if int(wanted) < len(handles) else None
        else:
            handle = nvml.ask("nvmlDeviceGetHandleByUUID", wanted)
        if handle is None:
            raise NvmlError(f"NVML knows no GPU {wanted or device}; it sees {len(handles)}")
        found.append(NvmlMeter(nvml, handle, device))
    return found


class NvmlMeter:
    """One GPU. See sut.telemetry.meter.Meter."""

    def __init__(
        self,
        nvml: Nvml,
        handle: object,
        device: str,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._nvml = nvml
        self._handle = handle
        self._now_ns = clock
        self._energy_due_ns = 0
        self._profiler = _profiler(nvml, handle)
        self.device = device

    def facts(self) -> Facts:
        """See Meter."""
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        ecc = self._ask("nvmlDeviceGetEccMode")
        return Facts(
            device=self.device,
            source="nvml",
            name=str(self._ask("nvmlDeviceGetName") or "unknown GPU"),
            uuid=self._ask("nvmlDeviceGetUUID"),
            pci=self._pci(),
            driver=self._nvml.ask("nvmlSystemGetDriverVersion"),
            compute_capability=None if capability is None else ".".join(map(str, capability)),
            memory_bytes=None if memory is None else memory.total,
            sm_clock=self._clock(_SM),
            memory_clock=self._clock(_MEMORY),
            power_limit_w=_thousandth(self._ask("nvmlDeviceGetEnforcedPowerLimit")),
            default_power_limit_w=_thousandth(
                self._ask("nvmlDeviceGetPowerManagementDefaultLimit")
            ),
            temperature_c=self._ask("nvmlDeviceGetTemperature", _SENSOR),
            slowdown_c=self._ask("nvmlDeviceGetTemperatureThreshold", _SLOWDOWN),
            throttle=self._throttle(),
            ecc=None if ecc is None else bool(ecc[0]),
            link=self._link(),
            numa_nodes=tuple(_bits(self._ask("nvmlDeviceGetMemoryAffinity", 1, _NODE))),
            cpus=cpu_list(_bits(self._ask("nvmlDeviceGetCpuAffinity", _masks()))) or None,
            profiling=self._profiler.source,
            no_profiling=self._profiler.why_not,
        )

    def sample(self) -> Reading:
        """See Meter. Reads the energy once in ENERGY_EVERY_S."""
        start_ns = self._now_ns()
        power_w, energy_j = self._power_and_energy(start_ns)
        utilisation = self._ask("nvmlDeviceGetUtilizationRates")
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        reading = {
            "temperature_c": self._ask("nvmlDeviceGetTemperature", _SENSOR),
            "sm_clock_mhz": self._ask("nvmlDeviceGetClockInfo", _SM),
            "memory_clock_mhz": self._ask("nvmlDeviceGetClockInfo", _MEMORY),
            "utilisation_percent": None if utilisation is None else utilisation.gpu,
            "memory_used_bytes": None if memory is None else memory.used,
            "throttle": self._throttle(),
            "link_generation": self._ask("nvmlDeviceGetCurrPcieLinkGeneration"),
            "link_width": self._ask("nvmlDeviceGetCurrPcieLinkWidth"),
            "decoder_percent": _first(self._ask("nvmlDeviceGetDecoderUtilization")),
            "encoder_percent": _first(self._ask("nvmlDeviceGetEncoderUtilization")),
            **self._profiler.read(),
        }
        return Reading(start_ns, self._now_ns() - start_ns, power_w, energy_j, **reading)

    def free_bytes(self) -> int | None:
        """Return the memory that no process uses, in bytes; None: the GPU does not say."""
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.total - memory.used)

    def processes(self) -> tuple[Process, ...]:
        """See Meter."""
        found = self._ask("nvmlDeviceGetComputeRunningProcesses") or []
        return tuple(Process(p.pid, _process_name(p.pid), p.usedGpuMemory) for p in found)

    def _ask(self, function: str, *arguments: object) -> Any:
        return self._nvml.ask(function, self._handle, *arguments)

    def _power_and_energy(self, now_ns: int) -> tuple[float | None, float | None]:
        """Return the power in W and, if it is due, the energy so far in J."""
        power = self._field(_POWER_INSTANT)
        if power is None:
            power = self._ask("nvmlDeviceGetPowerUsage")
        if now_ns < self._energy_due_ns:
            return _thousandth(power), None
        self._energy_due_ns = now_ns + int(ENERGY_EVERY_S * 1e9)
        return _thousandth(power), _thousandth(self._ask("nvmlDeviceGetTotalEnergyConsumption"))

    def _field(self, number: int) -> int | None:
        for value in self._ask("nvmlDeviceGetFieldValues", [number]) or ():
            name = _VALUES.get(value.valueType)
            if name is not None and not value.nvmlReturn:
                return int(getattr(value.value, name))
        return None

    def _throttle(self) -> int | None:
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # drivers before 535 know only the older name
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return None if bits is None else int(bits)

    def _clock(self, kind: int) -> Clock:
        names = ("ClockInfo", "MaxClockInfo", "ApplicationsClock")
        return Clock(*(self._ask(f"nvmlDeviceGet{name}", kind) for name in names))

    def _link(self) -> Link:
        names = ("CurrPcieLinkGeneration", "MaxPcieLinkGeneration", "CurrPcieLinkWidth",
                 "MaxPcieLinkWidth")  # fmt: skip
        return Link(*(self._ask(f"nvmlDeviceGet{name}") for name in names))

    def _pci(self) -> str | None:
        pci = self._ask("nvmlDeviceGetPciInfo")
        if pci is None:
            return None
        # As the kernel and CUDA write it: a domain of four digits; NVML has eight.
        return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def _profiler(nvml: Nvml, handle: object) -> Gpm | Dcgm:
    """Return who tells what the multiprocessors do: GPM, or else DCGM, or else why nobody does."""
    gpm = Gpm(nvml, handle)
    if gpm.source is not None:
        return gpm
    index = nvml.ask("nvmlDeviceGetIndex", handle)
    other = Dcgm(int(index or 0), dcgm.installed())
    if other.source is None:
        other.why_not = f"{gpm.why_not}, and {other.why_not}"
    return other


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1e3


def _first(utilisation: Sequence[int] | None) -> int | None:
    """Return the percentage of a decoder's or encoder's answer; its period in us stands behind."""
    return None if utilisation is None else utilisation[0]


def _masks() -> int:
    """Return how many words a set of the cores of this machine takes."""
    return -(-(os.cpu_count() or 1) // _MASK_BITS)


def _bits(masks: Sequence[int] | None) -> list[int]:
    return [
        k * _MASK_BITS + bit
        for k, mask in enumerate(masks or ())
        for bit in range(_MASK_BITS)
        if mask >> bit & 1
    ]


def _process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:  # it ended, or is outside this container
        return "unknown"
