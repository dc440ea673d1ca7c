"""What a few runs say about the next one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sut.tuner.student import PRIOR_RUNS, PRIOR_SPREAD, forecast, student_cdf, student_quantile

RUNS = [(0.010, 1.0), (0.012, 1.0), (0.009, 1.0)]


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
    assert forecast([]).spread == pytest.approx(PRIOR_SPREAD)
    assert forecast([(0.0, 1.0)] * 3).spread < PRIOR_SPREAD
    assert forecast([(0.0, 1.0), (0.5, 1.0)], [[(1.0, 1.0), (1.5, 1.0)]]).spread > 0.2


def test_the_chance_falls_as_the_limit_comes_near_and_is_a_half_at_the_mean() -> None:
    found = forecast(RUNS)

    assert found.chance_below(0.04) > 0.97 > found.chance_below(0.015) > 0.5
    assert found.chance_below(found.mean) == pytest.approx(0.5)
    assert found.chance_below(found.quantile(0.9)) == pytest.approx(0.9, abs=1e-3)


def test_a_run_of_little_weight_moves_the_mean_little() -> None:
    heavy, light = forecast([*RUNS, (0.1, 1.0)]), forecast([*RUNS, (0.1, 0.05)])

    assert light.mean < 0.013 < heavy.mean


def test_a_setting_without_runs_of_its_own_is_expected_to_be_as_the_others() -> None:
    assert forecast([], [RUNS]).mean == pytest.approx(0.0103, abs=1e-4)


def test_looking_ahead_to_more_runs_asks_for_less_room() -> None:
    probe = [(0.01, 1 / 3)]

    assert forecast(probe, at_least=5).quantile(0.95) < forecast(probe).quantile(0.95)


def test_the_next_value_stays_below_the_quantile_as_often_as_promised() -> None:
    """Machines as the prior has them, with three runs of each, and then a fourth."""
    generator = np.random.default_rng(1)
    below = 0
    for _ in range(2_000):
        spread = PRIOR_SPREAD * math.sqrt(PRIOR_RUNS / generator.chisquare(PRIOR_RUNS))
        *known, following = generator.normal(0.0, spread, 4)
        below += following <= forecast([(value, 1.0) for value in known]).quantile(0.95)

    assert below / 2_000 == pytest.approx(0.95, abs=0.015)
