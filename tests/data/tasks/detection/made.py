"""Annotations and an accuracy log of made boxes, the same in every run, in MLPerf's formats."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.tasks.detection.categories import TABLES

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = 24
COCO = "annotations/instances_val2017.json"
OPENIMAGES = "annotations/openimages-mlperf.json"
Row = list[float]


@dataclass(frozen=True, slots=True)
class Kind:
    """How much is made.

    Attributes:
        images: in the annotations.
        kinds: of categories.
        clutter: wrong boxes of an image, less than this.
        spread: of a box from its object, as a share of the image.
        seed: of everything; None: one for each file of annotations.
    """

    images: int = IMAGES
    kinds: int = 12
    clutter: int = 12
    spread: float = 0.02
    seed: int | None = None


def write(folder: Path, annotations: str = COCO, kind: Kind = Kind()) -> tuple[Path, Path]:
    """Write annotations, and an accuracy log of boxes that are often right; return both."""
    coco = annotations == COCO
    own = 7 if coco else 8
    generator = np.random.default_rng(own if kind.seed is None else kind.seed)
    categories = TABLES["coco80"][: kind.kinds] if coco else tuple(range(kind.kinds))
    images: list[dict[str, object]] = []
    truths: list[dict[str, object]] = []
    log: list[dict[str, object]] = []
    ids = generator.permutation(kind.images)
    for place in range(kind.images):
        height, width = (int(side) for side in generator.integers(200, 640, 2))
        image = int(100 + 7 * ids[place])
        images.append({"id": image, "file_name": f"{image:012d}.jpg", "coco_url": "none",
                       "height": height, "width": width})  # fmt: skip
        boxes: list[Row] = []
        for _ in range(int(generator.poisson(6))):
            category = int(generator.choice(categories))
            sizes = generator.uniform(0.05, 0.6, 2) * (width, height)
            x, y = generator.uniform(0, 1, 2) * ((width, height) - sizes)
            truths.append({"id": len(truths), "image_id": image, "category_id": category,
                           "bbox": [x, y, *sizes], "area": float(sizes.prod()) * 0.7,
                           "iscrowd": int(generator.random() < 0.08)})  # fmt: skip
            corners = np.array([x, y, x + sizes[0], y + sizes[1]]) / [width, height, width, height]
            boxes += _near(generator, place, corners, category, kind.spread)
        for _ in range(int(generator.integers(0, kind.clutter))):
            low, high = np.sort(generator.uniform(0, 1, (2, 2)), axis=0)
            score, category = generator.beta(0.5, 6), int(generator.choice(categories))
            boxes.append([place, *low, *high, score, category])
        boxes = [] if place % 11 == 5 else sorted(boxes, key=lambda box: -box[5])[:300]
        data = np.array(boxes, np.float32).tobytes().hex().upper()
        log.append({"seq_id": place, "qsl_idx": place, "data": data})
    log = [log[k] for k in generator.permutation(kind.images)] + [{**log[0], "data": ""}]
    path, log_path = folder / annotations, folder / "mlperf_log_accuracy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [{"id": category, "name": str(category)} for category in categories]
    path.write_text(json.dumps({"images": images, "annotations": truths, "categories": named}))
    log_path.write_text(json.dumps(log))
    return path, log_path


def _near(
    generator: np.random.Generator,
    place: int,
    corners: np.ndarray,
    category: int,
    spread: float,
) -> list[Row]:
    """Return some boxes near one."""
    boxes = []
    for _ in range(int(generator.poisson(1.3))):
        moved = corners + generator.normal(0, spread, 4)
        score = round(float(generator.uniform(0.2, 1)), 2)  # some scores are equal
        boxes.append([place, moved[1], moved[0], moved[3], moved[2], score, category])
    return boxes
