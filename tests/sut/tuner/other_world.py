"""A system under test that shares no code with the tuner's model: another policy, another noise.

A naive batcher collects samples until a batch is full or its oldest sample has waited for the
delay, and sends it to the device that is free first. Batches take lognormal
times, the host stalls now and then, and the machine drifts from run to run.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scenarios.early_stopping import allowed_over
from sut.serve.service_times import Measured, Point
from sut.tuner.messages import Measure, Outcome, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sut.tuner.job import Candidate
    from sut.tuner.messages import Ask, Reply

MS = 1e6
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p97": 0.97, "p99": 0.99, "p999": 0.999}


@dataclass
class OtherWorld:
    """Equal devices whose batch of b samples takes `base_ms + each_ms * b`.

    Attributes:
        base_ms: of every batch.
        each_ms: of each sample in it.
        devices: how many.
        bound_ms: of p99.
        jitter: standard deviation of the logarithm of a batch's time.
        stalls: of the host, each second on average; nothing is sent or answered meanwhile.
        stall_ms: length of each.
        drift: standard deviation of the logarithm of the machine's slowness, between runs.
        hop_ms: from the closing of a batch to the device.
        promise: what is measured of S(b), as a share of the truth.
        seed: of everything.
        asked: questions so far.
    """

    base_ms: float = 20.0
    each_ms: float = 8.0
    devices: int = 2
    bound_ms: float = 300.0
    jitter: float = 0.05
    stalls: float = 0.02
    stall_ms: float = 40.0
    drift: float = 0.01
    hop_ms: float = 0.4
    promise: float = 1.0
    seed: int = 7
    asked: list[Ask] = field(default_factory=list)

    def __call__(self, ask: Ask) -> Reply:
        """Reply to a search."""
        self.asked.append(ask)
        return self._measure(ask) if isinstance(ask, Measure) else self.run(ask)

    def batch_ms(self, size: int) -> float:
        """Return the usual time of a batch."""
        return self.base_ms + self.each_ms * size

    def run(self, trial: Trial) -> Outcome:
        """Run a trial; each run has noise of its own, and all have one schedule of arrivals."""
        self.seed += 1
        candidate, qps = trial.candidate, trial.target_qps
        assert qps is not None
        count = math.ceil(trial.seconds * qps)
        gaps_ms = np.random.default_rng(1).exponential(1e3 / qps, count)
        due_ms: NDArray[np.float64] = np.cumsum(gaps_ms)
        noise = np.random.default_rng(self.seed)
        slowness = math.exp(noise.normal(0.0, self.drift))
        done_ms, sizes, end_ms = self._serve(
            due_ms.tolist(), candidate.max_batch_size, delay_us(candidate) / 1e3,
            slowness, noise,
        )  # fmt: skip
        latencies_ms = np.sort(np.array(done_ms) - due_ms)
        over = int((latencies_ms > self.bound_ms).sum())
        allowed = allowed_over(0.99, count)
        found = {name: float(latencies_ms[int(s * count)]) * MS for name, s in SHARES.items()}
        return Outcome(
            valid=allowed is not None and over <= allowed,
            metric=count / end_ms * 1e3,
            samples=count,
            latency_ns={"mean": float(latencies_ms.mean()) * MS, **found},
            over=over,
            histogram=dict(Counter(sizes)),
            seconds=end_ms / 1e3,
        )

    def _serve(
        self, due_ms: Sequence[float], cap: int, delay_ms: float, slowness: float,
        noise: np.random.Generator,
    ) -> tuple[list[float], list[int], float]:  # fmt: skip
        """Return when each sample is answered, the batches' sizes, and the end."""
        free_ms = [0.0] * self.devices
        stalls_ms = self._stalls_ms(due_ms[-1], noise)
        done_ms: list[float] = []
        sizes: list[int] = []
        first = 0
        while first < len(due_ms):
            device = min(range(self.devices), key=free_ms.__getitem__)
            full = first + cap - 1
            full_ms = due_ms[full] if full < len(due_ms) else math.inf
            ready_ms = max(min(full_ms, due_ms[first] + delay_ms), free_ms[device])
            end = first
            while end < len(due_ms) and end - first < cap and due_ms[end] <= ready_ms:
                end += 1
            size = end - first
            start_ms = _after(stalls_ms, ready_ms) + self.hop_ms
            factor = slowness * math.exp(noise.normal(0.0, self.jitter))
            free_ms[device] = start_ms + self.batch_ms(size) * factor
            done_ms += [_after(stalls_ms, free_ms[device]) + self.hop_ms] * size
            sizes.append(size)
            first = end
        return done_ms, sizes, max(done_ms)

    def _stalls_ms(self, end_ms: float, noise: np.random.Generator) -> list[tuple[float, float]]:
        starts = np.sort(noise.uniform(0.0, end_ms, noise.poisson(self.stalls * end_ms / 1e3)))
        return [(start, start + self.stall_ms) for start in starts.tolist()]

    def _measure(self, ask: Measure) -> Measured:
        noise = np.random.default_rng(self.seed)
        points = {}
        for size in ask.sizes:
            usual_ns = self.batch_ms(size) * self.promise * MS
            times = usual_ns * np.exp(noise.normal(0, 0.005, 3))
            points[size] = Point(float(np.median(times)), float(times.min()), float(times.max()))
            if ask.bound_ns is not None and points[size].median_ns > ask.bound_ns:
                break
        return Measured(tuple((str(device), points) for device in range(self.devices)))


def delay_us(candidate: Candidate) -> int:
    """Return how long this world's batcher waits: it closes late when it does not wait at all."""
    delay = candidate.max_queue_delay_us
    return 0 if isinstance(delay, str) else delay


def _after(stalls_ms: Sequence[tuple[float, float]], at_ms: float) -> float:
    """Return when the host gets to what it should do at a time."""
    return next((end for start, end in stalls_ms if start <= at_ms < end), at_ms)
