"""Draws what was found in a frame: boxes with names and identities, in a colour each object keeps.

Knows pixels and a pipeline's file; no stream and no codec.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sut.video.types import NO_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sut.video.flow.seen import Seen
    from sut.video.pipeline_file import StageSpec
    from sut.video.types import Boxes

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#f032e6")
_TEXT_SHARE, _LEAST_TEXT = 1 / 40, 11  # of the shorter side; pixels
_LINE_SHARE = 1 / 8  # of the text


class Drawer:
    """Draws the boxes of a pipeline's stages.

    Args:
        stages: of its file, in their order.
    """

    def __init__(self, stages: Sequence[StageSpec]) -> None:
        self._names = {
            stage.name: {number: name for name, number in stage.classes.items()} for stage in stages
        }
        self._first = stages[0].name

    def drawn(self, seen: Seen, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return the frame with its boxes, [H, W, 3] uint8.

        Args:
            seen: the frame, which is not written to.
            size: width and height of the picture; None: the frame's own.
        """
        picture = Image.fromarray(seen.frame.image)
        frame_size = picture.size
        if size is not None and size != frame_size:
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        scale = np.array([picture.width / frame_size[0], picture.height / frame_size[1]] * 2)
        pen = ImageDraw.Draw(picture)
        height = max(_LEAST_TEXT, round(min(picture.size) * _TEXT_SHARE))
        layers = [(self._first, seen.boxes), *((n, f.boxes) for n, f in seen.found.items())]
        for place, (name, boxes) in enumerate(layers):
            self._boxes(pen, name, boxes, scale, (place, height))
        return np.asarray(picture)

    def _boxes(
        self,
        pen: ImageDraw.ImageDraw,
        stage: str,
        boxes: Boxes,
        scale: NDArray[np.float64],
        style: tuple[int, int],
    ) -> None:
        place, text_height = style
        font, line = _font(text_height), max(1, round(text_height * _LINE_SHARE))
        names = self._names[stage]
        for row in np.argsort(boxes.score, kind="stable").tolist():  # the best on top
            left, top, right, bottom = (boxes.xyxy[row] * scale).tolist()
            identity, label = int(boxes.identity[row]), int(boxes.label[row])
            number = identity if identity != NO_IDENTITY else place
            colour = _COLOURS[number % len(_COLOURS)]
            pen.rectangle(
                (left, top, max(left, right), max(top, bottom)), outline=colour, width=line
            )
            known = f" {identity}" if identity != NO_IDENTITY and not place else ""
            text = f"{names.get(label, label)}{known} {boxes.score[row]:.2f}"
            # One line a stage, so that texts of one box do not cover each other.
            at = max(left, 0), max(top, 0) + place * (text_height + line)
            pen.rectangle(pen.textbbox(at, text, font), fill=colour)
            pen.text(at, text, fill="white", font=font)


@cache
def _font(height: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(height)
