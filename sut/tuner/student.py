"""The little statistics that the tuner needs: what a few runs say about the next one.

Pure; logarithms of latencies are taken as normal, which a p99 over thousands of samples is near to.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# Between runs of one setting the bounding percentile of published results moves by 4 to 14 %
# (MLPerf Inference v0.5, five runs each): a standard deviation of about 0.04, which counts as much
# as this many runs of one's own.
PRIOR_SPREAD = 0.04
PRIOR_RUNS = 2
# A machine that nobody shares takes equally long for the same batches, to this.
PRIOR_SERVICE_SPREAD = 0.002
_STEPS = 4_001  # odd, for Simpson's rule
_REACH = 60.0


def spread(groups: Sequence[Sequence[float]], prior: float = PRIOR_SPREAD) -> float:
    """Return the standard deviation between equal runs, of logarithms, with the prior's weight.

    Args:
        groups: logarithms of a figure; runs of one setting in one group.
        prior: standard deviation before anything was seen.
    """
    squares, freedom = PRIOR_RUNS * prior**2, float(PRIOR_RUNS)
    for group in groups:
        mean = math.fsum(group) / len(group) if group else 0.0
        squares += math.fsum((value - mean) ** 2 for value in group)
        freedom += max(len(group) - 1, 0)
    return math.sqrt(squares / freedom)


def confidence_below(limit: float, values: Sequence[float]) -> float:
    """Return the probability that the next of such `values` is at most `limit`.

    Student's predictive distribution, with the prior's weight in the spread.

    Args:
        limit: a logarithm.
        values: logarithms, one or more, of equal runs.
    """
    mean = math.fsum(values) / len(values)
    scale = spread([values]) * math.sqrt(1 + 1 / len(values))
    return student_cdf((limit - mean) / scale, PRIOR_RUNS + len(values) - 1)


@lru_cache(maxsize=256)
def student_quantile(probability: float, freedom: float) -> float:
    """Return the value that Student's t with `freedom` degrees stays below with a probability."""
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
