"""Times batches by the device's own clock, after the warm-up, with the interval of the median.

The clock of the host around a launch shows how long it took to ask, and the first batches show how
long the device took to start. Neither is the time of a batch. Knows an engine and a clock; no
process, file or model.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backends.base import AsyncEngine
from sut.sweep.steady import NS_PER_S, T_95, WINDOWS, Rule, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backends.base import Engine
    from sut.sweep.steady import Array, Steady

# A batch is timed when 50 were alone in a window of half a second, and its median is this certain.
RULE = Rule(
    turn_overs=50.0, spread=0.02, latency_spread=0.02, requests=0, least_s=0.5, limit_s=15.0
)
# A look at all batches so far; in between, the device is not kept waiting.
_LOOK_NS = 100_000_000
_LEAST = 2  # batches, however slow they are


class Clock(Protocol):
    """What `time.monotonic_ns` is."""

    def __call__(self) -> int:
        """Return a time in ns."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median with its 95 % interval, in ns."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Timed:
    """What was measured of one batch size.

    Attributes:
        compute: of the model alone, by the device's clock; where only the host has one, `latency`.
        latency: from before the launch until the answers were there, one batch at a time.
        latency_p99_ns: the same; of n sorted values the one at index floor(0.99 n).
        enqueue_ns: the median time that a launch took on the host, which is what a clock around it
            shows; 0.0 for an engine that returns with the answers.
        samples_per_s: with all slots full.
        windows: samples/s in equal parts of that.
        batches: that the medians are of.
        dropped: batches of the warm-up before them.
        start_ns: of the window of `samples_per_s`, of time.monotonic_ns.
        end_ns: of that window.
        samples: answered in it.
        doubts: why a figure is doubtful.
    """

    compute: Median
    latency: Median
    latency_p99_ns: float
    enqueue_ns: float
    samples_per_s: float
    windows: tuple[float, ...]
    batches: int
    dropped: int
    start_ns: int
    end_ns: int
    samples: int
    doubts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Series:
    """Batches, in order: when each ended, and what it took."""

    ends_ns: list[int] = field(default_factory=list)
    latency_ns: list[int] = field(default_factory=list)
    compute_ns: list[int] = field(default_factory=list)
    enqueue_ns: list[int] = field(default_factory=list)

    def add(self, asked_ns: int, launched_ns: int, ended_ns: int, compute_ns: int) -> None:
        self.ends_ns.append(ended_ns)
        self.latency_ns.append(ended_ns - asked_ns)
        self.compute_ns.append(compute_ns)
        self.enqueue_ns.append(launched_ns - asked_ns)


def time_batches(
    engine: Engine, rows: int, batch: int, rule: Rule = RULE, clock: Clock = time.monotonic_ns
) -> Timed:
    """Time batches of one size.

    Args:
        engine: with samples bound.
        rows: how many.
        batch: samples.
        rule: when it is enough; its `latency_spread` is of the time of a batch.
        clock: of the host.

    Raises:
        EngineError: the engine failed.
    """
    batches = _batches(rows, batch)
    alone = _Series()
    step = _alone_async if isinstance(engine, AsyncEngine) else _alone
    found = _until_steady(lambda: step(engine, next(batches), alone, clock), alone, batch, rule)
    rate, rated, doubt = found, alone, _doubt(found, rule, by_latency=True)
    doubts = [f"one batch at a time: {doubt}"] if doubt else []
    if isinstance(engine, AsyncEngine) and engine.slots > 1:
        rated = _Series()
        full = _Full(engine, batches, rated, clock)
        rate = _until_steady(full.step, rated, batch, rule, by_latency=False)
        full.drain()
        if doubt := _doubt(rate, rule, by_latency=False):
            doubts.append(f"all slots full: {doubt}")
    first = _first(alone, found)
    window = _first(rated, rate)
    start_ns, end_ns = rated.ends_ns[window - 1], rated.ends_ns[-1]
    count = len(rated.ends_ns) - window
    return Timed(
        compute=median(alone.compute_ns[first:]),
        latency=median(alone.latency_ns[first:]),
        latency_p99_ns=_p99(alone.latency_ns[first:]),
        enqueue_ns=float(np.median(alone.enqueue_ns[first:])),
        samples_per_s=count * batch * NS_PER_S / max(end_ns - start_ns, 1),
        windows=() if rate is None else rate.rates,
        batches=len(alone.ends_ns) - first,
        dropped=first,
        start_ns=start_ns,
        end_ns=end_ns,
        samples=count * batch,
        doubts=tuple(doubts),
    )


