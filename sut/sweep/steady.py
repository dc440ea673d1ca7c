"""When a measurement may end: the beginning dropped, 95 % intervals by batch means.

Pure: batches in, a judgement out. Knows no clock and no process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.int64]
    Floats = NDArray[np.float64]

# Equal parts of the measurement; the intervals come from the differences between them.
WINDOWS = 20
# The 97.5 % quantile of Student's t with WINDOWS - 1 degrees of freedom.
T_95 = 2.093
# The beginning is dropped in steps of this part of all batches, up to half of them.
_GROUPS = 40
# Chance alone makes the least variance less than that of all by so much; a beginning does more.
_NEAR_LEAST = 1.5
# Latencies here lack what a load took to send, so turn-overs look like a few more than they are.
_MARGIN = 1.02
NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Rule:
    """When a point is measured well enough.

    Attributes:
        turn_overs: how often all that is in flight was answered, at least.
        spread: of samples/s in a closed loop: half the 95 % interval over the mean, at most.
        latency_spread: of the mean latency, at most, in an open loop, which sets its rate itself.
        requests: in an open loop, at least, as percentiles need.
        least_s: no window is shorter: machines change from one tenth of a second to the next.
        limit_s: no point is measured for longer.
        samples: nor with more: they have to fit into memory.
    """

    turn_overs: float = 50.0
    spread: float = 0.02
    latency_spread: float = 0.1
    requests: int = 1_000
    least_s: float = 0.5
    limit_s: float = 10.0
    samples: int = 3_500_000


@dataclass(frozen=True, slots=True)
class Steady:
    """What the batches so far show, without those of the beginning.

    Attributes:
        start_ns: of the window: the beginning before it is dropped.
        end_ns: of the window: its last completion.
        rates: samples/s in each of WINDOWS parts of the window with equally many batches.
        spread: half the 95 % interval of samples/s, over their mean.
        latency_spread: the same of the mean latency.
        drift: how far samples/s in the halves of the window differ, over their mean.
        latency_drift: the same of the mean latency.
        turn_overs: the length of the window by the mean latency.
    """

    start_ns: int
    end_ns: int
    rates: tuple[float, ...]
    spread: float
    latency_spread: float
    drift: float
    latency_drift: float
    turn_overs: float

    def misses(self, rule: Rule, *, by_latency: bool) -> str | None:
        """Return what is not steady enough; None: all is."""
        spread, drift, allowed, what = (
            (self.latency_spread, self.latency_drift, rule.latency_spread, "the mean latency")
            if by_latency
            else (self.spread, self.drift, rule.spread, "samples/s")
        )
        if drift > 2 * allowed:  # twice: the difference of two halves of such an interval
            return f"{what} changed by {drift:.1%} from one half of the window to the other"
        if spread > allowed:
            return f"{what} is known to {spread:.1%} (95 %), not to {allowed:.1%}"
        return None


def judge(
    ends_ns: Array,
    samples: Array,
    latencies_ns: Array,
    *,
    by_latency: bool,
    start_ns: int | None = None,
) -> Steady | None:
    """Drop the beginning, and judge the rest; None with fewer than _GROUPS + 1 batches.

    The beginning ends where the variance of the rest, over its length, is near its least (MSER:
    White, Simulation 69, 1997).

    Args:
        ends_ns: when each batch was completed, [B].
        samples: of each batch, [B].
        latencies_ns: of each batch, [B]: of its oldest sample.
        by_latency: the mean latency decides what the beginning is, not samples/s.
        start_ns: where the beginning ends, if that was decided before.
    """
    if len(ends_ns) <= _GROUPS:
        return None
    order = np.argsort(ends_ns, kind="stable")
    ends_ns, samples, latencies_ns = ends_ns[order], samples[order], latencies_ns[order]
    if start_ns is None:
        marks = _marks(0, len(ends_ns), _GROUPS)
        series = (
            _latencies(marks, samples, latencies_ns)
            if by_latency
            else _rates(marks, ends_ns, samples)
        )
        first = int(marks[_beginning(series)])
    else:
        first = int(np.searchsorted(ends_ns, start_ns))
    marks = _marks(first, len(ends_ns), WINDOWS)
    rates = _rates(marks, ends_ns, samples)
    means = _latencies(marks, samples, latencies_ns)
    found_ns, end_ns = int(ends_ns[first]), int(ends_ns[-1])
    mean_ns = float(np.average(latencies_ns[first + 1 :], weights=samples[first + 1 :]))
    return Steady(
        start_ns=found_ns,
        end_ns=end_ns,
        rates=tuple(map(float, rates)),
        spread=half_width(rates),
        latency_spread=half_width(means),
        drift=_drift(rates),
        latency_drift=_drift(means),
        turn_overs=(end_ns - found_ns) / max(mean_ns, 1.0),
    )


def is_enough(found: Steady, rule: Rule, requests: float, *, by_latency: bool) -> bool:
    """Return whether the measurement may end.

    Args:
        found: so far.
        rule: what is asked for.
        requests: answered in the window.
        by_latency: it is an open loop.
    """
    if found.turn_overs < _MARGIN * rule.turn_overs or (by_latency and requests < rule.requests):
        return False
    if found.end_ns - found.start_ns < rule.least_s * NS_PER_S:
        return False
    return found.misses(rule, by_latency=by_latency) is None


def half_width(values: Floats) -> float:
    """Return half the 95 % interval of the mean of WINDOWS values, over that mean."""
    mean = float(values.mean())
    return T_95 * float(values.std(ddof=1)) / len(values) ** 0.5 / mean if mean else 0.0


def _marks(first: int, batches: int, parts: int) -> Array:
    """Return the batches at which equal parts begin and end, [parts + 1].

    A part is from the completion of one such batch, without it, to that of the next: so the lumps
    that batches are do not count as noise.
    """
    return np.linspace(first, batches - 1, parts + 1).astype(np.int64)


def _rates(marks: Array, ends_ns: Array, samples: Array) -> Floats:
    sums = np.concatenate([[0], np.cumsum(samples)])[marks + 1]
    return np.diff(sums) * NS_PER_S / np.maximum(np.diff(ends_ns[marks]), 1)


def _latencies(marks: Array, samples: Array, latencies_ns: Array) -> Floats:
    weights = np.concatenate([[0], np.cumsum(samples)])[marks + 1]
    sums = np.concatenate([[0.0], np.cumsum(latencies_ns * samples.astype(float))])[marks + 1]
    return np.diff(sums) / np.maximum(np.diff(weights), 1)


def _drift(values: Floats) -> float:
    half = len(values) // 2
    mean = float(values.mean())
    return abs(float(values[half:].mean() - values[:half].mean())) / mean if mean else 0.0


def _beginning(series: Floats) -> int:
    """Return how many of the first values to drop, at most half of them."""
    rests = (series[k:] for k in range(len(series) // 2 + 1))
    errors = np.array([rest.var() / len(rest) for rest in rests])
    return int(np.argmax(errors <= _NEAR_LEAST * errors.min()))
