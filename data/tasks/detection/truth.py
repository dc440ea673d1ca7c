"""The right answer to an image: its boxes, as a COCO annotation file has them. Reads no file."""

from __future__ import annotations

from dataclasses import dataclass

from sut.base.errors import DataError


@dataclass(frozen=True, slots=True)
class TrueBox:
    """One annotation.

    Attributes:
        id: of the annotation.
        category: the data set's number of it.
        corner: x and y of the upper left corner, in pixels of the image.
        size: width and height, in pixels.
        area: in square pixels; of the object's outline where there is one.
        crowd: a group, which is no object to find: boxes in it are neither right nor wrong.
    """

    id: int
    category: int
    corner: tuple[float, float]
    size: tuple[float, float]
    area: float
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """The annotations of one image.

    Attributes:
        id: of the image in the annotation file.
        height: in pixels.
        width: in pixels.
        boxes: in the order of the file.
    """

    id: int
    height: int
    width: int
    boxes: tuple[TrueBox, ...]


def read_label(text: str, classes: int | None, where: str) -> ImageTruth:
    """Refuse a text: boxes do not fit into a column of labels.

    Raises:
        DataError: always.
    """
    raise DataError(
        f'{where}: label "{text}"; expected boxes, which stand in a COCO annotation file. Use '
        "dataset {kind: coco, annotations: FILE.json}, or --mode performance."
    )
