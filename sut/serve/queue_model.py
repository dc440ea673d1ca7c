"""Predicts throughput and latency of a setting: the real policy, on a virtual clock.

Arrivals are Poisson, devices are timelines of S(b), and a few numbers describe the host. The
dispatcher's own `sut.serve.policy.Policy` closes and places the batches.

Does not know LoadGen's schedules: it has its own seeds, and shares only the distribution.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sut.serve.policy import MIN_WAIT_NS, Policy, WorkerLimits
from sut.serve.queue_arrivals import NEVER, NS_PER_S, Queries, random_arrivals
from sut.serve.queue_device import MEASURED_HOST, Device, Host, Worker, cap_of
from sut.serve.queue_limits import TooLate, Watch
from sut.serve.queue_wire import HOME, INTERPRETER, THREAD, Cables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from sut.record.trace import Close
    from sut.serve.batcher import BatcherSettings
    from sut.serve.queue_limits import Limit
    from sut.serve.queue_wire import Network

    # A batch on its way: when the next thing happens to it, its worker, when the device finished it
    # and how long it took, its number, and how many places it has passed on its way home.
    Flying: TypeAlias = tuple[int, int, int, int, int, int]

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p999": 0.999}


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
    return _simulate(setting, _arrivals_ns(setting) if arrivals_ns is None else arrivals_ns)


def simulate_within(setting: QueueSetting, limits: Sequence[Limit]) -> QueueResult | None:
    """Run one setting; None as soon as a limit is reached, which takes a part of the time."""
    try:
        return _simulate(setting, _arrivals_ns(setting), limits)
    except TooLate:
        return None


def _arrivals_ns(setting: QueueSetting) -> NDArray[np.int64]:
    if setting.scenario == "Offline":
        return np.zeros(setting.samples, np.int64)
    return random_arrivals(setting.qps, setting.samples, setting.seed)


def _simulate(
    setting: QueueSetting, scheduled_ns: NDArray[np.int64], limits: Sequence[Limit] = ()
) -> QueueResult:
    at_once, host, times_ns = setting.scenario == "Offline", setting.host, scheduled_ns.tolist()
    run = _Run(setting, Watch(times_ns, limits) if limits else None)
    run.serve(Queries(times_ns, host.issue_ns, host.coalesce, at_once))
    return run.result(scheduled_ns)


def percentile_ns(ascending: NDArray[np.int64], share: float) -> float:
    """Return a percentile as LoadGen computes it (loadgen/results.cc): the element at `share`."""
    return float(ascending[int(share * len(ascending))])


class _Run:
    """The role of the dispatcher: gives the policy all events in order of time."""

    def __init__(self, setting: QueueSetting, watch: Watch | None) -> None:
        self._watch = watch
        caps = [cap_of(device, setting.batcher.max_batch_size) for device in setting.devices]
        self._workers = [
            Worker(device, cap, setting.host, (setting.seed, index))
            for index, (device, cap) in enumerate(zip(setting.devices, caps, strict=True))
        ]
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
                now_ns = due_ns if due_ns > self._clock_ns else self._clock_ns
                count = queries.issue(now_ns)
                policy.arrive(now_ns, count)
                if query_ns:
                    self._compute(now_ns, query_ns)
                    self._interpreter_ns -= query_ns  # with more to do it issues larger queries
                if queries.due_ns == NEVER:
                    policy.flush()
                if not policy.has_credit:
                    continue  # as in the dispatcher: the worker that frees a slot finds the query
                if now_ns + MIN_WAIT_NS <= timer_ns < NEVER and policy.rests(now_ns):
                    continue  # the policy would say the same again
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
            if self._watch is not None:
                self._watch.closed(samples, done_ns)
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
