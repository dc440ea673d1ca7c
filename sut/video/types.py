"""What the parts of a video pipeline hand to each other: frames, boxes, and what a tracker does.

It knows no codec, no model and no stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Size = tuple[int, int]  # width and height

NO_IDENTITY = -1  # of a box that no tracker has seen


class Pixels:
    """The pixels of a frame: [H, W, 3] uint8, RGB, upright. Nobody writes into them.

    They are made when somebody first asks: one thread at a time does.

    Args:
        size: width and height.
        make: returns them.
    """

    __slots__ = ("_found", "_make", "size")

    def __init__(self, size: Size, make: Callable[[], NDArray[np.uint8]]) -> None:
        self.size = size
        self._make: Callable[[], NDArray[np.uint8]] | None = make
        self._found: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Pixels:
        """Return those of an image."""
        pixels = cls((image.shape[1], image.shape[0]), lambda: image)
        pixels.image()
        return pixels

    def image(self) -> NDArray[np.uint8]:
        """Return them."""
        if self._found is None:
            assert self._make is not None, "it goes when they are made"
            self._found, self._make = self._make(), None  # which holds the decoder's memory
        return self._found


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame of one stream.

    Attributes:
        stream: which stream it belongs to, from 0.
        number: its place in the stream, from 0; a clip that is played again counts on.
        pts_s: its time in the clip, in seconds.
        due_ns: when a camera would have delivered it, on the clock of `time.monotonic_ns`.
        pixels: of it.
        small: [h, w, 3] uint8: the frame as the decoder scaled it for the first stage; None: it
            did not.
    """

    stream: int
    number: int
    pts_s: float
    due_ns: int
    pixels: Pixels
    small: NDArray[np.uint8] | None = None

    @property
    def image(self) -> NDArray[np.uint8]:
        """[H, W, 3] uint8, RGB, upright."""
        return self.pixels.image()


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one frame, in rows that belong together.

    Attributes:
        xyxy: [N, 4] float32: left, top, right, bottom in pixels of the frame.
        score: [N] float32, from 0 to 1.
        label: [N] int64: the detector's number of the class.
        identity: [N] int64: the tracker's number of the object, NO_IDENTITY without one.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int64]
    identity: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.xyxy)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Boxes:
        """Return the boxes of these rows, by their numbers or by a mask."""
        return Boxes(self.xyxy[rows], self.score[rows], self.label[rows], self.identity[rows])

    def with_identity(self, identity: NDArray[np.int64]) -> Boxes:
        """Return the same boxes as these objects; [N] int64."""
        return Boxes(self.xyxy, self.score, self.label, identity)


def boxes_of(
    xyxy: NDArray[np.float32], score: NDArray[np.float32], label: NDArray[np.int64]
) -> Boxes:
    """Return boxes that no tracker has seen yet."""
    return Boxes(xyxy, score, label, np.full(len(xyxy), NO_IDENTITY, np.int64))


@cache
def no_boxes() -> Boxes:
    """Return the boxes of a frame in which nothing was found; the same ones for all frames."""
    return boxes_of(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


class Tracker(Protocol):
    """Gives the objects of one stream their identities; it sees every frame, in order.

    One object for each stream. Only one thread at a time calls it.

    Attributes:
        sees_pixels: it looks at the pixels of frames, as long as `update` runs.
    """

    sees_pixels: bool

    def update(self, boxes: Boxes | None, pixels: Pixels) -> Boxes:
        """Take the next frame of the stream and return its objects, with identities.

        Args:
            boxes: what the detector found; None for a frame without inference, in which the tracker
                itself says where the objects are.
            pixels: of the frame.
        """

    def describe(self) -> Mapping[str, object]:
        """Return the preset, the algorithm and its parameters, as plain values for a file."""
