"""From frames and boxes to what a model is fed, by the steps of its benchmark.

Knows pixels and sizes; no engine and no stream. Any thread may call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data import steps
from data.frames import frame as place_of
from data.frames import letterboxed, resized
from data.images import sample_of, sample_of_pixels
from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backends.base import Array
    from data.benchmark import Benchmark
    from data.steps import Step
    from sut.video.pipeline_file import Grow
    from sut.video.types import Frame, Size

    Floats = NDArray[np.float32]


# Steps that leave an image of the size that they make as it is.
_SCALES = (steps.Resize, steps.ResizeShorter, steps.Letterbox, steps.Normalize)

# Of a pixel: boxes are fractions of their frame before, so whole pixels come a little off.
_ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Fed:
    """Samples for a model, and where each lies in its frame.

    Attributes:
        samples: [n, *input shape].
        places: [n, 4] float32: scale_y, scale_x, offset_y, offset_x from the input's pixels to
            fractions of the region; see data.tasks.base.Frames.
        regions: [n, 4] float32: left, top, width and height in pixels of the frame.
    """

    samples: Array
    places: Floats
    regions: Floats


class Preparer:
    """Makes the input of one model.

    Args:
        benchmark: says the steps and the input, an image.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        (self._input,) = benchmark.inputs
        self._steps = benchmark.preprocess
        self.dtype = np.dtype(self._input.dtype)
        self.shape: tuple[int, ...] = (1, *self._input.shape)
        """Of a batch of one."""
        self._where = f"{benchmark.file}: preprocess"
        shape = self._input.shape
        self._sides = shape[1:] if self._input.layout == "NCHW" else shape[:2]
        self._only_scales = all(isinstance(step, _SCALES) for step in self._steps)
        self._wholes: dict[Size, tuple[Floats, Floats]] = {}

    def whole(self, samples: Array, size: Size) -> Fed:
        """Return the sample of a whole frame of `size`: [1, *input shape], made before."""
        found = self._wholes.get(size)  # a cache of functions would hash all steps
        if found is None:
            found = self._wholes[size] = _whole(size, self._steps)
        return Fed(samples, *found)

    def frame(self, frame: Frame, out: Array | None = None) -> Fed:
        """Return a whole frame as a batch of one.

        Args:
            frame: its pixels are there, or are made.
            out: [1, *input shape], where it is made; None: in new memory.

        Raises:
            ConfigError: the steps do not end in the input's shape.
            DataError: the frame is smaller than a crop of the steps.
        """
        image = frame.image if frame.small is None else frame.small
        samples = np.empty(self.shape, self.dtype) if out is None else out
        if frame.small is not None and self._only_scales and image.shape[:2] == self._sides:
            how = self._steps, self._input.layout, self.dtype  # nothing is left to scale
            self._put(sample_of_pixels(image, *how, samples[0]), samples[0])
        else:
            self._make(image, samples[0])
        return self.whole(samples, frame.pixels.size)

    def scaled_size(self, size: Size) -> Size | None:
        """Return the size that the steps scale a frame to, before all else; None: they do not.

        A frame of that size already goes through the same steps and is not scaled again.
        """
        for step in self._steps:
            match step:
                case steps.Letterbox():
                    return letterboxed(size, step).size
                case steps.Resize() | steps.ResizeShorter():
                    return resized(size, step)
                case steps.CenterCrop():
                    return None
        return None

    def crops(
        self, image: NDArray[np.uint8], xyxy: Floats, grow: Grow, out: Array | None = None
    ) -> Fed:
        """Return the parts of a frame in boxes, which are grown first.

        Args:
            image: [H, W, 3] uint8.
            xyxy: [n, 4] in pixels of the frame; n > 0.
            grow: how far; what lies outside the frame is black.
            out: [n, *input shape], where they are made; None: in new memory.

        Raises:
            ConfigError: as `frame`.
            DataError: likewise.
        """
        corners = grown(xyxy, grow)
        parts = [_cut(image, *corner) for corner in corners.tolist()]
        regions = corners.astype(np.float32)
        regions[:, 2:] -= regions[:, :2]
        samples = np.empty((len(parts), *self._input.shape), self.dtype) if out is None else out
        places = np.empty((len(parts), 4), np.float32)
        for row, part in enumerate(parts):
            self._make(part, samples[row])
            places[row] = _place(part.shape[1], part.shape[0], self._steps)
        return Fed(samples, places, regions)

    def _make(self, part: NDArray[np.uint8], room: Array) -> None:
        """Make the sample of an image, [H, W, 3], in its room."""
        made = sample_of(
            Image.fromarray(part), self._steps, self._input.layout, self.dtype, self._where, room
        )
        self._put(made, room)

    def _put(self, made: Array, room: Array) -> None:
        if made is room:
            return
        if made.shape != self._input.shape:
            raise ConfigError(
                f"{self._where} makes {list(made.shape)} of a frame; expected input.shape "
                f"{list(self._input.shape)}. End the steps in a resize of that size."
            )
        room[...] = made


def _whole(size: Size, steps: tuple[Step, ...]) -> tuple[Floats, Floats]:
    """Return places and regions of a whole frame; nobody writes into them."""
    width, height = size
    places = np.array([_place(width, height, steps)], np.float32)
    regions = np.array([[0, 0, width, height]], np.float32)
    for kept in (places, regions):
        kept.setflags(write=False)
    return places, regions


@cache
def _place(width: int, height: int, steps: tuple[Step, ...]) -> tuple[float, float, float, float]:
    return place_of((width, height), steps)


def grown(xyxy: Floats, grow: Grow) -> NDArray[np.int64]:
    """Return boxes in whole pixels, [n, 4], grown by shares of their size, each of a pixel or more.

    They may reach beyond the frame.
    """
    sizes = xyxy[:, 2:] - xyxy[:, :2]
    near, far = np.array([grow.left, grow.top]), np.array([grow.right, grow.bottom])
    low = np.floor(xyxy[:, :2] - sizes * near + _ROUNDING).astype(np.int64)
    high = np.ceil(xyxy[:, 2:] + sizes * far - _ROUNDING).astype(np.int64)
    return np.concatenate([low, np.maximum(high, low + 1)], axis=1)


def _cut(
    image: NDArray[np.uint8], left: int, top: int, right: int, bottom: int
) -> NDArray[np.uint8]:
    """Return a part of an image, [bottom - top, right - left, 3], black where there is no image."""
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.ascontiguousarray(image[top:bottom, left:right])
    part = np.zeros((bottom - top, right - left, 3), np.uint8)
    x0, x1 = max(left, 0), max(min(right, width), 0)
    y0, y1 = max(top, 0), max(min(bottom, height), 0)
    if x0 < x1 and y0 < y1:
        part[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return part
