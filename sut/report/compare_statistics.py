"""How far two results differ, with intervals that hold: pure statistics of logarithms of ratios.

Parts of a run that follow each other resemble each other, and two runs of one setting differ more
than the parts of each say. So:

- Several runs of each side measure how far runs differ: Student's t of their means.
- One run of each: it is cut into a few long parts, and the parts of both runs are compared pair by
  pair, which removes what both have in common, such as a warm-up and the bursts of the same
  queries. Two runs are taken to differ as much as two such pairs do: on a machine that others use,
  disturbances last for minutes, so a longer run does not average them out. A small spread between
  runs is assumed beyond that.
- Without repeats, a cell of a sweep also differs as much as its neighbours differ from each other.

Knows no files and no names.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.95
# Standard deviation of the figure of a run around that of its setting, as a share, beyond what its
# parts show, where it is not measured. Simulated devices in separate processes: 0.0003.
ASSUMED_SPREAD = 0.005
# The same for a figure without windows. perf_analyzer calls three windows stable that are within
# 10 % of each other: about 3 % of deviation
# (triton-inference-server/perf_analyzer, docs/measurements_metrics.md).
ASSUMED_SPREAD_WITHOUT_WINDOWS = 0.03
# A run is cut into so many parts: the first number that both runs have windows for.
GROUPS = (8, 4)
_LEAST_CELLS = 6  # with fewer, jumps between neighbours say nothing
# The median of the absolute difference of two normal values, over the deviation of one of them.
_MEDIAN_JUMP = math.sqrt(2) * NormalDist().inv_cdf(0.75)
# Degrees of freedom that a jump is worth: a median uses a third of its values, and neighbouring
# jumps share a cell.
_WORTH = 0.3
_STEPS = 4_000
_LARGEST = 700.0  # whose exponential a float holds


@dataclass(frozen=True, slots=True)
class Series:
    """The figure of one run at one point.

    Attributes:
        value: above 0.
        windows: the same figure in equal parts of the run, in order; empty: unknown.
    """

    value: float
    windows: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio with both ends of its interval."""

    ratio: float
    low: float
    high: float

    @property
    def excludes_one(self) -> bool:
        """The two sides differ by more than their noise."""
        return self.low > 1 or self.high < 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """The logarithm of a ratio, its variance, and what that variance is worth.

    Attributes:
        log: of the ratio.
        variance: of `log`.
        freedom: its degrees of freedom; infinite where it is assumed.
    """

    log: float
    variance: float
    freedom: float

    def interval(self, comparisons: int = 1) -> Interval:
        """Return the interval; of several comparisons all hold together (Šidák)."""
        confidence = CONFIDENCE ** (1 / comparisons)
        half = t_quantile((1 + confidence) / 2, self.freedom) * math.sqrt(self.variance)
        return Interval(_exp(self.log), _exp(self.log - half), _exp(self.log + half))


@dataclass(frozen=True, slots=True)
class Spread:
    """How far two runs of one setting differ.

    Attributes:
        source: "repeats"; "windows" of one run each; "neighbours" of a cell; or "assumed".
        share: standard deviation of one run, as a share; of cells the median.
    """

    source: str
    share: float


@dataclass(frozen=True, slots=True)
class Ratios:
    """The comparison of all cells.

    Attributes:
        cells: in the order given.
        mean: of the geometric mean.
        spread: between runs.
    """

    cells: tuple[Estimate, ...]
    mean: Estimate
    spread: Spread


def ratios(
    a: Sequence[Sequence[Series]], b: Sequence[Sequence[Series]], assumed: float | None = None
) -> Ratios:
    """Compare cells that both sides have.

    Args:
        a: for each cell the figure of each run of A; every cell has the same runs.
        b: the same of B.
        assumed: deviation between runs where they are not repeated; None: ASSUMED_SPREAD.
    """
    if len(a[0]) > 1 or len(b[0]) > 1:
        return _of_repeats(a, b)
    first, second = [cell[0] for cell in a], [cell[0] for cell in b]
    logs = [math.log(y.value / x.value) for x, y in zip(first, second, strict=True)]
    within = [_within(x, y) for x, y in zip(first, second, strict=True)]
    known = [_floor(part, assumed) for part in within]
    jump = _jump(logs) if len(logs) >= _LEAST_CELLS else (0.0, math.inf)
    cells = tuple(
        Estimate(log, *max(part, jump, key=lambda found: found[0]))
        for log, part in zip(logs, known, strict=True)
    )
    source = "windows" if all(part is not None for part in within) else "assumed"
    if jump[0] > median(variance for variance, _ in known):
        source = "neighbours"
    share = math.sqrt(median(cell.variance for cell in cells) / 2)
    return Ratios(cells, _mean_of_cells(logs, known, assumed), Spread(source, share))


