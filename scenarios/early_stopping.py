"""LoadGen's early stopping: how many queries prove a latency percentile.

A run of n queries, t of them over the latency, passes for percentile p if a system that just meets
p would do so well in less than 1 % of runs: P(Binomial(n, 1 - p) <= t) < 0.01
(loadgen/early_stopping.cc; MLPerf Inference rules, appendix "Early stopping"). Knows no logs.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, exp, lgamma, log, log1p

CONFIDENCE = 0.99
# Terms of the sum below this share of it cannot change a comparison with 1 - CONFIDENCE.
_NEGLIGIBLE = 1e-12
# If the share of late queries is so close to the limit that the run would have to be this many
# times as long, a lower rate is the better answer.
_LONGEST_EXTENSION = 20
_EXTENSION_STEP = 1.03


@lru_cache(maxsize=1024)
def minimum_queries(percentile: float, over: int) -> int:
    """Return the smallest number of queries, `over` of them late, that passes.

    Args:
        percentile: above 0 and below 1, such as 0.99.
        over: queries above the latency; 0 or more.
    """
    too_few, enough = over, over + 1
    while not passes(percentile, enough, over):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if passes(percentile, middle, over):
            enough = middle
        else:
            too_few = middle
    return enough


def allowed_over(percentile: float, queries: int) -> int | None:
    """Return how many of `queries` may be late; None if they are too few even with none late."""
    if not passes(percentile, queries, 0):
        return None
    allowed, too_many = 0, queries
    while too_many - allowed > 1:
        middle = (allowed + too_many) // 2
        if passes(percentile, queries, middle):
            allowed = middle
        else:
            too_many = middle
    return allowed


@lru_cache(maxsize=1024)
def needed_share(percentile: float, queries: int) -> float:
    """Return the share of queries in time that a run needs to pass; all in very short runs."""
    allowed = allowed_over(percentile, queries) or 0
    return min(1 - allowed / queries, 1 - 1 / queries)


def queries_at_share(percentile: float, queries: int, over: int) -> int | None:
    """Return the length of run that passes if the share of late queries stays over / queries.

    Returns:
        Queries in total, a few per cent above the minimum; None if no run of a sensible length
        passes at this share.
    """
    total = max(queries, minimum_queries(percentile, over))
    longest = _LONGEST_EXTENSION * max(queries, minimum_queries(percentile, 0))
    while total <= longest:
        if passes(percentile, total, ceil(over * total / queries)):
            return total
        total = ceil(total * _EXTENSION_STEP)
    return None


def passes(percentile: float, queries: int, over: int) -> bool:
    """Return whether a run of `queries`, `over` of them late, passes early stopping."""
    late = 1.0 - percentile
    if over >= queries or over > queries * late:
        return False  # at or above the mean of the distribution, half of all runs do so well
    return _at_most(over, queries, late) < 1.0 - CONFIDENCE


def _at_most(count: int, trials: int, chance: float) -> float:
    """Return P(Binomial(trials, chance) <= count) for a count below the mean.

    Summed from its largest term down, from that term's logarithm: the terms alone underflow.
    """
    largest = (
        lgamma(trials + 1)
        - lgamma(count + 1)
        - lgamma(trials - count + 1)
        + count * log(chance)
        + (trials - count) * log1p(-chance)
    )
    odds = (1.0 - chance) / chance
    term = total = 1.0
    for k in range(count, 0, -1):
        term *= k * odds / (trials - k + 1)
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return exp(largest) * total
