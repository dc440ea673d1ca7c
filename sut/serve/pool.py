"""Builds the workers of a run and the system under test in front of them.

Knows settings, workers and the dispatcher; never LoadGen.
"""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Protocol, TypeVar

from scenarios.base import Capacity
from sut.base.process import bind_process, parse_cpus
from sut.config.settings import Limits
from sut.serve.batcher import BatcherSettings
from sut.serve.dispatcher import Dispatcher
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.samples import SampleReader
from sut.serve.workers.closing import close_all
from sut.serve.workers.executor import Executor, ExecutorSpec, Timing
from sut.serve.workers.failures import naming
from sut.serve.workers.inline import InlineSut
from sut.serve.workers.process import ProcessSpec, ProcessWorker, Receiver
from sut.serve.workers.thread import ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from backends.base import OptionValue
    from sut.config.settings import HarnessSettings, Lent
    from sut.config.workload import Workload
    from sut.serve.dispatcher import Failure, Outlets
    from sut.serve.samples import SampleSource
    from sut.serve.workers.base import Worker

T = TypeVar("T")

CLOSE_MARGIN_S = 0.5


class SystemRequest(Protocol):
    """What describes a system; the requests of the loads contain more."""

    @property
    def workload(self) -> Workload:
        """The model and its samples."""

    @property
    def harness(self) -> HarnessSettings:
        """How batches are made, and which workers run them."""


class System(Protocol):
    """Workers and their front: opens engines, loads samples, warms up, then takes queries."""

    def open(self) -> list[dict[str, OptionValue]]:
        """Open all engines, side by side; return the facts of each. Raises the first error."""

    def load(self, source: SampleSource) -> None:
        """Bring samples into every worker's memory."""

    def warm_up(self, indices: Sequence[int], samples_per_query: int, limit_s: float) -> Capacity:
        """Run loaded samples until the batch time is steady; return what the workers can do."""

    def front(self) -> Front:
        """Return what LoadGen drives. Call it once, after warm_up."""

    def not_finite(self) -> int:
        """Count the samples since warm-up whose answer is not a number; call it after the last."""

    def close(self) -> None:
        """Close all engines and end all workers; those that hang are left as they are."""


class Front(Protocol):
    """The system under test as LoadGen sees it."""

    @property
    def failure(self) -> Failure | None:
        """The first failure, or None."""

    @property
    def waiting_since_ns(self) -> int | None:
        """When the oldest batch without an answer was sent; None without one."""

    @property
    def completed(self) -> tuple[int, int]:
        """Batches and samples that are complete."""

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        """See sut.load.loadgen.QuerySink."""

    def flush_queries(self) -> None:
        """See sut.load.loadgen.QuerySink."""


class InlineSystem:
    """One engine on LoadGen's thread."""

    def __init__(self, request: SystemRequest, outlets: Outlets, limits: Limits) -> None:
        self._request = request
        self._outlets = outlets
        self._limits = limits
        self._name, self._device = next(iter(request.harness.worker_devices()))
        self._executor: Executor | None = None
        self._reader = SampleReader()

    def open(self) -> list[dict[str, OptionValue]]:
        """See System."""
        spec = executor_spec(self._request, self._device)
        if spec.cpus:
            bind_process(parse_cpus(spec.cpus))  # LoadGen's thread, which runs the engine, too
        with naming(self._name, "open"):
            self._executor = Executor(spec)
            return [self._executor.facts()]

    def load(self, source: SampleSource) -> None:
        """See System."""
        with naming(self._name, "load"):
            executor = self._opened()
            executor.load(self._reader.read(source, executor.memory))

    def warm_up(self, indices: Sequence[int], samples_per_query: int, limit_s: float) -> Capacity:
        """See System."""
        cap = self._request.harness.cap(self._device)
        sizes = warm_up_sizes(cap, samples_per_query)
        with naming(self._name, "warm_up"):
            measured = self._opened().warm_up(indices, sizes, limit_s)
        return capacity([measured], samples_per_query)

    def front(self) -> Front:
        """See System."""
        cap = self._request.harness.cap(self._device)
        return InlineSut(self._name, self._opened(), cap, self._outlets)

    def not_finite(self) -> int:
        """See System."""
        return self._opened().not_finite

    def close(self) -> None:
        """See System."""
        if self._executor is not None:
            close_all({self._name: self._executor.close}, self._limits.close_s)
            close_all({"samples": self._reader.close}, CLOSE_MARGIN_S)

    def _opened(self) -> Executor:
        assert self._executor is not None, "open() comes first"
        return self._executor


