"""How a converted model compares with the exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sut.models.comparison import signal_to_noise_db
from tests.sut.helpers import own

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Program


def test_noise_is_measured_against_the_exact_answer() -> None:
    exact = np.array([3.0, 4.0])

    assert signal_to_noise_db(exact, exact * 0.9) == pytest.approx(20.0)
    assert signal_to_noise_db(exact, exact) == float("inf")


@pytest.mark.slow
def test_n6_models_whose_answers_are_not_numbers_are_named(
    program: Program, tmp_path: Path
) -> None:
    benchmark = own.make_benchmark(tmp_path)
    proto = onnx.load(tmp_path / own.MODEL)
    (held,) = proto.graph.initializer
    weights = numpy_helper.to_array(held).copy()
    weights[7, 2] = np.nan
    held.CopyFrom(numpy_helper.from_array(weights, held.name))
    onnx.save(proto, tmp_path / own.MODEL)

    done = program.run("quantize", "-b", benchmark, "--precision", "fp16")

    assert done.code == 0, done.err
    for form in ("fp32", "fp16"):
        assert f"{form}: {own.COUNT} of {own.COUNT} samples have NaN or infinity" in done.out
