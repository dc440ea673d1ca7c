"""Predicts candidates with the queue model, from S(b) and the runs so far.

Knows neither LoadGen nor files. Remembers the answers of costly calls.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backends.simulated.curve import Scaled
from scenarios.early_stopping import needed_share
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device
from sut.serve.queue_limits import Limit
from sut.serve.queue_model import PERCENTILES, QueueResult, QueueSetting, simulate, simulate_within
from sut.serve.service_times import Measured
from sut.tuner.job import Bound, Candidate, Variant
from sut.tuner.learnt import Learnt
from sut.tuner.nodes import MeasuredNodes, Nodes

NS_PER_US = 1e3
Fits = Callable[[float], bool]
NS_PER_S = 1e9
# `peak` searches its bracket in steps that start with this share of a hint or of the capacity.
_HINTED_STEP, _FIRST_STEP = 0.004, 0.02
_LEAST_QPS_SHARE = 0.01
_LEAST_SAMPLES = 500
# A simulated run lasts at least this many bounds, so that the queue of a machine that is a little
# too slow has the time to grow: 60,000 samples of eight H200s arrive within six bounds of 15 ms.
_LEAST_BOUNDS = 30
# With more queries than this, early stopping requires just the percentile.
_MANY_QUERIES = 300_000
# `fitting_ratio` searches between these. A shared virtual machine may be slower by half for a time;
# anything beyond is not a correction but another machine.
_RATIOS = (0.85, 2.0)
_RATIO_RESOLUTION = 1e-3


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a prediction may cost.

    Attributes:
        samples: the most of each simulated run.
        seeds: of arrivals.
        resolution: of a rate, as a share.
    """

    samples: int
    seeds: tuple[int, ...]
    resolution: float


ROUGH = Effort(12_000, (1,), 4e-3)
QUICK = Effort(30_000, (1, 2), 1e-3)
FINE = Effort(60_000, (1, 2), 1e-3)


