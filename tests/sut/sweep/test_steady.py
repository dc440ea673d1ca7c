"""The beginning is dropped, and the interval of what is left decides when it is enough."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sut.sweep.steady import Rule, is_enough, judge

MS = 1_000_000
RULE = Rule(least_s=0.0)


def batches(gaps_ms: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
    """Return ends, samples and latencies of batches of 8 that end so many ms after each other."""
    gaps = (gaps_ms * MS).astype(np.int64)
    return np.cumsum(gaps), np.full(len(gaps), 8), gaps


def test_a_steady_device_gives_its_exact_rate_and_no_spread() -> None:
    found = judge(*batches(np.full(100, 2.0)), by_latency=False)

    assert found is not None
    assert set(found.rates) == {4_000.0}
    assert found.spread == found.drift == 0
    assert found.turn_overs == 99
    assert is_enough(found, RULE, 100, by_latency=False)


def test_a_slow_beginning_is_dropped() -> None:
    gaps = np.concatenate([np.linspace(20, 2, 40), np.full(360, 2.0)])

    found = judge(*batches(gaps), by_latency=False)

    assert found is not None
    assert np.mean(found.rates) == pytest.approx(4_000, rel=0.01)
    assert found.start_ns > 250 * MS
    assert is_enough(found, RULE, 300, by_latency=False)


def test_values_that_change_on_and_on_are_not_steady() -> None:
    found = judge(*batches(np.linspace(1, 4, 400)), by_latency=False)

    assert found is not None
    missed = found.misses(RULE, by_latency=False)
    assert missed is not None
    assert "samples/s changed by" in missed
    assert not is_enough(found, RULE, 400, by_latency=False)


def test_noise_needs_a_longer_window() -> None:
    generator = np.random.default_rng(1)
    short = judge(*batches(generator.gamma(4, 0.5, 60)), by_latency=False)
    long = judge(*batches(generator.gamma(4, 0.5, 20_000)), by_latency=False)

    assert short is not None
    assert long is not None
    assert short.misses(RULE, by_latency=False) is not None
    assert long.misses(RULE, by_latency=False) is None
    assert np.mean(long.rates) == pytest.approx(4_000, rel=0.02)


def test_few_turn_overs_or_a_short_window_are_not_enough() -> None:
    found = judge(*batches(np.full(100, 2.0)), by_latency=False)

    assert found is not None
    assert not is_enough(found, Rule(turn_overs=200, least_s=0), 100, by_latency=False)
    assert not is_enough(found, Rule(least_s=0.5), 100, by_latency=False)


def test_at_a_rate_the_mean_latency_decides_and_requests_are_needed() -> None:
    found = judge(*batches(np.full(100, 2.0)), by_latency=True)

    assert found is not None
    assert not is_enough(found, RULE, 800, by_latency=True)
    assert is_enough(found, RULE, 1_000, by_latency=True)


def test_a_beginning_that_was_decided_stays() -> None:
    found = judge(*batches(np.full(100, 2.0)), by_latency=False, start_ns=40 * MS)

    assert found is not None
    assert found.start_ns == 40 * MS


def test_a_few_batches_say_nothing() -> None:
    assert judge(*batches(np.full(20, 2.0)), by_latency=False) is None
