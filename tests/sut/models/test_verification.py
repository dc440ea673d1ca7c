"""What a tolerance lets pass, and whether it tells an answer from one that is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from sut.models.verification import MOST_DB, check_output, signal_to_noise_db

EXACT = np.random.default_rng(0).standard_normal((16, 3, 2))


def test_a_share_is_the_worst_difference_over_what_is_allowed_there() -> None:
    found = EXACT.copy()
    found[3, 1, 0] += 0.4

    check = check_output("y", EXACT, found, atol=0.1, rtol=0.1)

    assert check.max_difference == pytest.approx(0.4)
    assert check.share == pytest.approx(0.4 / (0.1 + 0.1 * abs(EXACT[3, 1, 0])))
    assert not check.passes
    assert not check.tests_nothing


def test_a_tolerance_that_a_constant_or_another_sample_s_answer_is_within_tests_nothing() -> None:
    assert check_output("y", EXACT, EXACT, atol=100, rtol=100).tests_nothing
    # Close to its mean: no constant would be noticed, whatever atol suits its size.
    narrow = 5 + EXACT / 1000
    assert check_output("y", narrow, narrow, atol=0.01, rtol=0).tests_nothing
    # Two samples that differ in one number only.
    few = np.zeros((2, 50))
    few[1, 7] = 1
    assert not check_output("y", few, few, atol=0.1, rtol=0).tests_nothing


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_tolerance_lets_an_answer_pass_that_is_no_number(bad: float) -> None:
    found = EXACT.copy()
    found[0, 0, 0] = bad

    assert not check_output("y", EXACT, found, atol=1e9, rtol=1e9).passes
    assert signal_to_noise_db(EXACT, found) == -MOST_DB


def test_without_tolerance_only_equal_outputs_pass() -> None:
    assert check_output("y", EXACT, EXACT, atol=0, rtol=0).passes
    assert not check_output("y", EXACT, EXACT + 1e-12, atol=0, rtol=0).passes


def test_a_signal_is_what_differs_between_samples() -> None:
    noise = np.random.default_rng(1).standard_normal(EXACT.shape)

    assert signal_to_noise_db(EXACT + 1e6, EXACT + 1e6 + noise / 10) == pytest.approx(20, abs=1.5)
    assert signal_to_noise_db(EXACT, np.broadcast_to(EXACT.mean(0), EXACT.shape)) == pytest.approx(
        0
    )
    assert signal_to_noise_db(EXACT, EXACT) == MOST_DB
