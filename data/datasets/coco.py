"""Images with boxes in a COCO annotation file, in the order of the file.

MLPerf's OpenImages has such a file, too (tools/openimages.py of the reference).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import msgspec

from data.datasets.listing import Listing, check_folder, check_present
from data.tasks.detection.truth import ImageTruth, TrueBox
from sut.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from data.dataset_schema import CocoData

# The file holds much more, such as outlines, which is skipped.
Side = Annotated[float, msgspec.Meta(gt=0)]


class _Image(msgspec.Struct, frozen=True):
    id: int
    file_name: Annotated[str, msgspec.Meta(min_length=1)]
    height: Side
    width: Side


class _Annotation(msgspec.Struct, frozen=True):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0


class _File(msgspec.Struct, frozen=True):
    images: Annotated[list[_Image], msgspec.Meta(min_length=1)]
    annotations: list[_Annotation]


def list_coco(options: CocoData, folder: Path) -> Listing:
    """Return the images that the annotation file names; sample i is its image i.

    A missing image is an error: leaving it out would shift the index of every later one, and
    accuracy-coco.py would compare answers with the boxes of other images.

    Raises:
        DataError: no file, a broken one, a repeated image, or a missing one.
    """
    check_folder(folder)
    path = folder / options.annotations
    found = _read(path)
    names = tuple(image.file_name for image in found.images)
    _check_once(path, "images: file_name", names)
    _check_once(path, "images: id", tuple(image.id for image in found.images))
    # pycocotools takes the last annotation of an id for all of them.
    _check_once(path, "annotations: id", tuple(box.id for box in found.annotations))
    images = folder / options.images
    check_folder(images)
    check_present(images, names, path)
    boxes: dict[int, list[TrueBox]] = {image.id: [] for image in found.images}
    for annotation in found.annotations:
        # The script for the yolo benchmark's part of COCO keeps boxes of its images alone, but
        # others may cut the list of images only.
        if annotation.image_id in boxes:
            boxes[annotation.image_id].append(_true_box(annotation))
    labels = tuple(
        ImageTruth(image.id, int(image.height), int(image.width), tuple(boxes[image.id]))
        for image in found.images
    )
    count = sum(len(label.boxes) for label in labels)
    return Listing(images, names, labels, f"{len(names)} images with {count} boxes of {path}")


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; expected COCO annotations in JSON."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: {error}; expected COCO annotations in JSON.") from error


def _check_once(path: Path, key: str, values: tuple[str | int, ...]) -> None:
    if len(set(values)) < len(values):
        value = Counter(values).most_common(1)[0][0]
        raise DataError(f"{path}: {key} {value} is repeated; expected each once.")


def _true_box(annotation: _Annotation) -> TrueBox:
    x, y, width, height = annotation.bbox
    return TrueBox(
        id=annotation.id,
        category=annotation.category_id,
        corner=(x, y),
        size=(width, height),
        area=width * height if annotation.area is None else annotation.area,
        crowd=bool(annotation.iscrowd),
    )
