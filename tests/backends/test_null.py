"""The null backend: the contract, its options, and that its results name themselves."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.base import EngineSpec, TensorSpec, open_engine
from sut.base.errors import ConfigError
from tests.backends.conformance import SeveralInputsTestCase, SpawnTestCase
from tests.backends.models import THREE

if TYPE_CHECKING:
    from backends.base import Array, Arrays, Engine, OptionValue

SPEC = EngineSpec("null", None, (TensorSpec("image", (2, 3), "float32"),), None, 5)


def opened(**options: OptionValue) -> Engine:
    engine = open_engine(replace(SPEC, options=options))
    engine.bind({"image": np.ones((8, 2, 3), np.float32)})
    return engine


class TestNullContract(SpawnTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return SPEC

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return (np.zeros((len(samples["image"]), 1), np.float32),)


class TestWiderAnswersOfThreeInputsContract(SeveralInputsTestCase):
    @pytest.fixture
    def spec(self) -> EngineSpec:
        return replace(SPEC, inputs=THREE, output_name="logits", options={"output_size": 10})

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        return (np.zeros((len(samples["ids"]), 10), np.float32),)


def test_the_facts_say_that_results_are_synthetic() -> None:
    facts = opened().facts

    assert facts["synthetic_results"] is True
    assert facts["simulated"] is True


def test_the_output_has_the_name_that_the_benchmark_reads() -> None:
    engine = open_engine(replace(SPEC, output_name="logits"))

    assert engine.outputs == (TensorSpec("logits", (1,), "float32"),)


def test_a_caller_cannot_spoil_later_answers() -> None:
    (answer,) = opened().infer([0])

    with pytest.raises(ValueError, match="read-only"):
        answer[0] = 1


def test_fail_at_batch_fails_that_batch_and_no_other() -> None:
    engine = opened(fail_at_batch=3)

    engine.infer([0])
    engine.infer([0, 1])
    with pytest.raises(RuntimeError, match="batch 3"):
        engine.infer([0])
    assert len(engine.infer([0])[0]) == 1


def test_delay_is_the_time_of_a_batch_and_of_each_sample() -> None:
    engine = opened(delay_us=2000, delay_us_per_sample=1000.0)

    start_ns = time.monotonic_ns()
    engine.infer([0, 1, 2])

    assert time.monotonic_ns() - start_ns >= 5_000_000


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'"delay_ms".*"delay_us"'):
        opened(delay_ms=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fail_at_batch": 0}, '"fail_at_batch" is 0'),
        ({"fail_at_batch": True}, '"fail_at_batch" is True'),
        ({"output_size": "10"}, '"output_size"'),
        ({"delay_us": -1}, '"delay_us" is -1'),
        ({"delay_us": float("nan")}, '"delay_us" is nan'),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    options: dict[str, OptionValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"null backend: option {message}"):
        opened(**options)
