"""Boxes are judged as MLPerf's scripts judge them, and the usual mistakes are named."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from data.accuracy import score
from data.dataset_schema import CocoData
from data.datasets.coco import list_coco
from data.schema import AccuracyRule
from data.tasks.detection import findings, judge, precision
from data.tasks.detection.bootstrap import Precision
from data.tasks.detection.truth import ImageTruth, TrueBox
from sut.base.errors import DataError
from tests.data.tasks.detection import made
from tests.extras import needs_pycocotools

if TYPE_CHECKING:
    from pathlib import Path

    from data.tasks.detection.judge import Boxes

RULE = AccuracyRule(metric="mAP", target=0.3, count=made.IMAGES)


def labels_of(path: Path, folder: Path) -> tuple[ImageTruth, ...]:
    for image in json.loads(path.read_text())["images"]:
        (folder / image["file_name"]).touch()
    options = CocoData(annotations=str(path.relative_to(folder)), images=".")
    found = list_coco(options, folder).labels
    assert found is not None
    return found


# What accuracy-coco.py and accuracy-openimages.py of mlcommons/inference (b66003e) print for the
# files of `made`, with pycocotools 2.0.11.
@needs_pycocotools
@pytest.mark.parametrize(
    ("annotations", "line"),
    [(made.COCO, "mAP=33.229%"), (made.OPENIMAGES, "mAP=33.989%")],
)
def test_the_line_is_that_of_the_official_script(
    tmp_path: Path, annotations: str, line: str
) -> None:
    path, log = made.write(tmp_path, annotations)

    found = score(log, labels_of(path, tmp_path), RULE)

    assert found.line == line
    assert found.n == made.IMAGES
    assert found.verdict is True
    assert found.finding is None
    assert found.interval_95 is not None
    low, high = found.interval_95
    assert 0.05 < low < found.value < high < 1


@needs_pycocotools
def test_weights_of_one_give_the_value_and_weights_count_images(tmp_path: Path) -> None:
    path, log = made.write(tmp_path)
    labels = labels_of(path, tmp_path)
    answers = {
        record["qsl_idx"]: judge.read_answer(bytes.fromhex(record["data"]), "log")
        for record in json.loads(log.read_text())[:-1]
    }
    times = np.arange(made.IMAGES) % 3  # of the images in the order of their ids
    order = sorted(answers, key=lambda index: labels[index].id)
    copies = np.repeat(order, times).tolist()
    repeated = [
        replace(
            labels[index],
            id=place,
            boxes=tuple(replace(box, id=1000 * place + box.id) for box in labels[index].boxes),
        )
        for place, index in enumerate(copies)
    ]

    found = precision.evaluate(answers, labels)
    drawn = precision.evaluate({k: answers[index] for k, index in enumerate(copies)}, repeated)

    weigh = Precision(found.matches)
    assert weigh.of(np.ones(made.IMAGES, int)) == pytest.approx(found.value, abs=1e-12)
    # Equal scores of different images have another order among the copies.
    assert weigh.of(times) == pytest.approx(drawn.value, abs=0.01)
    half = precision.evaluate({index: answers[index] for index in order[::2]}, labels)
    once = np.arange(made.IMAGES) % 2 == 0
    assert weigh.of(once.astype(int)) == pytest.approx(half.value, abs=1e-12)


def truth(*boxes: tuple[float, ...], category: int = 3) -> ImageTruth:
    """Return an image of 100 x 200 pixels with boxes of x, y, width, height."""
    found = [TrueBox(k, category, (x, y), (w, h), w * h) for k, (x, y, w, h) in enumerate(boxes, 1)]
    return ImageTruth(5, 100, 200, tuple(found))


IMAGE = truth((20, 10, 60, 20), (100, 50, 20, 40), (150, 5, 40, 30))


def right(index: int, image: ImageTruth, category: int | None = None) -> Boxes:
    rows = [
        [index, y / 100, x / 200, (y + h) / 100, (x + w) / 200, 0.9, category or box.category]
        for box in image.boxes
        for (x, y), (w, h) in [(box.corner, box.size)]
    ]
    return np.array(rows, np.float32)


def changed(boxes: Boxes, *columns: int) -> Boxes:
    return boxes[:, columns]


MANY = [IMAGE] * 12
AWAY = np.array([0, 1, 1, 1, 1, 0, 0], np.float32)
RIGHT = {index: right(index, IMAGE) for index in range(12)}


def test_right_boxes_have_no_finding() -> None:
    assert findings.find(RIGHT, MANY) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: changed(b, 0, 3, 4, 1, 2, 5, 6), r"36 of 36 boxes have ymin above ymax.*order"),
        (lambda b: changed(b, 0, 2, 1, 4, 3, 5, 6), r"36 .*0 are: .*xyxy to yxyx"),
        (lambda b: b * [1, 640, 640, 640, 640, 1, 1], r"outside of their image.*units to pixels"),
        (lambda b: b / [1, 640, 640, 640, 640, 1, 1], r"first 1% .*units to fractions"),
        (lambda b: b + np.eye(7)[6], r"36 of 36 .*one above .*postprocess.background"),
        (lambda b: b - np.eye(7)[6], r"36 of 36 .*one below .*postprocess.background"),
        (lambda b: b + 0.4 * AWAY, r"0 of 36 objects have a box.*order and unit"),
        (lambda b: b[:0], r"none of the 12 images has a box.*confidence"),
    ],
)
def test_a_usual_mistake_is_named_with_the_key_to_change(change: object, said: str) -> None:
    assert callable(change)
    answers = {index: change(boxes).astype(np.float32) for index, boxes in RIGHT.items()}

    found = findings.find(answers, MANY)

    assert found is not None
    assert "\n" not in found
    assert re.search(said, found)


def test_a_crowd_is_no_object_that_boxes_miss() -> None:
    crowds = tuple(
        replace(box, id=box.id + 10, crowd=True) for box in IMAGE.boxes for _ in range(9)
    )
    image = replace(IMAGE, boxes=(*IMAGE.boxes, *crowds))

    assert findings.find(RIGHT, [image] * 12) is None


def test_few_objects_without_a_box_may_be_bad_luck() -> None:
    missed = {0: RIGHT[0] + 0.4 * AWAY}

    assert findings.find(missed, MANY) is None


def test_classes_in_the_place_of_cocos_numbers_are_named() -> None:
    image = truth((20, 10, 60, 20), category=90)
    answers = {index: right(index, image, category=79) for index in range(12)}

    found = findings.find(answers, [image] * 12)

    assert found is not None
    assert "set postprocess.categories to coco80" in found


@needs_pycocotools
def test_one_wrong_order_among_right_boxes_is_counted() -> None:
    answers = {**RIGHT, 3: changed(RIGHT[3], 0, 3, 4, 1, 2, 5, 6)}

    found = judge.score(answers, MANY_IMAGES)

    assert found.finding is not None
    assert found.finding.startswith("3 of 36 boxes have ymin above ymax")


MANY_IMAGES = [
    replace(IMAGE, id=k, boxes=tuple(replace(box, id=10 * k + box.id) for box in IMAGE.boxes))
    for k in range(12)
]


@needs_pycocotools
def test_images_without_any_box_score_nothing() -> None:
    found = judge.score({0: np.empty((0, 7), np.float32)}, MANY_IMAGES)

    assert (found.value, found.line, found.interval_95) == (0.0, "mAP=0.000%", None)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"\0" * 27, r"log: 27 bytes of data; expected 28 a box"),
        (np.array([0, 0, 0, np.nan, 1, 1, 1], np.float32).tobytes(), r"log: .*NaN"),
    ],
)
def test_a_record_that_holds_no_boxes_is_refused(record: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        judge.read_answer(record, "log")


@needs_pycocotools
def test_a_box_of_huge_numbers_is_wrong_and_no_error() -> None:
    huge = right(0, IMAGE)
    huge[0, 1:5] = [-3e38, -3e38, 3e38, 3e38]

    found = judge.score({0: huge, **{k: RIGHT[k] for k in range(1, 12)}}, MANY_IMAGES)

    assert 0.9 < found.value < 1


def test_boxes_of_another_sample_are_refused() -> None:
    with pytest.raises(DataError, match=r"record of sample 1 has a box of sample 0"):
        judge.score({1: RIGHT[0]}, MANY_IMAGES)


def test_images_without_annotations_are_refused() -> None:
    with pytest.raises(DataError, match="no annotation"):
        judge.score({0: RIGHT[0]}, [ImageTruth(1, 10, 10, ())])
