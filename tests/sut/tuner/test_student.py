"""What a few runs say about the next one."""

from __future__ import annotations

import math

import pytest

from sut.tuner.student import (
    PRIOR_SPREAD,
    confidence_below,
    spread,
    student_cdf,
    student_quantile,
)


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [(0.95, 5, 2.015), (0.975, 10, 2.228), (0.5, 3, 0.0), (0.99, 2, 6.965), (0.05, 5, -2.015)],
)
def test_quantiles_are_those_of_the_tables(
    probability: float, freedom: float, value: float
) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(value, abs=2e-3)
    assert student_cdf(value, freedom) == pytest.approx(probability, abs=1e-4)


def test_the_spread_begins_with_the_prior_and_follows_the_runs() -> None:
    assert spread([]) == pytest.approx(PRIOR_SPREAD)
    assert spread([[0.0, 0.0, 0.0]]) < PRIOR_SPREAD
    assert spread([[0.0, 0.5], [1.0, 1.5]]) > 0.2


def test_confidence_falls_towards_the_bound_and_beyond_it() -> None:
    runs = [math.log(14.0), math.log(13.8), math.log(14.1)]

    far, near, beyond = (confidence_below(math.log(b), runs) for b in (16.0, 14.3, 13.0))

    assert far > 0.97 > near > 0.5 > beyond
