"""A pseudo ground truth: the boxes of another network, where it is sure of them.

No person looked at these images. CenterNet's boxes are made from an image and from its mirror
image. A box in both, with a score of at least SURE on average, counts as an object. A box in one
alone, or with a lower score, is a place where boxes are neither right nor wrong.

So a score against it says how far two networks agree, which have nothing in common but COCO: other
weights, another input, other outputs. docs/results/nanodet.md has which mistakes it shows. It does
not say how many objects a detector finds, and a better one than CenterNet may score lower.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from PIL import Image as Picture
from PIL import ImageOps

from data.benchmark import load_benchmark
from data.model import resolve_model
from data.preprocess import prepare
from data.tasks import records_of
from tests.detect import coco

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # sample, ymin, xmin, ymax, xmax, score, category
    Boxes = NDArray[np.float32]

CENTERNET = Path(__file__).parent / "centernet.yaml"
DESCRIPTION = "PSEUDO GROUND TRUTH: boxes of CenterNet, another network; no person looked at them"
SURE = 0.4
SAME = 0.6  # intersection over union of a box and its mirror image


def write_pseudo_truth(images: Path, target: Path) -> int:
    """Write annotations for the files in `images`; return the number of objects."""
    names = sorted(path.name for path in images.iterdir())
    with TemporaryDirectory() as scratch:
        for name in names:
            with Picture.open(images / name) as picture:
                ImageOps.mirror(picture.convert("RGB")).save(Path(scratch) / f"{name}.png")
        mirrored = [_mirrored(boxes) for boxes in boxes_of(CENTERNET, Path(scratch))]
    found = []
    for name, boxes, others in zip(names, boxes_of(CENTERNET, images), mirrored, strict=True):
        with Picture.open(images / name) as picture:
            found.append(coco.Image(name, *picture.size, objects_of(boxes, others)))
    coco.write_annotations(target, found, DESCRIPTION)
    return sum(each.sure for image in found for each in image.objects)


def boxes_of(benchmark_file: Path, images: Path) -> list[Boxes]:
    """Return what a benchmark's model finds in each file of a folder, sorted by name."""
    benchmark = load_benchmark(str(benchmark_file))
    samples = prepare(benchmark, images)
    make = records_of(benchmark.postprocess, samples.frames)
    model = resolve_model(benchmark, None).path
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    ((name, array),) = samples.open().items()
    feeds = ({name: sample[None]} for sample in array)
    return [
        np.asarray(record)
        for index, feed in enumerate(feeds)
        for record in make(tuple(session.run(None, feed)), [index])
    ]


def objects_of(boxes: Boxes, others: Boxes) -> list[coco.Object]:
    """Return the objects of an image, [m, 7] from it and from its mirror image, mirrored back."""
    found = []
    left = list(others)
    for box in boxes:
        partner = max(left, key=lambda other: _overlap(box, other), default=None)
        corners, sure = box[1:5], False
        if partner is not None and _overlap(box, partner) >= SAME:
            # `left` holds rows of one array, which have no equality of their own.
            left = [other for other in left if other is not partner]
            corners = (box[1:5] + partner[1:5]) / 2
            sure = float(box[5] + partner[5]) / 2 >= SURE
        ymin, xmin, ymax, xmax = np.clip(corners, 0, 1).tolist()
        found.append(coco.Object(int(box[6]), (ymin, xmin, ymax, xmax), sure))
    return found


def _overlap(box: Boxes, other: Boxes) -> float:
    """Return intersection over union of two boxes of a category; 0 if the categories differ."""
    if box[6] != other[6]:
        return 0.0
    sides = np.minimum(box[3:5], other[3:5]) - np.maximum(box[1:3], other[1:3])
    both = float(np.clip(sides, 0, None).prod())
    areas = [float((each[3:5] - each[1:3]).prod()) for each in (box, other)]
    return both / (sum(areas) - both)


def _mirrored(boxes: Boxes) -> Boxes:
    """Return boxes of the mirror image where they lie in the image."""
    turned = boxes.copy()
    turned[:, 2], turned[:, 4] = 1 - boxes[:, 4], 1 - boxes[:, 2]
    return turned
