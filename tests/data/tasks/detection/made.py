"""Annotations and an accuracy log of made boxes, the same in every run, in MLPerf's formats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from data.tasks.detection.categories import TABLES

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = 24
COCO = "annotations/instances_val2017.json"
OPENIMAGES = "annotations/openimages-mlperf.json"
Row = list[float]


def write(folder: Path, annotations: str = COCO) -> tuple[Path, Path]:
    """Write annotations, and an accuracy log of boxes that are often right; return both."""
    coco = annotations == COCO
    generator = np.random.default_rng(7 if coco else 8)
    categories = TABLES["coco80"][:12] if coco else tuple(range(12))
    images: list[dict[str, object]] = []
    truths: list[dict[str, object]] = []
    log: list[dict[str, object]] = []
    ids = generator.permutation(IMAGES)
    for place in range(IMAGES):
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
            boxes += _near(generator, place, corners, category)
        for _ in range(int(generator.integers(0, 12))):
            low, high = np.sort(generator.uniform(0, 1, (2, 2)), axis=0)
            score, category = generator.beta(0.5, 6), int(generator.choice(categories))
            boxes.append([place, *low, *high, score, category])
        boxes = [] if place % 11 == 5 else sorted(boxes, key=lambda box: -box[5])
        data = np.array(boxes, np.float32).tobytes().hex().upper()
        log.append({"seq_id": place, "qsl_idx": place, "data": data})
    log = [log[k] for k in generator.permutation(IMAGES)] + [{**log[0], "data": ""}]
    path, log_path = folder / annotations, folder / "mlperf_log_accuracy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [{"id": category, "name": str(category)} for category in categories]
    path.write_text(json.dumps({"images": images, "annotations": truths, "categories": named}))
    log_path.write_text(json.dumps(log))
    return path, log_path


def _near(
    generator: np.random.Generator, place: int, corners: np.ndarray, category: int
) -> list[Row]:
    """Return some boxes near one."""
    boxes = []
    for _ in range(int(generator.poisson(1.3))):
        moved = corners + generator.normal(0, 0.02, 4)
        score = round(float(generator.uniform(0.2, 1)), 2)  # some scores are equal
        boxes.append([place, moved[1], moved[0], moved[3], moved[2], score, category])
    return boxes
