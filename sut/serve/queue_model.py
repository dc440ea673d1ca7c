"""Predicts throughput and latency of a setting: the real policy, on a virtual clock.

Arrivals are Poisson, devices are timelines of S(b), and a few numbers describe the host. The
dispatcher's own `sut.serve.policy.Policy` closes and places the batches.

Does not know LoadGen's schedules: it has its own seeds, and shares only the distribution.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from backends.ladder import fitting
from backends.simulated.jitter import Jitter
from backends.simulated.timeline import Timeline
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.queue_arrivals import NEVER, NS_PER_S, Queries, random_arrivals
from sut.serve.queue_wire import HOME, INTERPRETER, THREAD, Cables, Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

    from numpy.typing import NDArray

    from sut.record.trace import Close
    from sut.serve.batcher import BatcherSettings
    from sut.serve.queue_wire import Network

    # A batch on its way: when the next thing happens to it, its worker, when the device finished it
    # and how long it took, its number, and how many places it has passed on its way home.
    Flying: TypeAlias = tuple[int, int, int, int, int, int]

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
        node: index of its node in the network; None: it is in LoadGen's machine.
    """

    service: ServiceTime
    slots: int = 2
    jitter: Jitter = field(default_factory=Jitter)
    copy_in_ns: float = 0.0
    copy_out_ns: float = 0.0
    max_batch_size: int | None = None
    sizes: tuple[int, ...] = ()
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The time that the program itself adds; by default none.

    Attributes:
        issue_ns: time of one IssueQuery, during which LoadGen issues nothing else.
        coalesce: LoadGen issues all queries that became due meanwhile in one call.
        hop_in_ns: from a closed batch to its launch on the device.
        hop_out_ns: from the device's answer to QuerySamplesComplete and the free slot.
        jitter: how much the two hops differ from batch to batch.
        side: what the interpreter of LoadGen's process needs, and all devices share.
    """

    issue_ns: float = 0.0
    coalesce: bool = True
    hop_in_ns: float = 0.0
    hop_out_ns: float = 0.0
    jitter: Jitter = field(default_factory=Jitter)
    side: Side = field(default_factory=Side)


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
        network: to the devices that have a node; None: all are in LoadGen's machine.
    """

    devices: tuple[Device, ...]
    batcher: BatcherSettings
    scenario: Literal["Server", "Offline"] = "Server"
    qps: float = 0.0
    samples: int = 60_000
    host: Host = MEASURED_HOST
    seed: int = 0
    network: Network | None = None


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
        loads: share of the time in which each thing that the devices share was busy, by name:
            LoadGen's thread in IssueQuery, the interpreter of its process with samples and batches,
            its network, and that of the busiest node.
    """

    latencies_ns: NDArray[np.int64]
    throughput: float
    latency_ns: Mapping[str, float]
    batch_sizes: Mapping[int, int]
    closed_by: Mapping[Close, int]
    device_batches: tuple[int, ...]
    busy: tuple[float, ...]
    loads: Mapping[str, float]

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
    at_once, host = setting.scenario == "Offline", setting.host
    if arrivals_ns is not None:
        scheduled_ns = arrivals_ns
    elif at_once:
        scheduled_ns = np.zeros(setting.samples, np.int64)
    else:
        scheduled_ns = random_arrivals(setting.qps, setting.samples, setting.seed)
    run = _Run(setting)
    run.serve(Queries(scheduled_ns.tolist(), host.issue_ns, host.coalesce, at_once))
    return run.result(scheduled_ns)


def percentile_ns(ascending: NDArray[np.int64], share: float) -> float:
    """Return a percentile as LoadGen computes it (loadgen/results.cc): the element at `share`."""
    return float(ascending[int(share * len(ascending))])


def _cap(device: Device, largest: int) -> int:
    return largest if device.max_batch_size is None else min(device.max_batch_size, largest)


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
        """Return when its answer leaves, when the device finished it, and how long it took."""
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
        nodes = [device.node for device in setting.devices]
        network = setting.network
        self._cables = None if network is None else Cables(network, nodes, setting.seed)
        side = setting.host.side
        self._query_ns, self._sample_ns = int(side.query_ns), side.sample_ns
        self._send_ns, self._answer_ns = side.send_ns, side.answer_ns
        self._clock_ns = 0  # until then the interpreter is busy
        self._interpreter_ns = 0
        self._issuing_ns = 0
        self._flying: list[Flying] = []
        self._sizes: list[int] = []
        self._completed_ns: list[int] = []
        self._closed_by: Counter[Close] = Counter()

    def serve(self, queries: Queries) -> None:
        """Let all queries arrive and all batches finish."""
        policy, flying = self._policy, self._flying
        query_ns, sample_ns = self._query_ns, self._sample_ns
        timer_ns = NEVER
        while (due_ns := queries.due_ns) < NEVER or flying:
            done_ns = flying[0][0] if flying else NEVER
            if due_ns <= done_ns and due_ns <= timer_ns:
                now_ns = self._free(due_ns)
                count = queries.issue(now_ns)
                policy.arrive(now_ns, count)
                if query_ns:
                    self._compute(now_ns, query_ns)
                    self._interpreter_ns -= query_ns  # with more to do it issues larger queries
                if queries.due_ns == NEVER:
                    policy.flush()
                if not policy.has_credit:
                    continue  # as in the dispatcher: the worker that frees a slot finds the query
            elif done_ns <= timer_ns:
                _, worker, finished_ns, service_ns, number, place = heapq.heappop(flying)
                if place < HOME:
                    assert self._cables is not None, "without a network all are at home"
                    done_ns = self._cables.bring(worker, place, done_ns, self._sizes[number])
                    flown = (done_ns, worker, finished_ns, service_ns, number, place + 1)
                    heapq.heappush(flying, flown)
                    continue
                now_ns = self._free(done_ns)
                answer_ns = self._answer_ns + sample_ns * self._sizes[number]
                self._completed_ns[number] = self._compute(now_ns, answer_ns)
                policy.finish(worker, finished_ns, service_ns)
            else:
                now_ns = self._free(timer_ns)
            timer_ns = self._dispatch(now_ns)
        self._issuing_ns = queries.busy_ns

    def _free(self, now_ns: int) -> int:
        """Return when the interpreter turns to something that happens now."""
        return now_ns if now_ns > self._clock_ns else self._clock_ns

    def _compute(self, now_ns: int, ns: float) -> int:
        """Keep the interpreter busy; return until when."""
        free_ns = now_ns if now_ns > self._clock_ns else self._clock_ns
        if ns:
            self._interpreter_ns += int(ns)
            self._clock_ns = free_ns = free_ns + int(ns)
        return free_ns

    def _dispatch(self, now_ns: int) -> int:
        """Send the batches that the policy closes; return when to ask it again."""
        policy = self._policy
        while (batch := policy.next_batch(now_ns)) is not None:
            worker, samples = self._workers[batch.worker], batch.samples
            place, sent_ns = HOME, self._compute(now_ns, self._send_ns)
            if self._cables is not None:
                place, sent_ns = self._cables.send(batch.worker, sent_ns, samples)
            done_ns, finished_ns, service_ns = worker.run(sent_ns, samples)
            number = len(self._sizes)
            flying = (done_ns, batch.worker, finished_ns, service_ns, number, place)
            heapq.heappush(self._flying, flying)
            self._sizes.append(samples)
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
            loads=self._loads(duration_ns),
        )

    def _loads(self, duration_ns: int) -> dict[str, float]:
        cables = {} if self._cables is None else self._cables.busy(duration_ns)
        return {
            THREAD: self._issuing_ns / duration_ns,
            INTERPRETER: self._interpreter_ns / duration_ns,
            **cables,
        }
