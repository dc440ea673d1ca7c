"""What is probably wrong with a detector's postprocess, told from its boxes and the annotations.

Each finding is one line that names the key of the benchmark file to change.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from data.tasks.classification import wilson_interval
from data.tasks.detection.categories import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from data.tasks.detection.truth import ImageTruth

    Boxes = NDArray[np.float32]

_MOST_IMAGES = 500  # enough to tell a mistake from bad luck
_OVERLAP = 0.5
_TINY = 0.01  # of an image's side
_MOST = 0.5  # of the boxes
# Of the objects. Corners read as a corner and a size still lie on 16 % of them, and those read as a
# centre and a size on 11 % (docs/results/nanodet.md).
_LEAST_FOUND = 0.25


def find(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> str | None:
    """Return the first finding; None: nothing looks wrong.

    Args:
        answers: [m, 7] by index of the sample.
        labels: of all samples.
    """
    boxes = np.concatenate([*answers.values(), np.empty((0, 7), np.float32)])
    if not len(boxes):
        return (
            f"none of the {len(answers)} images has a box: check the preprocess steps, "
            "postprocess.confidence and postprocess.activation."
        )
    compared = dict(islice(answers.items(), _MOST_IMAGES))
    places = _axes(compared, labels) or _few(compared, labels)
    return _shape(boxes) or places or _categories(compared, labels)


def _shape(boxes: Boxes) -> str | None:
    ymin, xmin, ymax, xmax = boxes[:, 1:5].T
    wrong, count = int(((ymin > ymax) | (xmin > xmax)).sum()), len(boxes)
    if wrong:
        return (
            f"{wrong:,} of {count:,} boxes have ymin above ymax, or xmin above xmax: change "
            "postprocess.order. Corners are xyxy or yxyx; a corner and a size xywh; a centre and a "
            "size cxcywh."
        )
    outside = (ymin >= 1) | (xmin >= 1) | (ymax <= 0) | (xmax <= 0)
    empty = (ymin == ymax) | (xmin == xmax)
    lost = int((outside | empty).sum())
    if lost > _MOST * count:
        return (
            f"{lost:,} of {count:,} boxes are outside of their image or have no area: change "
            "postprocess.order, or postprocess.units to pixels."
        )
    tiny = int((np.maximum(ymax, xmax) < _TINY).sum())
    if tiny > _MOST * count:
        return (
            f"{tiny:,} of {count:,} boxes are in the first {_TINY:.0%} of their image: change "
            "postprocess.units to fractions."
        )
    return None


def _axes(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> str | None:
    def swapped(boxes: Boxes) -> Boxes:
        return boxes[:, [0, 2, 1, 4, 3, 5, 6]]

    objects, found = _objects(answers, labels), len(_pairs(answers, labels))
    other = len(_pairs(answers, labels, swapped))
    if not _more(other, found, objects):
        return None
    return (
        f"{other:,} of {objects:,} objects would be found with x and y exchanged, and {found:,} "
        "are: change postprocess.order, xyxy to yxyx or back."
    )


def _few(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> str | None:
    objects, found = _objects(answers, labels), len(_pairs(answers, labels))
    if not objects or wilson_interval(found, objects)[1] > _LEAST_FOUND:
        return None
    return (
        f"{found:,} of {objects:,} objects have a box on them, of whatever category: check the "
        "preprocess steps, and of postprocess the order and unit of its numbers and the strides."
    )


def _objects(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> int:
    return sum(not box.crowd for index in answers for box in labels[index].boxes)


def _categories(answers: Mapping[int, Boxes], labels: Sequence[ImageTruth]) -> str | None:
    pairs = _pairs(answers, labels)
    if not len(pairs):
        return None
    answered, true = pairs.T
    right = int((answered == true).sum())
    remedies = {
        "one above": ("-1", answered - 1, "set or leave out postprocess.background"),
        "one below": ("+1", answered + 1, "set or leave out postprocess.background"),
    }
    for name, table in TABLES.items():
        numbers = np.array(table)
        known = (answered >= 0) & (answered < len(numbers))
        mapped = np.where(known, numbers[np.where(known, answered, 0)], -1)
        remedies[f"a place in {name}"] = ("", mapped, f"set postprocess.categories to {name}")
    counts = {what: int((guess == true).sum()) for what, (_, guess, _) in remedies.items()}
    best = max(counts, key=lambda what: counts[what])
    if not _more(counts[best], right, len(pairs)):
        return None
    what = f"{best} the annotation's" if best.startswith("one") else f"{best}, not its number"
    return (
        f"{counts[best]:,} of {len(pairs):,} boxes on an object have a category that is {what}, "
        f"and {right:,} are right: {remedies[best][2]}, or correct the annotations."
    )


def _more(count: int, other: int, of: int) -> bool:
    """Say whether `count` is surely more than `other`, in two draws of `of`."""
    return of > 0 and wilson_interval(count, of)[0] > wilson_interval(other, of)[1]


def _pairs(
    answers: Mapping[int, Boxes],
    labels: Sequence[ImageTruth],
    change: Callable[[Boxes], Boxes] = lambda boxes: boxes,
) -> NDArray[np.int64]:
    """Return answered and true category of each object that a box lies on, [k, 2].

    Of several boxes the one with the best score counts, whatever its category.
    """
    pairs = []
    for index, boxes in answers.items():
        image = labels[index]
        objects = [box for box in image.boxes if not box.crowd]
        if not objects or not len(boxes):
            continue
        best_first = change(boxes)[np.argsort(-boxes[:, 5], kind="stable")]
        lies_on = _overlaps(best_first[:, 1:5], _fractions(image)) > _OVERLAP
        for place in np.flatnonzero(lies_on.any(axis=0)):
            answered = int(best_first[lies_on[:, place].argmax(), 6])
            pairs.append((answered, objects[place].category))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _fractions(image: ImageTruth) -> NDArray[np.float64]:
    """Return ymin, xmin, ymax, xmax of the objects in fractions of the image."""
    corners = np.array([box.corner for box in image.boxes if not box.crowd])
    sizes = np.array([box.size for box in image.boxes if not box.crowd])
    sides = [image.width, image.height]
    return np.concatenate([corners / sides, (corners + sizes) / sides], axis=1)[:, [1, 0, 3, 2]]


def _overlaps(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return intersection over union, [len(boxes), len(others)]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(part[:, 2:] - part[:, :2]).prod(axis=1) for part in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - both
    shares: NDArray[np.float64] = both / np.maximum(union, np.finfo(np.float64).tiny)
    return shares
