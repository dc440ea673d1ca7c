"""How much boxes overlap, and what of them a frame shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sut.video.types import Boxes, Size

    Corners = NDArray[np.floating]


def overlaps(one: Corners, other: Corners) -> Corners:
    """Return intersection over union of each pair, [N, M]; 0 where both have no area.

    Args:
        one: [N, 4] floats: left, top, right, bottom.
        other: [M, 4], likewise.
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    sides = np.maximum(high - low, 0)
    both = sides[:, :, 0] * sides[:, :, 1]
    union = areas(one)[:, None] + areas(other)[None] - both
    shares: Corners = np.zeros(both.shape, both.dtype)
    np.divide(both, union, out=shares, where=union > 0)
    return shares


def areas(boxes: Corners) -> Corners:
    """Return the area of each box, [N]; 0 if its corners are the wrong way round."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    found: Corners = sides[:, 0] * sides[:, 1]
    return found


def inside(boxes: Boxes, size: Size) -> Boxes:
    """Return what the frame shows of the boxes; a box outside the frame is left out.

    Args:
        boxes: as a tracker predicts them.
        size: width and height of the frame.
    """
    width, height = size
    edges = np.array([width, height, width, height], np.float32)
    cut = replace(boxes, xyxy=np.clip(boxes.xyxy, np.float32(0), edges))
    return cut.take(areas(cut.xyxy) > 0)
