"""Judges the boxes of an accuracy log as accuracy-coco.py and accuracy-openimages.py do.

Source: mlcommons/inference, vision/classification_and_detection/tools. Both scripts compute the
same: the mean average precision of pycocotools over the images in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.tasks.base import Judge, Score
from data.tasks.detection import findings, precision, truth
from data.tasks.detection.bootstrap import interval_95
from data.tasks.detection.boxes import FIELDS
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from data.tasks.detection.truth import ImageTruth

    Boxes = NDArray[np.float32]

METRIC = "mAP"


def read_answer(record: bytes, where: str) -> Boxes:
    """Return the boxes in a record, [m, 7] float32; a record without bytes has none.

    Raises:
        DataError: it is not seven float32 a box, or holds what is no number.
    """
    try:
        boxes = np.frombuffer(record, "<f4").reshape(-1, FIELDS)
    except ValueError as error:
        raise DataError(
            f"{where}: {len(record)} bytes of data; expected 28 a box: sample, ymin, xmin, ymax, "
            "xmax, score and category in float32."
        ) from error
    if not np.isfinite(boxes).all():
        raise DataError(f"{where}: a box has a number that is NaN or infinite.")
    return boxes


def score(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> Score:
    """Return the mean average precision, its 95 % interval, and what is probably wrong.

    Raises:
        DataError: a box is of another sample than its record; no image has an annotation; or
            pycocotools is not installed.
    """
    for index, boxes in answers.items():
        if (boxes[:, 0] != index).any():
            other = int(boxes[boxes[:, 0] != index][0, 0])
            raise DataError(
                f"the record of sample {index} has a box of sample {other}; expected boxes of that "
                "sample alone."
            )
    if not any(labels[index].boxes for index in answers):
        raise DataError(
            f"no annotation is of one of the {len(answers)} images in the log; expected boxes to "
            "judge the answers against."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # of boxes that no image can have
        found = precision.evaluate(answers, labels)
        finding = findings.find(answers, labels)
    return Score(
        metric=METRIC,
        value=found.value,
        n=len(answers),
        good=None,
        interval_95=interval_95(found.value, found.matches),
        line=f"mAP={100.0 * found.value:.3f}%",
        finding=finding,
    )


JUDGE = Judge(truth.read_label, read_answer, score, precision.check_installed)
