"""How a converted model compares with the exact one."""

from __future__ import annotations

import numpy as np
import pytest

from sut.models.comparison import signal_to_noise_db


def test_noise_is_measured_against_the_exact_answer() -> None:
    exact = np.array([3.0, 4.0])

    assert signal_to_noise_db(exact, exact * 0.9) == pytest.approx(20.0)
    assert signal_to_noise_db(exact, exact) == float("inf")
