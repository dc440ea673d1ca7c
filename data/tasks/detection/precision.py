"""Mean average precision by pycocotools, and the matches that it is computed from."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from data.tasks.detection.truth import ImageTruth

    Boxes = NDArray[np.float32]

# Of the whole image, as the figure that MLPerf's scripts print. pycocotools computes three more.
_AREAS = {"areaRng": [[0, 1e5**2]], "areaRngLbl": ["all"]}
MOST_BOXES = 100  # of an image and category; the others are not judged


@dataclass(frozen=True, slots=True)
class Matches:
    """Which boxes are right, at each of the T thresholds of overlap, category by category.

    Attributes:
        image: [D] place of each box's image, best boxes of a category first.
        ends: [K] place behind the last box of each category.
        right: [T, D] bool.
        ignored: [T, D] bool: neither right nor wrong, because they are in a crowd.
        objects: [images, K] how many there are to find.
    """

    image: NDArray[np.intp]
    ends: NDArray[np.intp]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mean average precision, 0 to 1, and what it comes from."""

    value: float
    matches: Matches


def check_installed() -> None:
    """Raise ConfigError unless boxes can be judged here."""
    try:
        import pycocotools.cocoeval  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            "accuracy of boxes needs the package pycocotools, which is not installed: "
            "pip install pycocotools, or use --mode performance."
        ) from error


def evaluate(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> Evaluation:
    """Judge the boxes of the images that were answered.

    Args:
        answers: [m, 7] by index of the sample.
        labels: of all samples.

    Raises:
        ConfigError: pycocotools is not installed.
    """
    check_installed()
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415 - an extra

    images = [labels[index] for index in answers]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = _truth(images)
        judged = COCOeval(truth, _found(truth, answers, labels), iouType="bbox")
        judged.params.imgIds = [image.id for image in images]
        judged.params.maxDets = [MOST_BOXES]
        for name, value in _AREAS.items():
            setattr(judged.params, name, value)
        judged.evaluate()
        judged.accumulate()
    precisions = judged.eval["precision"]
    return Evaluation(float(precisions[precisions > -1].mean()), _matches(judged))


def _truth(images: Sequence[ImageTruth]) -> Any:
    from pycocotools.coco import COCO  # noqa: PLC0415 - an extra

    truth = COCO()
    categories = sorted({box.category for image in images for box in image.boxes})
    truth.dataset = {
        "images": [{"id": i.id, "height": i.height, "width": i.width} for i in images],
        "categories": [{"id": category} for category in categories],
        "annotations": [
            {
                "id": box.id,
                "image_id": image.id,
                "category_id": box.category,
                "bbox": [*box.corner, *box.size],
                "area": box.area,
                "iscrowd": int(box.crowd),
            }
            for image in images
            for box in image.boxes
        ],
    }
    truth.createIndex()
    return truth


def _found(truth: Any, answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> Any:
    found = [
        box for index, boxes in answers.items() for box in in_pixels(boxes, labels[index]).tolist()
    ]
    if found:
        return truth.loadRes(np.array(found))
    from pycocotools.coco import COCO  # noqa: PLC0415 - an extra

    none = COCO()
    none.dataset = {**truth.dataset, "annotations": []}
    none.createIndex()
    return none


def in_pixels(boxes: Boxes, image: ImageTruth) -> NDArray[np.float64]:
    """Return image id, x, y, width, height, score and category of each box, [m, 7] float64.

    In float32 up to the last step, as the scripts compute.
    """
    sides = np.array([image.height, image.width] * 2, np.float32)
    y, x, bottom, right = (boxes[:, 1:5] * sides).T
    rows = np.empty((len(boxes), 7), np.float64)
    rows[:, 0] = image.id
    rows[:, 1:5] = np.stack([x, y, right - x, bottom - y], axis=1)
    rows[:, 5] = boxes[:, 5]
    rows[:, 6] = boxes[:, 6].astype(np.int64)
    return rows


def _matches(judged: Any) -> Matches:
    """Flatten what pycocotools found in each image and category."""
    thresholds, images = len(judged.params.iouThrs), len(judged.params.imgIds)
    categories = len(judged.params.catIds)
    objects = np.zeros((images, categories), np.intp)
    parts: list[tuple[NDArray[Any], ...]] = []
    ends = []
    for category in range(categories):
        found = judged.evalImgs[category * images : (category + 1) * images]
        mine = [(np.zeros(0, np.intp), np.zeros(0), *(np.zeros((2, thresholds, 0), bool)))]
        for image, one in enumerate(found):
            if one is None:
                continue
            objects[image, category] = np.count_nonzero(one["gtIgnore"] == 0)
            scores = np.array(one["dtScores"], np.float64)
            ignored = one["dtIgnore"].astype(bool)
            right = (one["dtMatches"] != 0) & ~ignored
            mine.append((np.full(len(scores), image), scores, right, ignored))
        image_of, scores, right, ignored = (
            np.concatenate(part, axis=-1) for part in zip(*mine, strict=True)
        )
        order = np.argsort(-scores, kind="stable")
        parts.append((image_of[order], right[:, order], ignored[:, order]))
        ends.append(len(order))
    whole = [np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)]
    return Matches(whole[0], np.cumsum(ends), whole[1], whole[2], objects)
