"""Builds the workers of a run and the system under test in front of them.

Knows settings, workers and the dispatcher; never LoadGen.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from scenarios.base import Capacity
from sut.base.extras import needs_pyzmq
from sut.config.settings import Limits
from sut.serve.batch_limit import Known
from sut.serve.batcher import BatcherSettings
from sut.serve.crew import Terms, all_of, each_heard, hire
from sut.serve.direct import DirectSut
from sut.serve.dispatcher import Dispatcher
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.samples import SampleReader
from sut.serve.specs import executor_spec, process_specs
from sut.serve.workers.asked import AskedProcess
from sut.serve.workers.closing import close_all
from sut.serve.workers.executor import Executor
from sut.serve.workers.inline import InlineWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backends.base import OptionValue
    from sut.config.settings import Lent
    from sut.serve.direct import DirectWorker
    from sut.serve.dispatcher import Failure, Outlets
    from sut.serve.samples import SampleSource
    from sut.serve.specs import SystemRequest
    from sut.serve.workers.executor import ExecutorSpec, Timing

CLOSE_MARGIN_S = 0.5


class System(Protocol):
    """Workers and their front: opens engines, loads samples, warms up, then takes queries."""

    @property
    def sut_name(self) -> Callable[[], str] | None:
        """What asks the SUT for its name; None: it is here, and has none of its own."""

    def open(self) -> list[dict[str, OptionValue]]:
        """Open all engines, side by side; return the facts of each. Raises the first error.

        The caller's listener (sut.base.steps) hears what they do.
        """

    def load(self, source: SampleSource) -> None:
        """Bring samples into every worker's memory."""

    def warm_up(
        self,
        indices: Sequence[int],
        samples_per_query: int,
        limit_s: float,
        bound_ns: float | None = None,
    ) -> Capacity:
        """Run loaded samples until the batch time is steady; return what the workers can do.

        Where the harness leaves the largest batch open, it is chosen now.

        Args:
            indices: of loaded samples.
            samples_per_query: of the scenario.
            limit_s: seconds at most for each batch size.
            bound_ns: the latency bound of a sample; None: there is none.
        """

    def front(self) -> Front:
        """Return what LoadGen drives. Call it once, after warm_up."""

    def counts(self) -> dict[str, float]:
        """Return what the workers counted since warm-up, together; call it after the last answer.

        See sut.serve.workers.executor.Executor.counts.
        """

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


class DirectSystem:
    """One engine that LoadGen's thread waits for, in this process or in another."""

    sut_name = None

    def __init__(self, request: SystemRequest, outlets: Outlets, worker: DirectWorker) -> None:
        self._outlets = outlets
        self._worker = worker
        self._harness = request.harness
        _, self._device = next(request.harness.worker_devices())

    def open(self) -> list[dict[str, OptionValue]]:
        """See System."""
        facts = self._worker.open()
        self._known = Known.of(self._harness, self._device, facts)
        return [facts]

    def load(self, source: SampleSource) -> None:
        """See System."""
        self._worker.load(source)

    def warm_up(
        self,
        indices: Sequence[int],
        samples_per_query: int,
        limit_s: float,
        bound_ns: float | None = None,
    ) -> Capacity:
        """See System."""
        sizes = self._known.warm_up_sizes(samples_per_query)
        measured = self._known.chosen(self._worker.warm_up(indices, sizes, limit_s), bound_ns)
        self._cap = max(measured)
        return capacity([measured], samples_per_query)

    def front(self) -> Front:
        """See System."""
        return DirectSut(self._worker, self._cap, self._outlets)

    def counts(self) -> dict[str, float]:
        """See System."""
        return self._worker.counts()

    def close(self) -> None:
        """See System."""
        self._worker.close()


