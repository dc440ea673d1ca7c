from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tasks import records_of
from data.tasks.classification import ArgMax, wilson_interval
from data.tasks.detection import Detections
from data.tasks.other import Raw
from sut.base.errors import ConfigError, EngineError

SCORES = np.random.default_rng(0).random((16, 1001), np.float32)


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        SCORES[:, :, None, None],
        SCORES.argmax(axis=1),
        SCORES.argmax(axis=1)[:, None].astype(np.int32),
        SCORES.astype(np.float64),
    ],
    ids=["scores", "N,C,1,1", "classes", "classes N,1", "float64"],
)
def test_every_form_of_output_gives_the_same_classes(output: np.ndarray) -> None:
    records = ArgMax(class_offset=-1).records()((output,), range(16))

    assert records.dtype == np.float32
    assert records.shape == (16, 1)
    assert records.flags.c_contiguous
    assert records[:, 0].tolist() == (SCORES.argmax(axis=1) - 1).tolist()


def test_scores_in_integers_are_compared_too() -> None:
    records = ArgMax().records()((np.array([[1, 9, 3], [7, 2, 2]], np.uint8),), range(2))

    assert records[:, 0].tolist() == [1, 0]


@given(st.lists(st.integers(0, 15), min_size=1, max_size=16))
def test_a_record_is_the_same_in_every_batch(rows: list[int]) -> None:
    for spec in (ArgMax(), Raw()):
        postprocess = spec.records()
        alone = postprocess((SCORES,), range(16))

        batch = postprocess((SCORES[rows],), rows)

        assert batch.tobytes() == alone[rows].tobytes()


def test_raw_records_outlive_the_engines_buffer() -> None:
    buffer = np.ones((2, 3, 4), np.float16)

    records = Raw().records()((buffer,), range(2))
    buffer[:] = 0

    assert records.tolist() == np.ones((2, 12)).tolist()
    assert records.dtype == np.float32


@pytest.mark.parametrize(
    "output",
    [np.zeros((2, 5, 5), np.float32), np.zeros(2, np.float32), np.zeros((3, 5), np.float32)],
)
def test_an_output_of_another_form_is_refused(output: np.ndarray) -> None:
    with pytest.raises(EngineError, match=r"output 0 has shape .*expected"):
        ArgMax().records()((output,), range(2))


def test_detections_need_a_simulated_device() -> None:
    with pytest.raises(ConfigError, match="detections"):
        Detections().records()

    records = records_of(Detections(), simulated=True)((np.ones((2, 1)),), range(2))

    assert [record.tolist() for record in records] == [[1.0], [1.0]]


@pytest.mark.parametrize("spec", [ArgMax(class_offset=-1), Raw()])
def test_a_postprocess_travels_to_another_process(spec: ArgMax | Raw) -> None:
    postprocess = spec.records()

    assert pickle.loads(pickle.dumps(postprocess)) == postprocess
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_eighteen_of_twenty_is_70_to_97_percent() -> None:
    low, high = wilson_interval(18, 20)

    # Worked by hand from Wilson's formula with z = 1.96.
    assert low == pytest.approx(0.699, abs=1e-3)
    assert high == pytest.approx(0.972, abs=1e-3)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_value_and_solves_wilsons_equation(sample: tuple[int, int]) -> None:
    good, n = sample

    low, high = wilson_interval(good, n)

    assert 0 <= low <= good / n + 1e-12
    assert good / n - 1e-12 <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            distance = abs(good / n - end) / math.sqrt(end * (1 - end) / n)
            assert distance == pytest.approx(1.96, abs=1e-3)
