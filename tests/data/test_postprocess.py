from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.postprocess import make_postprocess
from data.schema import ArgMax, Detections, Raw
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
    records = make_postprocess(ArgMax(class_offset=-1))((output,), range(16))

    assert records.dtype == np.float32
    assert records.shape == (16, 1)
    assert records.flags.c_contiguous
    assert records[:, 0].tolist() == (SCORES.argmax(axis=1) - 1).tolist()


def test_scores_in_integers_are_compared_too() -> None:
    records = make_postprocess(ArgMax())((np.array([[1, 9, 3], [7, 2, 2]], np.uint8),), range(2))

    assert records[:, 0].tolist() == [1, 0]


@given(st.lists(st.integers(0, 15), min_size=1, max_size=16))
def test_a_record_is_the_same_in_every_batch(rows: list[int]) -> None:
    for spec in (ArgMax(), Raw()):
        postprocess = make_postprocess(spec)
        alone = postprocess((SCORES,), range(16))

        batch = postprocess((SCORES[rows],), rows)

        assert batch.tobytes() == alone[rows].tobytes()


def test_raw_records_outlive_the_engines_buffer() -> None:
    buffer = np.ones((2, 3, 4), np.float16)

    records = make_postprocess(Raw())((buffer,), range(2))
    buffer[:] = 0

    assert records.tolist() == np.ones((2, 12)).tolist()
    assert records.dtype == np.float32


@pytest.mark.parametrize(
    "output",
    [np.zeros((2, 5, 5), np.float32), np.zeros(2, np.float32), np.zeros((3, 5), np.float32)],
)
def test_an_output_of_another_form_is_refused(output: np.ndarray) -> None:
    with pytest.raises(EngineError, match=r"output 0 has shape .*expected"):
        make_postprocess(ArgMax())((output,), range(2))


def test_detections_need_a_simulated_device() -> None:
    with pytest.raises(ConfigError, match="detections"):
        make_postprocess(Detections())

    records = make_postprocess(Detections(), simulated=True)((np.ones((2, 1)),), range(2))

    assert records.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("spec", [ArgMax(class_offset=-1), Raw()])
def test_a_postprocess_travels_to_another_process(spec: ArgMax | Raw) -> None:
    postprocess = make_postprocess(spec)

    assert pickle.loads(pickle.dumps(postprocess)) == postprocess
    assert pickle.loads(pickle.dumps(spec)) == spec