def _of_repeats(a: Sequence[Sequence[Series]], b: Sequence[Sequence[Series]]) -> Ratios:
    """Compare repeated runs: their scatter holds everything, so windows add nothing."""
    logs_a = [[math.log(run.value) for run in cell] for cell in a]
    logs_b = [[math.log(run.value) for run in cell] for cell in b]
    cells = tuple(_two_samples(x, y) for x, y in zip(logs_a, logs_b, strict=True))
    # The unit is the run: whatever slows a whole run slows all of its cells.
    mean = _two_samples(
        [fmean(run) for run in zip(*logs_a, strict=True)],
        [fmean(run) for run in zip(*logs_b, strict=True)],
    )
    scale = 1 / len(a[0]) + 1 / len(b[0])
    share = math.sqrt(median(cell.variance for cell in cells) / scale)
    return Ratios(cells, mean, Spread("repeats", share))


def _two_samples(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Return the difference of two means with one variance (Student's t)."""
    freedom = len(a) + len(b) - 2
    squares = sum((x - fmean(side)) ** 2 for side in (a, b) for x in side)
    variance = squares / freedom * (1 / len(a) + 1 / len(b))
    return Estimate(fmean(b) - fmean(a), variance, freedom)


def _within(a: Series, b: Series) -> tuple[float, float] | None:
    """Return variance and degrees of freedom of the ratio of two parts; None: unknown."""
    for groups in GROUPS:
        x, y = (_grouped(side.windows, groups) for side in (a, b))
        if x is not None and y is not None:
            return float(np.var(y - x, ddof=1)), groups - 1.0
    return None


def _grouped(windows: Sequence[float], groups: int) -> NDArray[np.float64] | None:
    """Return the logarithms of the means of consecutive windows; None: too few, or a zero."""
    if len(windows) < groups or min(windows) <= 0:
        return None
    means = [part.mean() for part in np.array_split(np.array(windows), groups)]
    found: NDArray[np.float64] = np.log(means)
    return found


def _floor(within: tuple[float, float] | None, assumed: float | None) -> tuple[float, float]:
    """Return variance and freedom of a ratio by windows and what is assumed between runs."""
    share = ASSUMED_SPREAD if assumed is None else assumed
    if within is None:
        share = ASSUMED_SPREAD_WITHOUT_WINDOWS if assumed is None else assumed
        return 2 * share**2, math.inf
    variance, freedom = within
    total = variance + 2 * share**2
    # Welch and Satterthwaite: what is assumed has no doubt of its own.
    return total, freedom * (total / variance) ** 2 if variance else math.inf


def _jump(logs: Sequence[float]) -> tuple[float, float]:
    """Return the variance of a cell by how far neighbours differ, and its degrees of freedom.

    A median, because a few cells may really have changed; and of neighbours, because a ratio may
    really change along an axis.
    """
    jump = median(abs(y - x) for x, y in itertools.pairwise(logs))
    return (jump / _MEDIAN_JUMP) ** 2, max(1.0, _WORTH * (len(logs) - 1))


def _mean_of_cells(
    logs: Sequence[float], known: Sequence[tuple[float, float]], assumed: float | None
) -> Estimate:
    """Return the geometric mean: what is assumed between runs may be common to all cells.

    With enough cells, their scatter counts where it is larger than what is known of each.
    """
    count = len(logs)
    if count == 1:
        return Estimate(logs[0], *known[0])
    share = ASSUMED_SPREAD if assumed is None else assumed
    part, freedom = fmean(variance for variance, _ in known), min(worth for _, worth in known)
    if count >= _LEAST_CELLS and (scatter := float(np.var(logs, ddof=1))) > part:
        part, freedom = scatter, count - 1.0
    total = part / count + 2 * share**2
    return Estimate(fmean(logs), total, freedom)


def _exp(power: float) -> float:
    return math.exp(min(max(power, -_LARGEST), _LARGEST))


@lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t for a probability above 0.5.

    With t = sqrt(freedom) tan(angle), the density of the angle is cos(angle)^(freedom - 1).
    """
    if freedom > _STEPS:
        return NormalDist().inv_cdf(probability)
    angles = np.linspace(0, np.pi / 2, _STEPS + 1)
    density = np.cos((angles[1:] + angles[:-1]) / 2) ** (freedom - 1)
    shares = np.append(0, np.cumsum(density))
    angle = np.interp((probability - 0.5) * 2 * shares[-1], shares, angles)
    return float(math.sqrt(freedom) * math.tan(angle))
