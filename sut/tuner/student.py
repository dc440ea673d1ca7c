"""Predicts the next run from a few: Student's predictive distribution, with a prior.

Values are logarithms, assumed to be normal. Pure: knows no run, rate or machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    # A value and its weight; 1 is a run at full length on a machine that nothing disturbed.
    Weighted = tuple[float, float]

# The prior, and how many runs it counts for. In published results the bounded percentile varies by
# 4 % between equal runs (MLPerf Inference v0.5, five runs each; standard deviation). By the queue
# model, devices that are 1 % slower raise it by 9 to 40 % at those loads. Most cases are between.
PRIOR_SPREAD = 0.004
PRIOR_RUNS = 2
_STEPS = 4_001  # odd, for Simpson's rule
_REACH = 60.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The distribution of the next value.

    Attributes:
        mean: its most likely value.
        spread: standard deviation between equal runs.
        scale: of Student's t: the spread, and the uncertainty of the mean.
        freedom: its degrees of freedom.
    """

    mean: float
    spread: float
    scale: float
    freedom: float

    def chance_below(self, limit: float) -> float:
        """Return the probability that the next value is at most `limit`."""
        return student_cdf((limit - self.mean) / self.scale, self.freedom)

    def quantile(self, probability: float) -> float:
        """Return the value that the next one does not exceed with a probability."""
        return self.mean + student_quantile(probability, self.freedom) * self.scale


def forecast(
    own: Sequence[Weighted], others: Sequence[Sequence[Weighted]] = (), at_least: int = 0
) -> Forecast:
    """Return the distribution of the next run of a setting.

    Args:
        own: runs of the setting itself.
        others: runs of other settings, one group each. They show the spread, and without own runs
            also the mean.
        at_least: assume at least this many whole runs, to plan for what will be known after them.
    """
    groups = [group for group in (own, *others) if group]
    squares, freedom = PRIOR_RUNS * PRIOR_SPREAD**2, float(PRIOR_RUNS)
    for group in groups:
        middle = _mean(group)
        squares += math.fsum(weight * (value - middle) ** 2 for value, weight in group)
        freedom += len(group) - 1
    spread = math.sqrt(squares / freedom)
    known = own or [(_mean(group), 1.0) for group in groups]
    weight = max(math.fsum(weight for _, weight in known), float(at_least), 1.0)
    mean = _mean(known) if known else 0.0
    return Forecast(
        mean, spread, spread * math.sqrt(1 + 1 / weight), max(freedom, PRIOR_RUNS + at_least)
    )


def _mean(group: Sequence[Weighted]) -> float:
    total = math.fsum(weight for _, weight in group)
    return math.fsum(value * weight for value, weight in group) / total


@lru_cache(maxsize=256)
def student_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t with `freedom` degrees of freedom."""
    low, high = -_REACH, _REACH
    for _ in range(60):
        middle = (low + high) / 2
        if student_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def student_cdf(value: float, freedom: float) -> float:
    """Return P(t <= value) for Student's t, by Simpson's rule."""
    reach = min(abs(value), _REACH)
    grid = np.linspace(0.0, reach, _STEPS)
    density = (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)
    weights = np.ones(_STEPS)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    factor = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    integral = float(density @ weights) * (reach / (_STEPS - 1)) / 3
    half = factor / math.sqrt(freedom * math.pi) * integral
    return min(0.5 + half, 1.0) if value > 0 else max(0.5 - half, 0.0)
