"""YOLO's head: one output with box and class scores of every candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.tasks.detection.boxes import BoxOptions, Share
from data.tasks.detection.finished import Detections
from data.tasks.detection.geometry import Candidates, Order, Units, corners, in_pixels
from data.tasks.detection.scores import pick
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs, Postprocess

_AXES = 3
_BOX = 4


class Yolo(BoxOptions, frozen=True, kw_only=True, tag="yolo"):
    """Output 0 is [n, 4 + classes, candidates], or transposed, as YOLO's exports have it.

    The defaults are those of the reference: vision/classification_and_detection/yolo and the
    `predict` that it calls.

    Attributes:
        order: of a box's four numbers.
        units: of a box's four numbers.
        objectness: a fifth number, before the classes, is a factor of their scores.
        transposed: the output is [n, candidates, 4 + classes]; None: the longer axis has the
            candidates.
    """

    confidence: Share = 0.001
    iou: Share | None = 0.7
    order: Order = "cxcywh"
    units: Units = "pixels"
    objectness: bool = False
    transposed: bool | None = None

    def on_device(self) -> tuple[Mapping[str, str | int | float | bool], Postprocess] | None:
        """See Postprocess: all but the way from the sample to the image."""
        plain = self.background is None and not (self.multi_label or self.objectness)
        if not plain or self.activation == "softmax":
            return None
        told: dict[str, str | int | float | bool] = {
            "kind": "yolo",
            "confidence": self.confidence,
            "max_boxes": self.max_boxes,
            "order": self.order,
            "class_wise": self.class_wise,
            "sigmoid": self.activation == "sigmoid",
        }
        if self.iou is not None:
            told["iou"] = self.iou
        if self.transposed is not None:
            told["transposed"] = self.transposed
        left = Detections(
            outputs=("rows",),
            order="xyxy",
            units=self.units,
            confidence=self.confidence,
            max_boxes=self.max_boxes,
            clip=self.clip,
            categories=self.categories,
        )
        return told, left

    def candidates(self, outputs: Outputs, n: int, frames: Frames) -> Iterator[Candidates]:
        """See BoxOptions."""
        output = outputs[0]
        if output.ndim != _AXES or len(output) != n:
            raise EngineError(
                f"output 0 has shape {list(output.shape)}; expected [{n}, {self._numbers}, "
                "candidates] for postprocess yolo. Name that output in the benchmark's `output`."
            )
        transposed = self.transposed
        if transposed is None:
            transposed = output.shape[1] > output.shape[2]
        for head in output.transpose(0, 2, 1) if transposed else output:
            yield self._of(head, frames)

    @property
    def _numbers(self) -> str:
        return "5 + classes" if self.objectness else "4 + classes"

    def _of(self, head: NDArray[np.generic], frames: Frames) -> Candidates:
        """Return the candidates of one image; `head` is [4 + classes, candidates]."""
        first = _BOX + self.objectness
        if len(head) <= first:
            raise EngineError(
                f"output 0 has {len(head)} numbers a candidate; expected {self._numbers}. Correct "
                "postprocess.transposed or postprocess.objectness."
            )
        objectness = head[_BOX].astype(np.float32) if self.objectness else None
        found = pick(head[first:], self, objectness)
        boxes = corners(head[:_BOX, found.rows].T.astype(np.float32), self.order)
        return Candidates(in_pixels(boxes, self.units, frames), found.classes, found.scores)
