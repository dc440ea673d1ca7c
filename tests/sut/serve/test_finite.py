"""Which samples of an output are not numbers, against a look at every value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sut.serve.workers.finite import not_finite

DTYPES = [np.float16, np.float32, np.float64]


def by_hand(rows: np.ndarray) -> int:
    bad = 0
    for row in rows.reshape(len(rows), -1).tolist():
        bad += any(math.isnan(value) or value == math.inf for value in row)
    return bad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rows", [[], [0], [5], [1, 2, 5]])
def test_n6_every_sample_with_a_bad_score_counts_once(
    rows: list[int], value: float, dtype: type[np.floating]
) -> None:
    scores = np.random.default_rng(1).standard_normal((6, 7)).astype(dtype)
    scores[rows, 3] = scores[rows, 6] = value

    assert not_finite(scores) == by_hand(scores)
    assert not_finite(scores) == (0 if value == -math.inf else len(rows))


@pytest.mark.parametrize("dtype", DTYPES)
def test_n6_a_sample_whose_scores_are_all_minus_infinity_counts(dtype: type[np.floating]) -> None:
    scores = np.zeros((4, 3), dtype)
    scores[2] = -math.inf
    scores[3, :2] = -math.inf

    assert not_finite(scores) == 1
    assert not_finite(scores[:, :1]) == 0  # of one score it is an answer


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2, 2, 2)])
def test_n6_an_output_of_any_shape(shape: tuple[int, ...]) -> None:
    scores = np.zeros(shape, np.float32)
    scores[1] = np.nan

    assert not_finite(scores) == 1


def test_n6_a_view_of_a_larger_buffer() -> None:
    buffer = np.zeros((4, 10), np.float16)
    buffer[:, 9] = np.inf

    assert not_finite(buffer[:, :9]) == 0
    assert not_finite(buffer[::2]) == 2


@pytest.mark.parametrize("output", [np.zeros((0, 3), np.float32), np.full((2, 3), 9, np.int64)])
def test_n6_no_sample_and_integers_are_no_error(output: np.ndarray) -> None:
    assert not_finite(output) == 0