class BatchSystem:
    """Workers in other threads or processes, behind a dispatcher."""

    def __init__(
        self,
        request: SystemRequest,
        outlets: Outlets,
        limits: Limits,
        lent: Sequence[Lent] = (),
    ) -> None:
        harness = self._harness = request.harness
        self._limits = limits
        named = list(harness.worker_devices())
        settings = BatcherSettings(harness.max_batch_size, harness.max_queue_delay_ns)
        self._policy = Policy(
            settings, [WorkerLimits(harness.slots, harness.cap(device)) for _, device in named]
        )
        self._dispatcher = Dispatcher(self._policy, outlets)
        specs = [(name, executor_spec(request, device)) for name, device in named]
        self._reader = SampleReader()
        self._workers: Sequence[Worker]
        self._receiver: Receiver | None = None
        if harness.workers == "process":
            self._workers, self._receiver = self._processes(specs, lent)
        else:
            self._workers = self._threads(specs)

    def _threads(self, specs: Sequence[tuple[str, ExecutorSpec]]) -> list[ThreadWorker]:
        front, reader = self._dispatcher, self._reader
        return [
            ThreadWorker(name, spec, reader, front.finished, front.fail) for name, spec in specs
        ]

    def _processes(
        self, specs: Sequence[tuple[str, ExecutorSpec]], lent: Sequence[Lent]
    ) -> tuple[list[ProcessWorker], Receiver]:
        front, limits = self._dispatcher, self._limits
        parts = [
            ProcessSpec(
                name,
                index,
                spec,
                spec.cpus,
                hang_floor_s=limits.worker_hang_s,
                close_s=limits.close_s,
                lent=lent[index] if lent else None,
            )
            for index, (name, spec) in enumerate(specs)
        ]
        workers = [ProcessWorker(part, front.finished, front.fail) for part in parts]
        return workers, Receiver(workers, front.give_up)

    def open(self) -> list[dict[str, OptionValue]]:
        """See System."""
        calls = [worker.open() for worker in self._workers]
        if self._receiver is not None:
            self._receiver.start()
        return _all(calls)

    def load(self, source: SampleSource) -> None:
        """See System."""
        _all([worker.load(source) for worker in self._workers])

    def warm_up(self, indices: Sequence[int], samples_per_query: int, limit_s: float) -> Capacity:
        """See System. All workers at once, as in the run."""
        caps = [self._harness.cap(device) for _, device in self._harness.worker_devices()]
        calls = [
            worker.warm_up(indices, warm_up_sizes(cap, samples_per_query), limit_s)
            for worker, cap in zip(self._workers, caps, strict=True)
        ]
        measured = _all(calls)
        for worker, times_ns in enumerate(measured):
            self._policy.prime(worker, {size: t.median_ns for size, t in times_ns.items()})
        return capacity(measured, samples_per_query)

    def front(self) -> Front:
        """See System."""
        self._dispatcher.start(self._workers)
        return self._dispatcher

    def not_finite(self) -> int:
        """See System."""
        return sum(_all([worker.not_finite() for worker in self._workers]))

    def close(self) -> None:
        """See System."""
        self._dispatcher.close()
        if self._receiver is not None:
            self._receiver.close()
        closers = {worker.name: worker.close for worker in self._workers}
        # A little more than a worker process has, which reports by itself that it was killed.
        close_all(closers, self._limits.close_s + CLOSE_MARGIN_S)
        close_all({"samples": self._reader.close}, CLOSE_MARGIN_S)


def _all(calls: Sequence[Future[T]]) -> list[T]:
    """Wait for all, then return their values, or raise the first error."""
    wait(calls)
    return [call.result() for call in calls]


def open_system(
    request: SystemRequest,
    outlets: Outlets,
    limits: Limits | None = None,
    lent: Sequence[Lent] = (),
) -> System:
    """Make the system that `request.harness` describes; nothing is opened yet.

    Args:
        request: what it is made of.
        outlets: where it sends what it has.
        limits: when what does not go on is ended; None: the usual ones.
        lent: a kept process for each process worker; empty: the workers start their own.
    """
    limits = limits or Limits()
    if request.harness.workers == "inline":
        return InlineSystem(request, outlets, limits)
    return BatchSystem(request, outlets, limits, lent)


def executor_spec(request: SystemRequest, device: str) -> ExecutorSpec:
    """Return what a worker on `device` needs to open its engine."""
    workload = request.workload
    harness = request.harness
    cpus = harness.affinity.get(device, "")
    return ExecutorSpec(harness.engine(workload, device), workload.postprocess, cpus)


def warm_up_sizes(cap: int, samples_per_query: int) -> tuple[int, ...]:
    """Return the batch sizes to measure: 1, the size of a single query, and the full batch."""
    return tuple(sorted({1, min(samples_per_query, cap), cap}))


def capacity(measured: Sequence[Mapping[int, Timing]], samples_per_query: int) -> Capacity:
    """Add up what the workers measured in parallel; see scenarios.base.Capacity.

    The largest measured size of a worker is its full batch.
    """
    full = [(max(timings), timings[max(timings)]) for timings in measured]
    alone = [min(samples_per_query, cap) for cap, _ in full]
    rounds = -(-samples_per_query // sum(alone))
    lone_ns = [timings[size].fastest_ns for timings, size in zip(measured, alone, strict=True)]
    return Capacity(
        samples_per_s=sum(cap / timing.median_ns * 1e9 for cap, timing in full),
        peak_samples_per_s=sum(cap / timing.fastest_ns * 1e9 for cap, timing in full),
        latency_ns=rounds * min(lone_ns),
    )
