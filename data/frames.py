"""Where the pixels of a sample lie in its image, after the steps of preprocessing.

Computes with sizes alone: it reads no pixels. `data.images` does the steps.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data import steps as steps_
from data.tasks.base import FrameFile
from data.tasks.detection.truth import ImageTruth
from sut.base.files import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from data.benchmark import Benchmark
    from data.datasets.listing import Listing

Size = tuple[int, int]  # width and height


class Fitted(NamedTuple):
    """An image in a letterbox.

    Attributes:
        size: width and height of the scaled image.
        corner: x and y of its upper left pixel.
        scale: pixels of the letterbox a pixel of the image.
    """

    size: Size
    corner: Size
    scale: float


def resized(size: Size, step: steps_.Resize | steps_.ResizeShorter) -> Size:
    """Return the size that a step makes; a longer side is cut to whole pixels."""
    if isinstance(step, steps_.Resize):
        return step.width, step.height
    width, height = size
    shorter = min(width, height)
    return width * step.size // shorter, height * step.size // shorter


def letterboxed(size: Size, step: steps_.Letterbox) -> Fitted:
    """Return how an image is fitted.

    Borders of an odd sum have the smaller half at the top and left, as in the letterbox of the
    reference for yolo.
    """
    width, height = size
    scale = min(step.height / height, step.width / width)
    fitted = round(width * scale), round(height * scale)
    if step.place == "corner":
        return Fitted(fitted, (0, 0), scale)
    left, top = (step.width - fitted[0]) // 2, (step.height - fitted[1]) // 2
    return Fitted(fitted, (left, top), scale)


def corner_of(size: Size, step: steps_.CenterCrop) -> Size:
    """Return x and y of the upper left pixel of a crop."""
    return (size[0] - step.width) // 2, (size[1] - step.height) // 2


def frame(size: Size, steps: Iterable[steps_.Step]) -> tuple[float, float, float, float]:
    """Return scale_y, scale_x, offset_y, offset_x as in data.tasks.base.Frames.

    Args:
        size: of the original image.
        steps: of preprocessing.
    """
    # A point at p pixels of the present image is at p * scale + offset of the original.
    scale_x, scale_y, offset_x, offset_y = 1 / size[0], 1 / size[1], 0.0, 0.0
    for step in steps:
        corner = (0, 0)
        match step:
            case steps_.Letterbox():
                fitted = letterboxed(size, step)
                scale_x, scale_y = scale_x / fitted.scale, scale_y / fitted.scale
                corner, size = (-fitted.corner[0], -fitted.corner[1]), (step.width, step.height)
            case steps_.CenterCrop():
                corner, size = corner_of(size, step), (step.width, step.height)
            case steps_.Resize() | steps_.ResizeShorter():
                after = resized(size, step)
                scale_x, scale_y = scale_x * size[0] / after[0], scale_y * size[1] / after[1]
                size = after
        offset_x, offset_y = offset_x + corner[0] * scale_x, offset_y + corner[1] * scale_y
    return scale_y, scale_x, offset_y, offset_x


def frame_file(benchmark: Benchmark, listing: Listing | None, folder: Path) -> FrameFile | None:
    """Return where the samples of a benchmark lie in their images; None: its postprocess needs not.

    Args:
        benchmark: says the steps.
        listing: of the images; None: samples that fill the input, such as synthetic ones.
        folder: where the table is kept.

    Raises:
        DataError: an image is missing.
    """
    if not benchmark.postprocess.needs_frames:
        return None
    image = next(tensor for tensor in benchmark.inputs if tensor.layout)
    height, width = image.shape[1:] if image.layout == "NCHW" else image.shape[:2]
    keeps_aspect = (steps_.Letterbox, steps_.CenterCrop, steps_.ResizeShorter)
    if listing is None or not any(isinstance(step, keeps_aspect) for step in benchmark.preprocess):
        return FrameFile(height, width)
    sizes = _sizes(listing, benchmark.preprocess)
    rows = {size: frame(size, benchmark.preprocess) for size in set(sizes)}
    table = np.array([rows[size] for size in sizes], np.float32)
    path = folder / f"{hashlib.sha256(table.tobytes()).hexdigest()[:16]}.npy"
    if not path.is_file():
        with temporary_folder(folder) as temporary:
            np.save(temporary / path.name, table)
            (temporary / path.name).replace(path)
    return FrameFile(height, width, str(path.absolute()))


def _sizes(listing: Listing, steps: Sequence[steps_.Step]) -> list[Size]:
    labels = listing.labels or ()
    if labels and isinstance(labels[0], ImageTruth):
        return [(label.width, label.height) for label in labels]
    # Import Pillow only here: a start from the cache does not need it.
    from data.decode import size_of  # noqa: PLC0415

    upright = steps_.Exif(orientation="ignore") not in steps
    return [size_of(listing.folder / name, upright=upright) for name in listing.names]
