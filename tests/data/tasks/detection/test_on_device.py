"""What an engine is told to do on its device, and what is left for the worker."""

from __future__ import annotations

import numpy as np
import pytest

from data.tasks import records_of
from data.tasks.base import FrameFile
from data.tasks.classification import ArgMax
from data.tasks.detection.finished import Detections
from data.tasks.detection.yolo import Yolo

FRAMES = FrameFile(64, 32)


def test_what_is_left_makes_the_same_records_of_the_device_s_rows() -> None:
    spec = Yolo(categories="coco80", max_boxes=3)
    head = np.zeros((1, 84, 90), np.float32)
    head[0, :4, 5], head[0, 4 + 17, 5] = [10, 20, 8, 6], 0.5
    head[0, :4, 7], head[0, 4 + 79, 7] = [16, 60, 40, 20], 0.75  # over three edges
    rows = np.zeros((1, 3, 6), np.float32)
    rows[0, :2] = [[-4, 50, 36, 70, 0.75, 79], [6, 17, 14, 23, 0.5, 17]]
    on_device = spec.on_device()
    assert on_device is not None

    (found,) = records_of(on_device[1], FRAMES)((rows,), [4])

    (want,) = records_of(spec, FRAMES)((head,), [4])
    assert found.shape == (2, 7)
    np.testing.assert_array_equal(found, want)


def test_the_device_is_told_all_that_decides_which_boxes_stay() -> None:
    spec = Yolo(confidence=0.01, iou=0.6, max_boxes=9, class_wise=False, order="xyxy")
    told, _ = spec.on_device() or ({}, None)

    assert told == {
        "kind": "yolo", "confidence": 0.01, "iou": 0.6, "max_boxes": 9, "class_wise": False,
        "order": "xyxy", "sigmoid": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    [
        ArgMax(),
        Detections(),
        Yolo(multi_label=True),
        Yolo(objectness=True),
        Yolo(background=0),
        Yolo(activation="softmax"),
    ],
    ids=repr,
)
def test_the_worker_does_the_rest_alone(spec: Yolo) -> None:
    assert spec.on_device() is None
