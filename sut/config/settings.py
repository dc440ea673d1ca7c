"""What one LoadGen test needs, resolved: frozen plain data for the process of the test.

Names contain the unit. sut.config.plan keeps the source of each value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

# Needed at run time: msgspec reads the annotations to decode a request.
from backends.base import OptionValue, check_options
from backends.ladder import within
from data.harness_defaults import QueueDelay
from scenarios.base import Load, Number
from sut.base.environment import cores
from sut.base.process import parse_cpus
from sut.base.standing import STOPPED_S
from sut.config.cluster import Remote, own_name
from sut.config.workload import Samples, Workload
from sut.record.thinning import DEFAULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.base import EngineSpec
    from sut.config.cluster import NodeSpec

CPU = "cpu"  # the name of this device in every backend that has it
WorkerKind = Literal["inline", "thread", "process", "remote"]
# Of a postprocess. More wait for Python's interpreter lock longer than they help: 32 images of
# YOLO11l took 29, 18, 14, 18 and 19 ms with 1, 2, 4, 8 and 16 threads (16 cores).
MOST_AUTO_THREADS = 4
# What a user may ask for; a cluster file makes remote ones.
WORKER_KINDS: tuple[WorkerKind, ...] = ("inline", "thread", "process")


@dataclass(frozen=True, slots=True)
class HarnessSettings:
    """How batches are made and who runs them.

    Attributes:
        backend: a key of backends.base.BACKENDS.
        workers: kind of worker.
        devices: one or more devices, as the backend names them.
        instances: engines on each device, each with its own worker.
        max_batch_size: samples.
        max_queue_delay_us: how long a sample may wait for its batch to fill, in us; "late" closes a
            batch when its device is about to be free.
        slots: batches in flight for each worker.
        affinity: cores of the workers of each device, such as {"0": "0-15"}; those of a device that
            is not named may use all. An inline worker takes LoadGen's thread along.
        backend_options: passed to the backend, which refuses unknown ones.
        device_max_batch_size: samples, of devices that take fewer than `max_batch_size`.
        chooses_batch: warm-up chooses the largest batch of each worker, up to its cap.
        postprocess_threads: of a worker, for a postprocess that several may share; None: as many as
            it has CPU cores, up to MOST_AUTO_THREADS.
        remote: where the workers are, if they are on other machines; each device then has the name
            of its node before its own, such as `alpha/0`.
    """

    backend: str
    workers: WorkerKind
    devices: tuple[str, ...]
    instances: int
    max_batch_size: int
    max_queue_delay_us: QueueDelay
    slots: int
    affinity: dict[str, str] = field(default_factory=dict)
    backend_options: dict[str, OptionValue] = field(default_factory=dict)
    device_max_batch_size: dict[str, int] = field(default_factory=dict)
    chooses_batch: bool = False
    postprocess_threads: int | None = None
    remote: Remote | None = None

    def cap(self, device: str) -> int:
        """Return the largest batch of a device, in samples."""
        return min(self.max_batch_size, self.device_max_batch_size.get(device, self.max_batch_size))

    @property
    def max_queue_delay_ns(self) -> int | None:
        """The delay in ns; None for late closing."""
        delay_us = self.max_queue_delay_us
        return None if isinstance(delay_us, str) else delay_us * 1_000

    def engine(self, workload: Workload, device: str) -> EngineSpec:
        """Return what opens the engine of a worker on `device`."""
        cap, options = self.cap(device), self.backend_options
        if cap < self.max_batch_size:
            options = within(options, cap)
        own = device if self.remote is None else own_name(device)
        spec = workload.engine(self.backend, cap, own, options, self.slots)
        if device == CPU and self.instances == 1:
            return spec
        return replace(spec, cores=self._own_cores(device))

    def threads(self, device: str) -> int:
        """Return how many threads of a worker share the postprocess of a batch."""
        return self.postprocess_threads or min(self._own_cores(device), MOST_AUTO_THREADS)

    def _own_cores(self, device: str) -> int:
        """Return how many CPU cores each worker of a device has to itself."""
        sharing = self.instances if device in {CPU, *self.affinity} else self._engines
        return max(1, self.cores(device) // sharing)

    @property
    def _engines(self) -> int:
        return len(self.devices) * self.instances

    def cores(self, device: str) -> int:
        """Return how many CPU cores the workers of a device may use."""
        named = self.affinity.get(device)
        return len(parse_cpus(named)) if named else cores()

    def process_workers(self) -> list[tuple[str, str]]:
        """Return (worker name, its cores) for every worker that is a process."""
        if self.workers != "process":
            return []
        return [(name, self.affinity.get(device, "")) for name, device in self.worker_devices()]

    def worker_devices(self) -> Iterator[tuple[str, str]]:
        """Yield (worker name, device) for every worker.

        Where samples travel to the nodes, each node is one worker, and has its own for its devices.
        """
        if self.remote is not None and self.remote.travel is not None:
            for node in self.remote.nodes:
                yield node.name, node.worker_devices[0]
            return
        yield from self.engine_devices()

    def engine_devices(self) -> Iterator[tuple[str, str]]:
        """Yield (name, device) for every engine."""
        for device in self.devices:
            for instance in range(self.instances):
                suffix = f", instance {instance}" if self.instances > 1 else ""
                yield f"{self._titled(device)}{suffix}", device

    def _titled(self, device: str) -> str:
        """Return a device as messages name it: `device 0`, or `alpha/device 0` on a node."""
        if self.remote is None:
            return f"device {device}"
        return f"{device.removesuffix(own_name(device))}device {own_name(device)}"

    @property
    def own_devices(self) -> tuple[str, ...]:
        """Return the devices as their backend names them, wherever they are."""
        return self.devices if self.remote is None else tuple(map(own_name, self.devices))

    @property
    def local_devices(self) -> tuple[str, ...]:
        """Return the devices of this machine; none if the workers are on others."""
        return self.devices if self.remote is None else ()

    def check_options(self) -> None:
        """Check the options of the backend, as far as no engine is needed to.

        Raises:
            ConfigError: one does not exist, or does not fit its type.
        """
        for device in self.own_devices:
            check_options(self.backend, self.backend_options, device)

    def of_node(self, node: NodeSpec) -> HarnessSettings:
        """Return what a node of the cluster runs: its devices alone, by their own names."""
        caps = self.device_max_batch_size
        return replace(
            self,
            workers="process",
            devices=node.devices,
            device_max_batch_size={
                own_name(device): caps[device] for device in node.worker_devices if device in caps
            },
            remote=None,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """When a test that does not go on is ended.

    A batch hangs when it takes ten times as long as the longest of warm-up, and no less than the
    first two.

    Attributes:
        hang_s: a batch in the test's own process; such an engine cannot be ended alone, so a mere
            stall of the machine must not look like one that hangs.
        worker_hang_s: a batch in a worker process.
        close_s: closing the engines; the result is complete by then.
        open_s: the longest silence while engines open and warm up. To compile or build can take
            minutes, and says what it does; this is only so that nobody waits for ever.
        stopped_s: how long a process may stand still because a signal or a debugger stopped it.
    """

    hang_s: float = 10.0
    worker_hang_s: float = 1.0
    close_s: float = 5.0
    open_s: float = 3600.0
    stopped_s: float = STOPPED_S


@dataclass(frozen=True, slots=True)
class Lent:
    """A worker process that stays when the test ends; see sut.serve.workers.keeper.

    Attributes:
        fd: the connection to it, which the test's process inherits.
        pid: its process.
    """

    fd: int
    pid: int


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """One LoadGen test, as its process receives it.

    Attributes:
        scenario: as LoadGen spells it.
        accuracy: AccuracyOnly instead of PerformanceOnly.
        out_dir: the run folder; exists.
        load: what the command line, system and benchmark ask of LoadGen.
        workload: the model; its samples follow, because they are prepared meanwhile.
        harness: how batches are made.
        audit_config: an audit.config to apply, or None.
        loadgen_trace: write mlperf_log_trace.json.
        trace_bytes: bound on the size of the trace of batches; None: record all.
        warm_up_s: seconds at most for each batch size.
        limits: when a test that does not go on is ended.
        lent: kept worker processes, one a worker; empty: the test starts its own.
    """

    scenario: str
    accuracy: bool
    out_dir: str
    load: Load
    workload: Workload
    harness: HarnessSettings
    audit_config: str | None = None
    loadgen_trace: bool = False
    trace_bytes: float | None = DEFAULT_BYTES
    warm_up_s: float = 1.0
    limits: Limits = field(default_factory=Limits)
    lent: tuple[Lent, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialSamples:
    """What the trial receives once its engines are open and the samples are prepared.

    Attributes:
        samples: of the workload.
        user_conf: LoadGen's keys of the round and of the user's file, for this model and scenario.
    """

    samples: Samples
    user_conf: dict[str, Number]