def median(values: Sequence[int]) -> Median:
    """Return the median of values in order of time, and its interval.

    Batches that follow each other resemble each other, so the interval is that of the medians of
    equal parts; with fewer than two values a part, that of the order statistics.
    """
    array = np.asarray(values, np.float64)
    middle = float(np.median(array))
    if len(array) < 2 * WINDOWS:
        ordered = np.sort(array)
        reach = int(np.ceil(0.98 * len(array) ** 0.5))  # 1.96 standard deviations of a rank
        centre = (len(array) - 1) / 2
        low, high = int(max(centre - reach, 0)), int(min(np.ceil(centre + reach), len(array) - 1))
        return Median(middle, float(ordered[low]), float(ordered[high]))
    parts = [float(np.median(part)) for part in np.array_split(array, WINDOWS)]
    half = T_95 * float(np.std(parts, ddof=1)) / WINDOWS**0.5
    return Median(middle, middle - half, middle + half)


def _p99(values: Sequence[int]) -> float:
    return float(sorted(values)[int(0.99 * len(values))])


def _batches(rows: int, batch: int) -> Iterator[list[int]]:
    """Yield rows of batches in turn, over and over."""
    for first in itertools.count(0, batch):
        yield [k % rows for k in range(first, first + batch)]


def _alone(engine: Engine, rows: Sequence[int], series: _Series, clock: Clock) -> None:
    asked_ns = clock()
    engine.infer(rows)
    ended_ns = clock()
    series.add(asked_ns, asked_ns, ended_ns, ended_ns - asked_ns)


def _alone_async(engine: Engine, rows: Sequence[int], series: _Series, clock: Clock) -> None:
    assert isinstance(engine, AsyncEngine), "chosen by its kind"
    asked_ns = clock()
    engine.launch(0, rows)
    launched_ns = clock()
    _, (started_ns, finished_ns) = engine.wait(0)
    series.add(asked_ns, launched_ns, clock(), finished_ns - started_ns)


class _Full:
    """Keeps every slot of an engine full."""

    def __init__(
        self, engine: AsyncEngine, batches: Iterator[list[int]], series: _Series, clock: Clock
    ) -> None:
        self._engine, self._batches, self._series, self._clock = engine, batches, series, clock
        self._flying: deque[tuple[int, int, int]] = deque()
        for slot in range(engine.slots):
            self._launch(slot)

    def step(self) -> None:
        """Wait for the oldest batch, and launch the next one in its slot."""
        self._launch(self._wait())

    def drain(self) -> None:
        """Wait for what is in flight; it counts no more."""
        while self._flying:
            self._engine.wait(self._flying.popleft()[0])

    def _launch(self, slot: int) -> None:
        asked_ns = self._clock()
        self._engine.launch(slot, next(self._batches))
        self._flying.append((slot, asked_ns, self._clock()))

    def _wait(self) -> int:
        slot, asked_ns, launched_ns = self._flying.popleft()
        _, (started_ns, finished_ns) = self._engine.wait(slot)
        self._series.add(asked_ns, launched_ns, self._clock(), finished_ns - started_ns)
        return slot


def _until_steady(
    step: Callable[[], None], series: _Series, batch: int, rule: Rule, *, by_latency: bool = True
) -> Steady | None:
    """Run batches until the rule is met or its time is over; None: too few to tell."""
    step()
    begun_ns = look_ns = series.ends_ns[0]
    found = None
    while True:
        step()
        now_ns = series.ends_ns[-1]
        over = now_ns - begun_ns > rule.limit_s * NS_PER_S and len(series.ends_ns) > _LEAST
        if not over and now_ns < look_ns + _LOOK_NS:
            continue
        look_ns = now_ns
        found = _judged(series, batch, by_latency=by_latency)
        if over or (found is not None and _is_enough(found, rule, by_latency=by_latency)):
            return found


def _judged(series: _Series, batch: int, *, by_latency: bool) -> Steady | None:
    ends: Array = np.asarray(series.ends_ns, np.int64)
    times: Array = np.asarray(series.compute_ns, np.int64)
    return judge(ends, np.full(len(ends), batch, np.int64), times, by_latency=by_latency)


def _is_enough(found: Steady, rule: Rule, *, by_latency: bool) -> bool:
    long_enough = found.end_ns - found.start_ns >= rule.least_s * NS_PER_S
    enough = found.turn_overs >= rule.turn_overs
    return long_enough and enough and found.misses(rule, by_latency=by_latency) is None


def _first(series: _Series, found: Steady | None) -> int:
    """Return the first batch that counts: the first after the warm-up, and never the very first."""
    if found is None:
        return 1
    return int(np.searchsorted(series.ends_ns, found.start_ns)) + 1


def _doubt(found: Steady | None, rule: Rule, *, by_latency: bool) -> str:
    if found is None:
        return f"too few batches in {rule.limit_s:g} s to tell whether they are steady"
    missed = found.misses(rule, by_latency=by_latency)
    return "" if missed is None else missed.replace("the mean latency", "the time of a batch")
