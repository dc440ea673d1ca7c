"""How much accuracy a precision costs: the difference on the same samples, with its interval.

Pure. A difference of two accuracies of the same samples is known far better than each of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.tasks.classification import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data.tasks.base import Answer, Judge, Label

_GROUPS = 20
_T_95 = 2.093  # 97.5 % quantile of Student's t with _GROUPS - 1 degrees of freedom


@dataclass(frozen=True, slots=True)
class Delta:
    """The accuracy of a model, less that of the reference.

    Attributes:
        value: below 0: it is worse.
        interval_95: None: too few samples to say.
    """

    value: float
    interval_95: tuple[float, float] | None


def delta(
    judge: Judge,
    found: Mapping[int, Answer],
    reference: Mapping[int, Answer],
    labels: Sequence[Label],
) -> Delta:
    """Return the difference of two sets of answers to the same samples, by their index."""
    value = judge.score(found, labels).value - judge.score(reference, labels).value
    one = {k: judge.score({k: answer}, labels).good for k, answer in found.items()}
    other = {k: judge.score({k: answer}, labels).good for k, answer in reference.items()}
    if any(good is None for good in (*one.values(), *other.values())):
        return Delta(value, _jackknife(judge, found, reference, labels))
    pairs = [(bool(one[k]), bool(other[k])) for k in found]
    return Delta(value, paired_interval(*(pairs.count(p) for p in _TABLE)))


# Both right, only the model, only the reference, none.
_TABLE = ((True, True), (True, False), (False, True), (False, False))


def paired_interval(both: int, model: int, reference: int, none: int) -> tuple[float, float]:
    """Return the 95 % interval of the model's share less the reference's.

    Newcombe, Statistics in Medicine 17, 2635-2650, 1998, method 10: Wilson's intervals of both
    shares, put together with their correlation.

    Args:
        both: samples that both got right.
        model: that only the model got right.
        reference: that only the reference got right.
        none: that none got right.
    """
    n = both + model + reference + none
    one, other = both + model, both + reference
    p, q = one / n, other / n
    (low_p, high_p), (low_q, high_q) = wilson_interval(one, n), wilson_interval(other, n)
    margins = one * (n - one) * other * (n - other)
    cross = float(both * none - model * reference)
    if cross > 0:
        cross = max(cross - n / 2, 0.0)
    phi = cross / math.sqrt(margins) if margins else 0.0
    down = _distance(p - low_p, high_q - q, phi)
    up = _distance(high_p - p, q - low_q, phi)
    return p - q - down, p - q + up


def _distance(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))


def _jackknife(
    judge: Judge,
    found: Mapping[int, Answer],
    reference: Mapping[int, Answer],
    labels: Sequence[Label],
) -> tuple[float, float] | None:
    """Return the interval for a metric of all samples together, by leaving groups of them out."""
    keys = list(found)
    if len(keys) < 2 * _GROUPS:
        return None
    differences = []
    for group in range(_GROUPS):
        kept = [key for k, key in enumerate(keys) if k % _GROUPS != group]
        one, other = ({key: side[key] for key in kept} for side in (found, reference))
        differences.append(judge.score(one, labels).value - judge.score(other, labels).value)
    value = judge.score(found, labels).value - judge.score(reference, labels).value
    spread = math.sqrt((_GROUPS - 1) * float(np.var(differences)))
    return value - _T_95 * spread, value + _T_95 * spread
