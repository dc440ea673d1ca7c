"""Draws the boxes of an accuracy log into its images, with names and scores, for the eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from data.accuracy import read_log
from data.tasks import judge_of
from tests.detect import coco

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Boxes = NDArray[np.float32]

SHOWN = 0.35  # the least score of a box that is drawn
_TEXT_SHARE = 1 / 40  # of the image's shorter side
_LEAST_TEXT = 11  # pixels
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#f032e6")


def draw(log: Path, images: Sequence[Path], folder: Path) -> dict[str, int]:
    """Write a PNG into `folder` for each sample of the log; return how many boxes it shows.

    Args:
        log: mlperf_log_accuracy.json.
        images: the file of each sample, by index.
        folder: is there.
    """
    judge = judge_of("mAP")
    assert judge is not None
    counts = {}
    for record in read_log(log):
        path = images[record.qsl_idx]
        boxes = judge.read_answer(bytes.fromhex(record.data), str(log))
        shown = boxes[boxes[:, 5] >= SHOWN]
        with Picture.open(path) as picture:
            drawn = _drawn(picture.convert("RGB"), shown)
        drawn.save(folder / f"{path.stem}.png")
        counts[path.name] = len(shown)
    return counts


def _drawn(picture: Picture.Image, boxes: Boxes) -> Picture.Image:
    width, height = picture.size
    size = max(_LEAST_TEXT, min(width, height) * _TEXT_SHARE)
    font, line = ImageFont.load_default(size), max(2, round(size / 8))
    pen = ImageDraw.Draw(picture)
    for _, ymin, xmin, ymax, xmax, score, category in boxes[::-1].tolist():  # the best on top
        colour = _COLOURS[int(category) % len(_COLOURS)]
        top, left = ymin * height, xmin * width
        pen.rectangle((left, top, xmax * width, ymax * height), outline=colour, width=line)
        text = f"{coco.NAME_OF[int(category)]} {score:.2f}"
        above = top - pen.textbbox((0, 0), text, font)[3]
        place = max(left, 0), above if above >= 0 else max(top, 0)
        pen.rectangle(pen.textbbox(place, text, font), fill=colour)
        pen.text(place, text, fill="white", font=font)
    return picture
