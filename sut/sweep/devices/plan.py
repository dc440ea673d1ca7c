"""The rows of a comparison of devices, and what is known of each before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from backends.at_hand import gpu_backend
from backends.base import REMOTE, WITHOUT_MODEL, check_options
from backends.onnxruntime.precision import graph_precision
from data.model import ENGINE_SUFFIXES
from sut.base import environment
from sut.base.errors import ConfigError, EngineError, SutError
from sut.config.plan import resolve
from sut.config.prepare import prepared_samples, resolve_workload
from sut.sweep.devices.ways import AS_IS, CPU, Device, Way, way
from sut.sweep.engine_options import options_of_own
from sut.sweep.plan import in_form
from sut.telemetry import nvml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import OptionValue
    from data.benchmark import Benchmark
    from data.preprocess import SampleSet
    from sut.config.arguments import Arguments
    from sut.config.workload import Workload
    from sut.record.table import Value
    from sut.telemetry.meter import Facts

_WITHOUT_FILE = WITHOUT_MODEL | REMOTE


@dataclass(frozen=True, slots=True)
class Point:
    """A row before it is measured.

    Attributes:
        device: where.
        backend: that runs it.
        way: how the precision is asked of it; may say that it is refused.
        batch: samples.
        options: of the backend, with those of the way.
    """

    device: Device
    backend: str
    way: Way
    batch: int
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    @property
    def place(self) -> dict[str, Value]:
        """Where it is in the table, by axis."""
        return {
            "device": self.device.name, "precision": self.way.precision, "batch": self.batch,
        }  # fmt: skip


def devices_here() -> list[Device]:
    """Return the CPU and every GPU that NVML shows, in the order of their numbers."""
    return [this_cpu(), *map(gpu_device, nvml.all_facts()[0])]


def this_cpu() -> Device:
    """Return the CPU of this machine."""
    facts = {
        "cores": str(environment.cores()),
        "governor": environment.governor() or "",
        "memory": f"{environment.memory_bytes() / 2**30:.4g} GiB",
    }
    return Device(
        CPU,
        environment.cpu_model(),
        features=environment.cpu_features(),
        facts={name: value for name, value in facts.items() if value},
    )


def gpu_device(found: Facts) -> Device:
    """Return a GPU that NVML shows."""
    sm = found.compute_capability
    facts = {
        "driver": found.driver,
        "memory": f"{found.memory_bytes / 2**30:.4g} GiB" if found.memory_bytes else None,
        "power limit": f"{found.power_limit_w:g} W" if found.power_limit_w else None,
        "SM clock at most": f"{found.sm_clock.max_mhz} MHz" if found.sm_clock.max_mhz else None,
        "memory clock at most": _mhz(found.memory_clock.max_mhz),
        "ECC": None if found.ecc is None else ("on" if found.ecc else "off"),
        "PCIe": f"{found.link.max_generation}.0 x{found.link.width}" if found.link.width else None,
        "UUID": found.uuid,
    }
    return Device(
        found.device,
        found.name,
        sm=None if sm is None else int(sm.replace(".", "")),
        facts={name: value for name, value in facts.items() if value},
    )


def _mhz(value: int | None) -> str | None:
    return None if value is None else f"{value} MHz"


def chosen(names: Sequence[str] | None, here: Sequence[Device]) -> list[Device]:
    """Return the devices of these names, or all; one that nobody knows has no facts.

    Raises:
        ConfigError: a device is named twice, or is a GPU that is not there.
    """
    if names is None:
        return list(here)
    if len(set(names)) < len(names) or "" in names:
        raise ConfigError(f"--devices {','.join(names)}: expected different names.")
    by_name = {device.name: device for device in here}
    return [by_name.get(name, Device(name, "")) for name in names]


class Planner:
    """Makes the points, and the workload of each; models and samples are looked up once.

    Args:
        arguments: the command line; its devices are ignored.
        devices: to compare.
        precisions: of ASKED.
        batches: batch sizes.
    """

    def __init__(
        self,
        arguments: Arguments,
        devices: Sequence[Device],
        precisions: Sequence[str],
        batches: Sequence[int],
    ) -> None:
        self._arguments = arguments
        self._devices, self._precisions, self._batches = devices, precisions, batches
        self._made: dict[str, Workload | SutError] = {}
        self._samples: SampleSet | None = None

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark.

        Raises:
            ConfigError: there is none of that name.
        """
        return resolve(self._with(CPU, self._arguments.backend)).benchmark

    def points(self) -> list[Point]:
        """Return all rows, devices first; opens nothing.

        Raises:
            ConfigError: an option is wrong.
        """
        return [
            point
            for device in self._devices
            for precision in self._precisions
            for point in self._of(device, precision)
        ]

    def _of(self, device: Device, precision: str) -> list[Point]:
        backend, why_none = self._backend(device)
        plan = resolve(self._with(device.name, backend))
        backend = plan.harness.backend
        how = Way(precision, refused=why_none) if why_none else way(backend, device, precision)
        options = {**options_of_own(plan), **how.options}
        if not how.refused:
            check_options(backend, options, device.name)
        return [Point(device, backend, how, batch, options) for batch in self._batches]

    def _backend(self, device: Device) -> tuple[str | None, str]:
        """Return the backend of a device, and why there is none for a GPU."""
        asked = self._arguments
        if asked.backend is not None or asked.system is not None or device.is_cpu:
            return asked.backend, ""
        if device.sm is None:
            return None, f"there is no device {device.name} here: see sut doctor"
        found, why = gpu_backend(device.sm)
        return found, "" if found else f"no backend can use this GPU: {why}"

    def _with(self, device: str, backend: str | None) -> Arguments:
        return replace(self._arguments, devices=(device,), backend=backend)

    def workload(self, point: Point) -> Workload:
        """Return the model of a point in its form, made now or kept from before, and its samples.

        Raises:
            SutError: there is no model, or it cannot be converted.
        """
        key = point.backend if point.backend in _WITHOUT_FILE else _key(point.way)
        if key not in self._made:
            try:
                self._made[key] = self._workload(point)
            except SutError as error:
                self._made[key] = error
        found = self._made[key]
        if isinstance(found, SutError):
            raise found
        return found

    def _workload(self, point: Point) -> Workload:
        workload = resolve_workload(self.benchmark, point.backend, self._arguments.model)
        if point.backend in WITHOUT_MODEL:
            return workload.with_samples(None)
        form = _form(point.way, workload)
        if form is not None:
            workload = in_form(self.benchmark, self._arguments.data, workload, form)
        return workload.with_samples(self.samples())

    def samples(self) -> SampleSet:
        """Prepare the benchmark's samples, or take them from the cache."""
        if self._samples is None:
            self._samples = prepared_samples(self.benchmark, self._arguments.data)
        return self._samples

    def fp32(self) -> Workload:
        """Return the benchmark's own model, for ONNX Runtime on the CPU, with its samples."""
        workload = resolve_workload(self.benchmark, "onnxruntime", self._arguments.model)
        return workload.with_samples(self.samples())

    def identity(self) -> dict[str, str]:
        """Return hashes of what was looked up so far, by what they identify."""
        found = {} if self._samples is None else {"data": self._samples.digest}
        for name, made in self._made.items():
            if not isinstance(made, SutError) and made.model is not None:
                found[f"model {name}"] = made.model.sha256
        return found


def _key(way: Way) -> str:
    """Return what tells models apart."""
    return way.form or way.precision


def _form(way: Way, workload: Workload) -> str | None:
    """Return the form to make of the model; None: it is taken as it is.

    Raises:
        EngineError: the model is in another precision already, and cannot be made this one.
    """
    model = workload.model
    if model is None or Path(model.path).suffix in ENGINE_SUFFIXES:
        return None  # somebody else built it, and its engine says in what it runs
    has = graph_precision(Path(model.path))
    if has == way.precision:
        return None
    if has != AS_IS:
        raise EngineError(
            f"{model.path}: is {has}; expected an fp32 model for {way.precision}. Name one with "
            f"--model, or ask for --precision {has}."
        )
    return way.form
