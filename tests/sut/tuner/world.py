"""The model of the queue in the place of the real program: answers what a search asks.

Its S(b), host and jitter are its own; the search learns of them only through measurements and runs.
LoadGen's seeds are fixed, so a world has one schedule of arrivals; jitter differs from run to run.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from backends.simulated.curve import Scaled
from backends.simulated.jitter import Jitter
from scenarios.early_stopping import allowed_over
from sut.record.trace_facts import TraceFacts
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device, Host
from sut.serve.queue_model import QueueSetting, simulate
from sut.serve.service_times import Measured, Point
from sut.tuner.messages import Measure, Outcome, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backends.simulated.curve import Curve
    from sut.tuner.job import Candidate
    from sut.tuner.messages import Ask, Reply

HOST = Host(6e3, True, 130e3, 330e3, Jitter("lognormal", 0.8))
STEADY = Jitter()
QUANTILES = 200
LEAST_SAMPLES = 200


@dataclass
class World:
    """A system under test that exists in the model alone.

    Attributes:
        curves: S(b) of each device.
        bound_ns: of p99.
        host: hops of process workers.
        jitter: of the devices.
        drift: standard deviation of the logarithm of the machine's slowness, from run to run.
        seed: of the arrivals.
        most_samples: of one simulated run; a longer one is cut, and counts at its full length.
        thread_penalty: factor on the hops of thread workers.
        largest: batch size that the engines take.
        busy: how busy one engine keeps a device, as S(b) is measured.
        power_w: of a device that is idle, and of one that is busy; None: nothing measures it.
        asked: all that was asked.
        loadgen_s: seconds of LoadGen runs so far, by purpose.
        numbers: of the runs: each has jitter of its own.
    """

    curves: Sequence[Curve]
    bound_ns: float
    host: Host = HOST
    jitter: Jitter = STEADY
    drift: float = 0.0
    seed: int = 100
    most_samples: int = 40_000
    thread_penalty: float = 1.5
    largest: int = 1024
    busy: float = 0.0
    power_w: tuple[float, float] | None = None
    asked: list[Ask] = field(default_factory=list)
    loadgen_s: dict[str, float] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, ask: Ask) -> Reply:
        """Answer a search."""
        self.asked.append(ask)
        return self._measure(ask) if isinstance(ask, Measure) else self.run(ask)

    def _measure(self, ask: Measure) -> Measured:
        generator = np.random.default_rng((self.seed, 1))
        workers = []
        for index, curve in enumerate(self.curves):
            points = {}
            for size in ask.sizes:
                service_ns = curve.service_ns(size)
                if size > self.largest:
                    break
                factors = self.jitter.factors(self.seed, index, size)
                medians = [
                    float(np.median([next(factors) for _ in range(5)])) * service_ns
                    for _ in range(3)
                ]
                noise = 1 + generator.normal(0, 0.002)
                median_ns = float(np.median(medians)) * noise
                points[size] = Point(median_ns, min(medians), max(medians), busy=self.busy)
                if ask.bound_ns and service_ns > ask.bound_ns:
                    break
            workers.append((str(index), points))
        return Measured(tuple(workers), is_async=True)

    def run(self, trial: Trial) -> Outcome:
        """Run a trial on the virtual clock."""
        assert trial.target_qps is not None
        number = next(self.numbers)
        wanted = math.ceil(trial.seconds * trial.target_qps)
        count = max(min(wanted, self.most_samples), LEAST_SAMPLES)
        gaps_s = np.random.default_rng(self.seed).exponential(1 / trial.target_qps, count)
        result = simulate(
            self.setting(trial.candidate, trial.target_qps, number),
            (np.cumsum(gaps_s) * 1e9).astype(np.int64),
        )
        over = int((result.latencies_ns > self.bound_ns).sum())
        allowed = allowed_over(0.99, count)
        seconds = max(trial.seconds, wanted / result.throughput)
        self.loadgen_s[trial.purpose] = self.loadgen_s.get(trial.purpose, 0.0) + seconds
        return Outcome(
            valid=allowed is not None and over <= allowed,
            metric=result.throughput,
            samples=count,
            latency_ns=dict(result.latency_ns),
            over=over,
            histogram=dict(result.batch_sizes),
            seconds=seconds,
            trace_facts=self._trace_facts(trial.candidate),
            busy={str(k): share for k, share in enumerate(result.busy)},
            power_w=self._power_w(max(result.busy)),
        )

    def _power_w(self, busy: float) -> float | None:
        if self.power_w is None:
            return None
        idle_w, busy_w = self.power_w
        return idle_w + busy * (busy_w - idle_w)

    def setting(self, candidate: Candidate, qps: float, seed: int) -> QueueSetting:
        """Return what a candidate is in this world."""
        caps = dict(candidate.caps)
        slowness = math.exp(np.random.default_rng((self.seed, seed)).normal(0, self.drift))
        devices = tuple(
            Device(
                Scaled(curve, slowness),
                candidate.slots,
                self.jitter,
                max_batch_size=caps.get(str(index)),
                sizes=candidate.ladder(str(index)),
            )
            for index, curve in enumerate(self.curves)
        )
        delay_us = candidate.max_queue_delay_us
        delay_ns = None if isinstance(delay_us, str) else delay_us * 1000
        batcher = BatcherSettings(candidate.max_batch_size, delay_ns)
        return QueueSetting(devices, batcher, qps=qps, host=self._host(candidate), seed=seed)

    def _host(self, candidate: Candidate) -> Host:
        slower = self.thread_penalty if candidate.workers == "thread" else 1.0
        host = self.host
        return replace(host, hop_in_ns=host.hop_in_ns * slower, hop_out_ns=host.hop_out_ns * slower)

    def _trace_facts(self, candidate: Candidate) -> TraceFacts:
        host = self._host(candidate)
        return TraceFacts(
            1.0, _quantiles(self.jitter), host.hop_in_ns, host.hop_out_ns, _quantiles(host.jitter)
        )


def _quantiles(jitter: Jitter) -> tuple[float, ...]:
    if not jitter.acts:
        return (1.0,)
    factors = jitter.factors(1)
    drawn = [next(factors) for _ in range(4_000)]
    found = np.quantile(drawn, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return tuple(float(value) for value in found)
