"""Predicts throughput and latency of a setting: the real policy, on a virtual clock.

Arrivals are Poisson, devices are timelines of S(b), and a few numbers describe the host. The
dispatcher's own `sut.serve.policy.Policy` closes and places the batches.

Does not know LoadGen's schedules: it has its own seeds, and shares only the distribution.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from backends.ladder import fitting
from backends.simulated.jitter import Jitter
from backends.simulated.timeline import Timeline
from sut.serve.policy import Policy, WorkerLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sut.record.trace import Close
    from sut.serve.batcher import BatcherSettings

NS_PER_S = 1e9
NEVER = 1 << 62
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p999": 0.999}
# Distinct from the random streams of the devices' jitter.
HOST_STREAM = 1 << 16


class ServiceTime(Protocol):
    """S(b), such as `backends.simulated.curve.Curve`."""

    def service_ns(self, batch: int, /) -> float:
        """Return the time of a batch of `batch` samples in ns."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, and the worker in front of it.

    Attributes:
        service: its S(b).
        slots: batches in flight.
        jitter: how much its batches differ from S(b).
        copy_in_ns: time to bring one sample to the device.
        copy_out_ns: time to bring one answer back.
        max_batch_size: samples, if the device takes fewer than the batcher allows.
        sizes: the engine's ladder, ascending, up to its largest batch; empty: it runs every size.
    """

    service: ServiceTime
    slots: int = 2
    jitter: Jitter = field(default_factory=Jitter)
    copy_in_ns: float = 0.0
    copy_out_ns: float = 0.0
    max_batch_size: int | None = None
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The time that the program itself adds; by default none.

    Attributes:
        issue_ns: time of one IssueQuery, during which LoadGen issues nothing else.
        coalesce: LoadGen issues all queries that became due meanwhile in one call.
        hop_in_ns: from a closed batch to its launch on the device.
        hop_out_ns: from the device's answer to QuerySamplesComplete and the free slot.
        jitter: how much the two hops differ from batch to batch.
    """

    issue_ns: float = 0.0
    coalesce: bool = True
    hop_in_ns: float = 0.0
    hop_out_ns: float = 0.0
    jitter: Jitter = field(default_factory=Jitter)


# From traces of process workers and simulated devices on two shared cores at 4,000 to 20,710
# queries/s; hop_in while the device was idle. Measure your own machine.
MEASURED_HOST = Host(6e3, True, 110e3, 290e3, Jitter("lognormal", 0.8))


@dataclass(frozen=True, slots=True)
class QueueSetting:
    """What to simulate.

    Attributes:
        devices: one worker each.
        batcher: when batches are closed.
        scenario: Server: Poisson arrivals of single samples; Offline: all samples at once.
        qps: rate of arrivals; only Server has one.
        samples: how many.
        host: what the program adds.
        seed: of arrivals and jitter.
    """

    devices: tuple[Device, ...]
    batcher: BatcherSettings
    scenario: Literal["Server", "Offline"] = "Server"
    qps: float = 0.0
    samples: int = 60_000
    host: Host = MEASURED_HOST
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class QueueResult:
    """The result of a simulation.

    Attributes:
        latencies_ns: of every sample, from its scheduled arrival to its completion, ascending.
        throughput: samples per second, from the first arrival to the last completion.
        latency_ns: mean and PERCENTILES.
        batch_sizes: batches by size.
        closed_by: batches by what closed them.
        device_batches: batches by device.
        busy: share of the time in which each device computed.
    """

    latencies_ns: NDArray[np.int64]
    throughput: float
    latency_ns: Mapping[str, float]
    batch_sizes: Mapping[int, int]
    closed_by: Mapping[Close, int]
    device_batches: tuple[int, ...]
    busy: tuple[float, ...]

    def percentile_ns(self, share: float) -> float:
        """Return the latency that a `share` of the samples does not exceed; 0 to below 1."""
        return percentile_ns(self.latencies_ns, share)


def simulate(setting: QueueSetting, arrivals_ns: NDArray[np.int64] | None = None) -> QueueResult:
    """Run one setting; the same setting gives the same result.

    Args:
        setting: what to run.
        arrivals_ns: when each sample arrives, ascending, instead of random arrivals. Use it to
            compare with a finished run, because arrival seeds differ by up to 10 %.
    """
    scheduled_ns = _schedule(setting) if arrivals_ns is None else arrivals_ns
    run = _Run(setting)
    run.serve(*_issue(setting, scheduled_ns.tolist()))
    return run.result(scheduled_ns)


def percentile_ns(ascending: NDArray[np.int64], share: float) -> float:
    """Return a percentile as LoadGen computes it (loadgen/results.cc): the element at `share`."""
    return float(ascending[int(share * len(ascending))])


def _cap(device: Device, largest: int) -> int:
    return largest if device.max_batch_size is None else min(device.max_batch_size, largest)


def _schedule(setting: QueueSetting) -> NDArray[np.int64]:
    """Return when each sample arrives in ns, ascending."""
    if setting.scenario == "Offline":
        return np.zeros(setting.samples, np.int64)
    generator = np.random.default_rng(setting.seed)
    gaps_s = generator.exponential(1 / setting.qps, setting.samples)
    return (np.cumsum(gaps_s) * NS_PER_S).astype(np.int64)


def _issue(setting: QueueSetting, due_ns: list[int]) -> tuple[list[int], list[int]]:
    """Return when LoadGen's thread issues each query, and the samples in it."""
    if setting.scenario == "Offline":
        return due_ns[:1], [len(due_ns)]
    issue_ns, coalesce = int(setting.host.issue_ns), setting.host.coalesce
    if not issue_ns:
        return due_ns, [1] * len(due_ns)
    issued_ns, counts = [], []
    first, free_ns = 0, 0
    while first < len(due_ns):
        now_ns = max(due_ns[first], free_ns)
        end = bisect_right(due_ns, now_ns, first) if coalesce else first + 1
        issued_ns.append(now_ns)
        counts.append(end - first)
        first, free_ns = end, now_ns + issue_ns
    return issued_ns, counts