class BatchSystem:
    """Workers in other threads or processes, behind a dispatcher."""

    sut_name = None

    def __init__(
        self,
        request: SystemRequest,
        outlets: Outlets,
        limits: Limits,
        lent: Sequence[Lent] = (),
        open_: Callable[[ExecutorSpec], Executor] = Executor,
    ) -> None:
        harness = self._harness = request.harness
        self._limits = limits
        named = list(harness.worker_devices())
        settings = BatcherSettings(harness.max_batch_size, harness.max_queue_delay_ns)
        self._policy = Policy(
            settings, [WorkerLimits(harness.slots, harness.cap(device)) for _, device in named]
        )
        self._dispatcher = Dispatcher(self._policy, outlets)
        self._reader = SampleReader()
        self._workers, self._receiver = hire(
            request, self._dispatcher, self._reader, Terms(limits, lent, open_)
        )

    def open(self) -> list[dict[str, OptionValue]]:
        """See System."""
        calls = [worker.open() for worker in each_heard(self._workers)]
        if self._receiver is not None:
            self._receiver.start()
        facts = all_of(calls)
        devices = (device for _, device in self._harness.worker_devices())
        self._known = [
            Known.of(self._harness, device, found)
            for device, found in zip(devices, facts, strict=True)
        ]
        return facts

    def load(self, source: SampleSource) -> None:
        """See System."""
        all_of(worker.load(source) for worker in self._workers)

    def warm_up(
        self,
        indices: Sequence[int],
        samples_per_query: int,
        limit_s: float,
        bound_ns: float | None = None,
    ) -> Capacity:
        """See System. All workers at once, as in the run."""
        calls = [
            worker.warm_up(indices, known.warm_up_sizes(samples_per_query), limit_s)
            for worker, known in zip(self._workers, self._known, strict=True)
        ]
        measured = [
            known.chosen(timings, bound_ns)
            for known, timings in zip(self._known, all_of(calls), strict=True)
        ]
        for worker, (known, timings) in enumerate(zip(self._known, measured, strict=True)):
            times_ns = {size: timing.median_ns for size, timing in timings.items()}
            self._policy.prime(worker, times_ns, known.ladder)
            self._policy.limit(worker, max(timings))
        return capacity(measured, samples_per_query)

    def front(self) -> Dispatcher:
        """See System."""
        self._dispatcher.start(self._workers)
        return self._dispatcher

    def counts(self) -> dict[str, float]:
        """See System."""
        found: Counter[str] = Counter()
        left = [worker for k, worker in enumerate(self._workers) if k not in self._policy.lost]
        for of_worker in all_of(worker.counts() for worker in left):
            found.update(of_worker)
        return dict(found)

    def close(self) -> None:
        """See System."""
        self._dispatcher.close()
        if self._receiver is not None:
            self._receiver.close()
        closers = {worker.name: worker.close for worker in self._workers}
        # A little more than a worker process has, which reports by itself that it was killed.
        close_all(closers, self._limits.close_s + CLOSE_MARGIN_S)
        close_all({"samples": self._reader.close}, CLOSE_MARGIN_S)


def open_system(
    request: SystemRequest,
    outlets: Outlets,
    limits: Limits | None = None,
    lent: Sequence[Lent] = (),
    *,
    closed_loop: bool = False,
) -> System:
    """Make the system that `request.harness` describes; nothing is opened yet.

    Args:
        request: what it is made of.
        outlets: where it sends what it has.
        limits: when what does not go on is ended; None: the usual ones.
        lent: a kept process for each process worker; empty: the workers start their own.
        closed_loop: whoever asks waits for each answer before the next query.
    """
    limits = limits or Limits()
    kind, remote = request.harness.workers, request.harness.remote
    if remote is not None and remote.travel is not None:
        with needs_pyzmq("--cluster"):
            from sut.serve.network.system import NetworkSystem  # noqa: PLC0415 - an extra
        return NetworkSystem(request, outlets, limits)
    (name, device), *others = request.harness.worker_devices()
    if kind == "inline":
        inline = InlineWorker(name, executor_spec(request, device), limits.close_s)
        return DirectSystem(request, outlets, inline)
    if kind == "process" and closed_loop and not others:
        (spec,) = process_specs(request, limits, lent)
        return DirectSystem(request, outlets, AskedProcess(spec))
    return BatchSystem(request, outlets, limits, lent)


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
        max_batch_size=max(cap for cap, _ in full),
    )
