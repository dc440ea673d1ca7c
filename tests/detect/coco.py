"""COCO's 80 classes: their names, and the annotation file of a data set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.tasks.detection.categories import TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = tuple(
    """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
    bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
    sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle,
    wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
    hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
    vase, scissors, teddy bear, hair drier, toothbrush""".replace("\n    ", " ").split(", ")
)
NAME_OF = dict(zip(TABLES["coco80"], NAMES, strict=True))


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a data set and what is in it.

    Attributes:
        name: of the file.
        width: in pixels.
        height: likewise.
        objects: its boxes.
    """

    name: str
    width: int
    height: int
    objects: Sequence[Object]


@dataclass(frozen=True, slots=True)
class Object:
    """A box in fractions of its image.

    Attributes:
        category: COCO's number.
        corners: ymin, xmin, ymax, xmax.
        sure: else boxes there are neither right nor wrong (COCO's `iscrowd`).
    """

    category: int
    corners: tuple[float, float, float, float]
    sure: bool


def write_annotations(path: Path, images: Sequence[Image], description: str) -> None:
    """Write an annotation file in COCO's format."""
    annotations: list[dict[str, object]] = []
    for number, image in enumerate(images, start=1):
        for each in image.objects:
            ymin, xmin, ymax, xmax = each.corners
            width, height = (xmax - xmin) * image.width, (ymax - ymin) * image.height
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": each.category,
                    "bbox": [xmin * image.width, ymin * image.height, width, height],
                    "area": width * height,
                    "iscrowd": int(not each.sure),
                }
            )
    content = {
        "info": {"description": description},
        "images": [
            {"id": number, "file_name": each.name, "width": each.width, "height": each.height}
            for number, each in enumerate(images, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in NAME_OF.items()],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
