"""The model of memory: what it predicts from three points, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from sut.base.errors import ConfigError
from sut.sweep.fit.memory_model import MemoryPoint, MemorySizes, fit_memory

MB = 1_000_000
SIZES = MemorySizes(weights=50 * MB, io=1 * MB)
CONTEXT, ACTIVATIONS = 300 * MB, 20 * MB


def needs(processes: int, batch: int) -> int:
    each = CONTEXT + SIZES.weights + (ACTIVATIONS + 2 * SIZES.io) * batch
    return processes * each


def point(processes: int, batch: int, factor: float = 1.0) -> MemoryPoint:
    return MemoryPoint(processes, batch, round(needs(processes, batch) * factor))


def test_three_points_tell_context_and_activations() -> None:
    model = fit_memory([point(1, 1), point(1, 16), point(2, 8)], SIZES)
    assert model.context_bytes == pytest.approx(CONTEXT, rel=1e-3)
    assert model.activation_bytes == pytest.approx(ACTIVATIONS, rel=1e-3)
    assert model.predict(4, 32) == pytest.approx(needs(4, 32), rel=1e-3)


def test_five_others_are_within_five_percent_where_allocators_round_up() -> None:
    random = np.random.default_rng(0)
    rough = [point(1, b, 1 + random.uniform(0, 0.04)) for b in (1, 16, 64)]
    model = fit_memory(rough, SIZES)
    for processes, batch in ((1, 4), (1, 32), (2, 16), (4, 8), (2, 128)):
        factor = 1 + random.uniform(0, 0.04)
        assert model.predict(processes, batch) / needs(processes, batch) / factor == (
            pytest.approx(1, abs=0.05)
        )
    assert model.error >= 0.02


def test_a_point_that_does_not_lie_on_a_line_shows_in_the_error() -> None:
    model = fit_memory([point(1, 1), point(1, 16, 1.3), point(1, 64)], SIZES)
    assert model.error > 0.2


def test_what_is_known_to_fail_is_refused_and_what_may_fit_is_not() -> None:
    model = fit_memory([point(1, 1), point(1, 16), point(1, 64)], SIZES)
    limit = needs(2, 32)
    assert model.refusal(2, 32, limit) is None
    assert model.refusal(2, 33, limit) is None, "within its own error"
    assert "--force" in (model.refusal(2, 64, limit) or "")
    assert "4 processes" in (model.refusal(4, 32, limit) or "")


def test_the_largest_batch_that_should_fit() -> None:
    model = fit_memory([point(1, 1), point(1, 16), point(1, 64)], SIZES)
    assert model.largest_batch(1, needs(1, 100) + MB) == 100
    assert model.largest_batch(3, needs(3, 100) + MB) == 100
    assert model.largest_batch(1, needs(1, 1) - MB) == 0


def test_memory_that_no_batch_fills_bounds_none() -> None:
    falling = [MemoryPoint(1, batch, (100 - batch) * MB) for batch in (1, 2, 4)]
    assert fit_memory(falling, MemorySizes()).largest_batch(1, 200 * MB) is None


def test_opening_may_need_more_than_running() -> None:
    sizes = MemorySizes(SIZES.weights, SIZES.io, opening=900 * MB)
    while_opening = MemoryPoint(1, 8, 900 * MB)
    model = fit_memory([while_opening, point(1, 64), point(1, 128), point(1, 256)], sizes)
    assert model.predict(2, 1) == 2 * 900 * MB
    assert model.activation_bytes == pytest.approx(ACTIVATIONS, rel=1e-3)
    with pytest.raises(ConfigError, match="2 points"):
        fit_memory([while_opening, point(1, 64), point(1, 128)], sizes)


@pytest.mark.parametrize(
    "points", [[point(1, 1), point(1, 2)], [point(1, 4), point(2, 4), point(4, 4)]]
)
def test_too_few_points(points: list[MemoryPoint]) -> None:
    with pytest.raises(ConfigError, match="expected 3 points"):
        fit_memory(points, SIZES)