@dataclass
class Model:
    """The measured devices of every variant, and the bounds.

    Attributes:
        measured: by variant.
        bounds: of the latency.
        run_s: length of the predicted runs in s; a shorter run has a shorter queue.
        is_exact: only batch sizes that were measured are candidates.
        known: answers so far, by question.
        nodes: where the devices stand; None: where they were measured.
    """

    measured: Mapping[Variant, Measured]
    bounds: Sequence[Bound]
    run_s: float = math.inf
    is_exact: bool = False
    known: MutableMapping[str, float] = field(default_factory=dict)
    nodes: Nodes | None = None
    _lately: dict[object, float] = field(default_factory=dict, repr=False)

    def rate(self, candidate: Candidate) -> float:
        """Return samples/s with every device busy with full batches."""
        curves = self.measured[candidate.variant].curves
        full = [(candidate.cap(device), curve) for device, curve in curves]
        return sum(cap / curve.service_ns(cap) for cap, curve in full) * NS_PER_S

    def nodes_of(self, variant: Variant) -> Nodes | MeasuredNodes | None:
        """Return where the devices of a variant stand; None: in LoadGen's machine."""
        return self.nodes or MeasuredNodes.of(self.measured[variant])

    def on_the_way(self, variant: Variant, batch: int) -> int:
        """Return how many more batches of a size a device needs in flight because of its wire."""
        nodes = self.nodes_of(variant)
        if nodes is None:
            return 0
        curves = self.measured[variant].curves
        return max(nodes.on_the_way(curve.service_ns(batch)) for _, curve in curves)

    def fill_ns(self, candidate: Candidate, qps: float) -> float:
        """Return the time in which the largest batch fills at a rate."""
        return candidate.max_batch_size / qps * NS_PER_S if qps else math.inf

    def simulate(
        self, candidate: Candidate, qps: float, learnt: Learnt, samples: int, seed: int
    ) -> QueueResult:
        """Run the queue model once, for at most `run_s`; `samples` unless the rate needs more."""
        return simulate(self._setting(candidate, qps, learnt, samples, seed))

    def _setting(
        self, candidate: Candidate, qps: float, learnt: Learnt, samples: int, seed: int
    ) -> QueueSetting:
        longest_ns = max((bound.limit_ns for bound in self.bounds), default=0.0)
        wanted = max(samples, _LEAST_BOUNDS * longest_ns * qps / NS_PER_S)
        count = int(max(min(wanted, qps * self.run_s), _LEAST_SAMPLES))
        measured = self.measured[candidate.variant]
        devices = tuple(
            Device(
                Scaled(curve, learnt.service_ratio),
                candidate.slots,
                learnt.jitter,
                measured.copy_in_ns,
                max_batch_size=candidate.cap(device),
                sizes=candidate.ladder(device),
            )
            for device, curve in measured.curves
        )
        delay_us = candidate.max_queue_delay_us
        delay_ns = None if isinstance(delay_us, str) else int(delay_us * NS_PER_US)
        batcher = BatcherSettings(candidate.max_batch_size, delay_ns)
        setting = QueueSetting(
            devices, batcher, qps=qps, samples=count, host=learnt.host, seed=seed
        )
        nodes = self.nodes_of(candidate.variant)
        return setting if nodes is None else nodes.placed(setting)

    def percentile_ns(
        self, candidate: Candidate, qps: float, learnt: Learnt, effort: Effort = FINE
    ) -> float:
        """Return the bounded percentile at a rate: the mean over the arrival seeds."""
        name = self.bounds[0].name

        def mean_ns() -> float:
            runs = (
                self.simulate(candidate, qps, learnt, effort.samples, seed) for seed in effort.seeds
            )
            return float(np.mean([run.latency_ns[name] for run in runs]))

        return self._remember((name, candidate, qps, learnt, effort), mean_ns)

    def fitting_ratio(
        self, candidate: Candidate, qps: float, learnt: Learnt, percentile_ns: float
    ) -> float:
        """Return the factor on S(b) with which the model gives a measured percentile.

        Near the peak, a latency is long because the devices cannot do more. So one number, the
        effective time of batches, stands for everything that slows them down.
        """
        return _largest_ratio(
            lambda ratio: (
                self.percentile_ns(candidate, qps, learnt.slower(ratio), QUICK) < percentile_ns
            )
        )

    def slowest_ratio(self, candidate: Candidate, qps: float, learnt: Learnt) -> float:
        """Return the factor on S(b) up to which a rate stays within all bounds: `peak` reversed."""
        return self._remember(
            ("slowest", candidate, qps, learnt),
            lambda: _largest_ratio(
                lambda ratio: self._fits(candidate, qps, learnt.slower(ratio), FINE)
            ),
        )

    def peak(
        self,
        candidate: Candidate,
        learnt: Learnt,
        effort: Effort = FINE,
        hint: float | None = None,
    ) -> float:
        """Return the highest rate whose latencies are within all bounds; 0.0 if there is none.

        A `hint`, a rate near the answer, makes it faster.
        """
        question = (candidate, learnt, effort, hint)

        def found() -> float:
            capacity = self.rate(candidate) / learnt.service_ratio

            def fits(qps: float) -> bool:
                return self._fits(candidate, qps, learnt, effort)

            if hint:
                low, high = _bracket(fits, hint, capacity)
            else:
                low, high = _from_above(fits, capacity)
            return _halved(fits, low, high, effort.resolution * capacity)[0] if low else 0.0

        return self._remember(question, found)

    def holds(self, candidate: Candidate, qps: float, learnt: Learnt, effort: Effort) -> bool:
        """Whether a rate is within what the devices can process, and its latencies within bounds.

        The first decides where a simulated run is too short to show that the queue grows.
        """
        if qps > self.rate(candidate) / learnt.service_ratio:
            return False
        return self._fits(candidate, qps, learnt, effort)

    def _remember(self, question: tuple[object, ...], answer: Callable[[], float]) -> float:
        if question not in self._lately:
            text = repr((self.measured, self.bounds, self.run_s, self.nodes, question))
            key = hashlib.sha256(text.encode()).hexdigest()[:24]
            if key not in self.known:
                self.known[key] = answer()
            self._lately[question] = self.known[key]
        return self._lately[question]

    def _fits(self, candidate: Candidate, qps: float, learnt: Learnt, effort: Effort) -> bool:
        room_ns = {bound: bound.limit_ns * len(effort.seeds) for bound in self.bounds}
        queries = self._queries(qps, effort)
        for seed in effort.seeds:
            setting = self._setting(candidate, qps, learnt, effort.samples, seed)
            limits = [
                Limit.of(share, setting.samples, room)
                for bound, room in room_ns.items()
                if (share := _share(bound, queries)) is not None
            ]
            result = simulate_within(setting, limits)
            if result is None:
                return False
            for bound in self.bounds:
                share = _share(bound, queries)
                of_mean_ns = result.latency_ns["mean"]
                room_ns[bound] -= of_mean_ns if share is None else result.percentile_ns(share)
            if min(room_ns.values()) < 0:
                return False
        return True

    def _queries(self, qps: float, effort: Effort) -> int:
        """Return how many queries a run has; without a length, as many as are simulated."""
        if math.isinf(self.run_s):
            return effort.samples
        return int(max(min(qps * self.run_s, _MANY_QUERIES), _LEAST_SAMPLES))


def _share(bound: Bound, queries: int) -> float | None:
    """Return the percentile that must be within a bound: its own, or what LoadGen asks for.

    None: the bound is on the mean.
    """
    if bound.share is None:
        return PERCENTILES.get(bound.name)
    return needed_share(bound.share, queries)


def _largest_ratio(fits: Fits) -> float:
    """Return the largest factor that fits, within _RATIOS."""
    least, most = _RATIOS

    def within(ratio: float) -> bool:
        return ratio <= least or fits(ratio)

    low, high = _halved(within, *_bracket(within, 1.0, most), _RATIO_RESOLUTION)
    return (low + high) / 2


def _halved(fits: Fits, low: float, high: float, resolution: float) -> tuple[float, float]:
    """Bisect between a value that fits and one that does not."""
    while high - low > resolution:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low, high


def _from_above(fits: Fits, capacity: float) -> tuple[float, float]:
    """Go down from the capacity; with a long delay, low rates may not fit."""
    if fits(capacity):
        return capacity, capacity
    return _below(fits, capacity, _FIRST_STEP * capacity, 1.5, capacity)


def _bracket(fits: Fits, hint: float, capacity: float) -> tuple[float, float]:
    """Widen around a hint."""
    step = _HINTED_STEP * hint
    if not fits(hint):
        return _below(fits, hint, step, 2, capacity)
    low = high = min(hint, capacity)
    while high < capacity:
        high = min(low + step, capacity)
        if not fits(high):
            break
        low, step = high, 2 * step
    return low, high


def _below(
    fits: Fits, high: float, step: float, growth: float, capacity: float
) -> tuple[float, float]:
    """Go down from a value that does not fit, in growing steps, to one that does, else to 0."""
    low = high - step
    while low >= _LEAST_QPS_SHARE * capacity:
        if fits(low):
            return low, high
        step *= growth
        low, high = low - step, low
    return 0.0, high