class _Worker:
    """A device with the hops to it; makes no decision."""

    def __init__(self, index: int, setting: QueueSetting) -> None:
        device, host = setting.devices[index], setting.host
        sizes = range(1, _cap(device, setting.batcher.max_batch_size) + 1)
        taken = (fitting(device.sizes, size) for size in sizes)
        self.service_ns = [0.0, *map(device.service.service_ns, taken)]
        factors = device.jitter.factors(setting.seed, index) if device.jitter.acts else None
        self._timeline = Timeline(self.service_ns, factors, device.copy_in_ns, device.copy_out_ns)
        self._hops: Iterator[float] | None = None
        if host.jitter.acts:
            self._hops = host.jitter.factors(setting.seed, HOST_STREAM + index)
        self._in_ns, self._out_ns = host.hop_in_ns, host.hop_out_ns
        self._launched_ns = self._completed_ns = 0
        self.busy_ns = self.batches = 0

    def run(self, closed_ns: int, samples: int) -> tuple[int, int, int]:
        """Return when a batch is complete, when the device finished it, and how long it took."""
        in_ns, out_ns = self._in_ns, self._out_ns
        if self._hops is not None:
            in_ns *= next(self._hops)
            out_ns *= next(self._hops)
        # One thread launches and one completes, each in order.
        self._launched_ns = max(closed_ns + int(in_ns), self._launched_ns)
        times = self._timeline.submit(self._launched_ns, samples)
        self._completed_ns = max(times.done_ns + int(out_ns), self._completed_ns)
        service_ns = times.finished_ns - times.started_ns
        self.busy_ns += service_ns
        self.batches += 1
        return self._completed_ns, times.finished_ns, service_ns


class _Run:
    """The role of the dispatcher: gives the policy all events in order of time."""

    def __init__(self, setting: QueueSetting) -> None:
        caps = [_cap(device, setting.batcher.max_batch_size) for device in setting.devices]
        self._workers = [_Worker(index, setting) for index in range(len(setting.devices))]
        slots = [device.slots for device in setting.devices]
        self._policy = Policy(setting.batcher, list(map(WorkerLimits, slots, caps)))
        for index, (worker, cap) in enumerate(zip(self._workers, caps, strict=True)):
            # As warm-up measures it.
            ladder = setting.devices[index].sizes
            measured = {1, cap, *ladder}
            times_ns = {size: worker.service_ns[size] for size in measured}
            self._policy.prime(index, times_ns, ladder)
        self._sizes: list[int] = []
        self._completed_ns: list[int] = []
        self._closed_by: Counter[Close] = Counter()

    def serve(self, issued_ns: Sequence[int], counts: Sequence[int]) -> None:
        """Let all queries arrive, each of so many samples, and all batches finish."""
        policy = self._policy
        in_flight: list[tuple[int, int, int, int]] = []
        queries = zip(issued_ns, counts, strict=True)
        query_ns, count = next(queries)
        timer_ns = NEVER
        while query_ns < NEVER or in_flight:
            done_ns = in_flight[0][0] if in_flight else NEVER
            if query_ns <= done_ns and query_ns <= timer_ns:
                now_ns = query_ns
                policy.arrive(now_ns, count)
                query_ns, count = next(queries, (NEVER, 0))
                if query_ns == NEVER:
                    policy.flush()
                if not policy.has_credit:
                    continue  # as in the dispatcher: the worker that frees a slot finds the query
            elif done_ns <= timer_ns:
                now_ns, worker, finished_ns, service_ns = heapq.heappop(in_flight)
                policy.finish(worker, finished_ns, service_ns)
            else:
                now_ns = timer_ns
            timer_ns = self._dispatch(now_ns, in_flight)

    def _dispatch(self, now_ns: int, in_flight: list[tuple[int, int, int, int]]) -> int:
        """Send the batches that the policy closes; return when to ask it again."""
        policy = self._policy
        while (batch := policy.next_batch(now_ns)) is not None:
            done_ns, finished_ns, service_ns = self._workers[batch.worker].run(
                now_ns, batch.samples
            )
            heapq.heappush(in_flight, (done_ns, batch.worker, finished_ns, service_ns))
            self._sizes.append(batch.samples)
            self._completed_ns.append(done_ns)
            self._closed_by[batch.why] += 1
        due_ns = policy.due_ns(now_ns)
        return NEVER if due_ns is None else due_ns

    def result(self, scheduled_ns: NDArray[np.int64]) -> QueueResult:
        """Compute the result; batches hold the samples in order of arrival."""
        completed_ns = np.repeat(np.array(self._completed_ns, np.int64), self._sizes)
        latencies_ns = np.sort(completed_ns - scheduled_ns)
        duration_ns = int(completed_ns.max() - scheduled_ns[0])
        latency_ns = {
            name: percentile_ns(latencies_ns, share) for name, share in PERCENTILES.items()
        }
        return QueueResult(
            latencies_ns=latencies_ns,
            throughput=len(latencies_ns) / duration_ns * NS_PER_S,
            latency_ns={"mean": float(latencies_ns.mean()), **latency_ns},
            batch_sizes=dict(sorted(Counter(self._sizes).items())),
            closed_by=dict(self._closed_by),
            device_batches=tuple(worker.batches for worker in self._workers),
            busy=tuple(worker.busy_ns / duration_ns for worker in self._workers),
        )
