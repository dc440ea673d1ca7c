"""The mean average precision of the boxes of streams, by pycocotools, as detectors are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.tasks.detection.boxes import FIELDS
from data.tasks.detection.precision import evaluate
from data.tasks.detection.truth import ImageTruth, TrueBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sut.video.accuracy.tracks import Tracks
    from sut.video.types import Boxes


def mean_average_precision(pairs: Sequence[tuple[Tracks, Tracks]]) -> float | None:
    """Return the mean average precision, 0 to 1, of all frames of all streams together.

    Boxes count whether they have an identity or not. Frames from the end of the truth on are not
    judged.

    Args:
        pairs: truth and what was found, of each stream.

    Returns:
        None if the truths hold no object.

    Raises:
        ConfigError: pycocotools is not installed.
    """
    images: list[ImageTruth] = []
    answers: dict[int, NDArray[np.float32]] = {}
    annotations = 0
    for truth, found in pairs:
        plain = found.as_labelled_as(truth)
        for number in range(truth.count):
            index = len(images)
            boxes = truth.at(number)
            images.append(_image(index, boxes, annotations))
            annotations += len(boxes)
            answers[index] = _answer(index, plain.at(number))
    return evaluate(answers, images).value if annotations else None


def _image(index: int, boxes: Boxes, before: int) -> ImageTruth:
    """Return the truth of a frame; pycocotools takes an annotation with the id 0 for none."""
    rows = zip(boxes.xyxy.tolist(), boxes.label.tolist(), strict=True)
    true_boxes = tuple(
        TrueBox(
            id=before + k,
            category=label,
            corner=(left, top),
            size=(right - left, bottom - top),
            area=(right - left) * (bottom - top),
        )
        for k, ((left, top, right, bottom), label) in enumerate(rows, 1)
    )
    # Boxes are pixels already, and answers fractions of a side: of 1.
    return ImageTruth(index, 1, 1, true_boxes)


def _answer(index: int, boxes: Boxes) -> NDArray[np.float32]:
    record = np.empty((len(boxes), FIELDS), np.float32)
    record[:, 0] = index
    record[:, 1:5] = boxes.xyxy[:, [1, 0, 3, 2]]
    record[:, 5] = boxes.score
    record[:, 6] = boxes.label
    return record
