from __future__ import annotations

import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tasks import classification, records_of
from data.tasks.classification import ArgMax, Threshold, wilson_interval
from data.tasks.other import Raw
from sut.base.errors import DataError, EngineError

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


def test_outputs_of_a_simulated_device_pass_unchanged() -> None:
    records = records_of(ArgMax(), simulated=True)((np.ones((2, 1)),), range(2))

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


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 1, 1), (4, 1, 1, 1)])
def test_n4_one_score_a_sample_is_refused_with_the_remedy(shape: tuple[int, ...]) -> None:
    scores = np.full(shape, 0.9, np.float32)

    with pytest.raises(EngineError, match=r"postprocess threshold.*0\.5"):
        ArgMax().records()((scores,), range(4))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 1, 1, 1)])
def test_n4_a_threshold_makes_two_classes_of_one_score(
    shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    scores = np.array([0.0, 0.5, 0.75, 1.0], dtype).reshape(shape)

    records = Threshold().records()((scores,), range(4))

    assert records.dtype == np.float32
    assert records.tolist() == [[0], [0], [1], [1]]


def test_n4_a_threshold_of_0_is_for_logits() -> None:
    records = Threshold(at=0.0).records()((np.array([[-3.0], [0.2]], np.float32),), range(2))

    assert records[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    "output", [np.zeros((2, 3), np.float32), np.zeros((3, 1), np.float32), np.zeros((2, 1), int)]
)
def test_n4_a_threshold_refuses_another_output(output: np.ndarray) -> None:
    with pytest.raises(EngineError, match="expected one score for each sample"):
        Threshold().records()((output,), range(2))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.bool_, np.uint32])
def test_n4_indices_and_truths_in_a_row_are_no_scores(dtype: type[np.generic]) -> None:
    top5 = np.array([[7, 3, 9, 1, 0], [2, 4, 6, 8, 5]]).astype(dtype)

    with pytest.raises(EngineError, match="the output with the scores"):
        ArgMax().records()((top5,), range(2))


@pytest.mark.parametrize(
    ("spec", "labels", "said"),
    [
        (ArgMax(), [1, 2, 5], "1 to 5, .*5 classes .*0 to 4.*count from 1.*class_offset to 1"),
        (ArgMax(class_offset=-1), [0, 3, 4], "-1 to 3.*Leave out postprocess.class_offset"),
        (ArgMax(class_offset=1), [0, 3], "1 to 5.*Leave out postprocess.class_offset"),
        (ArgMax(), [0, 9], "0 to 4.*Check the labels"),
        (ArgMax(class_offset=-1), [0, 9], "-1 to 3.*Check postprocess.class_offset"),
        (Threshold(), [1, 2], "up to 2; expected 0 and 1"),
    ],
)
def test_n7_labels_that_no_answer_equals_are_refused(
    spec: ArgMax | Threshold, labels: list[int], said: str
) -> None:
    classes = spec.classes((5,)) or 0

    with pytest.raises(DataError, match=f"photos: .*{said}"):
        spec.check_labels(labels, None, classes, "photos")


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        (ArgMax(), [0, 4]),
        (ArgMax(), [2]),
        (ArgMax(class_offset=-1), [0, 3]),
        (ArgMax(class_offset=1), [1, 5]),
        (Threshold(), [0, 1]),
    ],
)
def test_n7_labels_among_the_classes_pass(spec: ArgMax | Threshold, labels: list[int]) -> None:
    classes = spec.classes((5,))

    assert classes == (2 if isinstance(spec, Threshold) else 5)
    spec.check_labels(labels, None, classes, "photos")


@pytest.mark.parametrize(
    ("shape", "classes"),
    [((5,), 5), ((5, 1, 1), 5), ((), None), ((1,), None), ((4, 4), None), ((None,), None)],
)
def test_n7_the_shape_of_the_output_tells_the_classes(
    shape: tuple[int | None, ...], classes: int | None
) -> None:
    assert ArgMax().classes(shape) == classes


@pytest.mark.parametrize(("shift", "said"), [(1, "one above .*by -1"), (-1, r"one below .*by \+1")])
def test_n7_answers_that_are_one_class_off_are_noticed(shift: int, said: str) -> None:
    labels = [k % 10 for k in range(40)]
    answers = {k: label + shift for k, label in enumerate(labels)} | {0: labels[0]}

    found = classification.score(answers, labels)

    assert found.good == 1
    assert re.search(f"39 of 40 answers are {said}", found.finding or "")


def test_n7_right_answers_have_no_finding() -> None:
    labels = [k % 10 for k in range(40)]
    answers = {k: label if k % 4 else label + 1 for k, label in enumerate(labels)}

    assert classification.score(answers, labels).finding is None


def test_n7_chance_has_no_finding() -> None:
    generator = np.random.default_rng(7)
    labels = generator.integers(0, 10, 40).tolist()

    for _ in range(20):
        answers = dict(enumerate(generator.integers(0, 10, 40).tolist()))
        assert classification.score(answers, labels).finding is None


@pytest.mark.parametrize(
    ("answers", "labels"), [((127, 255, 130), (0, 1, 0)), ((-1, 0, -1), (1, 4, 2))]
)
def test_n7_answers_that_can_be_no_label_are_noticed(
    answers: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    found = classification.score(dict(enumerate(answers)), labels)

    said = f"answers are {min(answers)} to {max(answers)}, and the labels {min(labels)} to"
    assert said in (found.finding or "")


def test_n7_a_label_above_the_declared_classes_says_where_counting_starts() -> None:
    with pytest.raises(DataError, match=r"labels\.csv:6: label 5; expected 0 to 4.*count from 0"):
        classification.read_label("5", 5, "labels.csv:6")


def test_n7_classes_that_the_data_set_has_count_without_an_example() -> None:
    ArgMax().check_labels([0, 1], 5, 5, "photos")

    with pytest.raises(DataError, match=r"labels are 0 to 4, .* -1 to 3.*Leave out"):
        ArgMax(class_offset=-1).check_labels([0, 1], 5, 5, "photos")
