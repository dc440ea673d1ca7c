"""Boxes in the ways that models state them, and the one way that is used here.

Knows neither models nor images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from data.tasks.base import Frames

    Floats = NDArray[np.float32]

Order = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
Units = Literal["pixels", "fractions"]


class Candidates(NamedTuple):
    """What a model found in one image.

    Attributes:
        boxes: [k, 4] float32, xmin, ymin, xmax, ymax in pixels of the input.
        classes: [k] of the model's classes, the background counted.
        scores: [k] float32, all above `confidence`.
    """

    boxes: Floats
    classes: NDArray[np.intp]
    scores: Floats


def corners(boxes: Floats, order: Order) -> Floats:
    """Return boxes as xmin, ymin, xmax, ymax, [k, 4] float32, from boxes in another order."""
    match order:
        case "xyxy":
            return boxes
        case "yxyx":
            return boxes[:, [1, 0, 3, 2]]
        case "xywh":
            return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        case "cxcywh":
            half = boxes[:, 2:] / 2
            return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def in_pixels(boxes: Floats, units: Units, frames: Frames) -> Floats:
    """Return corners of boxes in pixels of the input, [k, 4] float32."""
    if units == "pixels":
        return boxes
    sides = np.array([frames.width, frames.height] * 2, np.float32)
    return boxes * sides
