"""A model that has its non-maximum suppression inside: its outputs are boxes already."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from data.tasks.detection.boxes import BoxOptions, Share
from data.tasks.detection.geometry import Candidates, Order, Units, corners, in_pixels
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs

    Floats = NDArray[np.float32]

Part = Literal["num", "boxes", "scores", "classes", "rows", "unused"]
Column = Literal["sample", "box", "score", "class", "unused"]

_BOX = 4


class Detections(BoxOptions, frozen=True, kw_only=True, tag="detections"):
    """Boxes as the model chose them.

    Attributes:
        outputs: what each of the model's outputs is, in its order (that named in `output` first):
            "boxes" [n, k, 4], "scores" [n, k], "classes" [n, k], "num" [n] of boxes that count; or
            "rows" of all numbers of a box, [n, k, columns] or [k, columns]. Without the axis n for
            a model that takes one image. "unused" is any other.
        columns: of "rows", in their order; "box" stands for four, "sample" for the place in the
            batch.
        order: of a box's four numbers.
        units: of a box's four numbers.
    """

    confidence: Share = 0.0
    iou: Share | None = None
    clip: bool = False
    outputs: Annotated[tuple[Part, ...], Meta(min_length=1)] = (
        "num", "boxes", "scores", "classes",
    )  # fmt: skip
    columns: Annotated[tuple[Column, ...], Meta(min_length=1)] = ("box", "score", "class")
    order: Order = "yxyx"
    units: Units = "fractions"

    def __post_init__(self) -> None:
        """Refuse outputs or columns from which no box can be made."""
        if "rows" in self.outputs:
            _check("columns", self.columns, ("box", "score", "class"))
            _check("outputs", self.outputs, ("rows",))
        else:
            _check("outputs", self.outputs, ("boxes", "scores", "classes"))

    @property
    def divides(self) -> bool:
        """See Postprocess: without suppression there is little to do, and rows may be of any."""
        return self.iou is not None and "sample" not in self.columns

    def candidates(self, outputs: Outputs, n: int, frames: Frames) -> Iterator[Candidates]:
        """See BoxOptions."""
        if len(outputs) < len(self.outputs):
            raise EngineError(
                f"the model has {len(outputs)} outputs; postprocess.outputs names "
                f"{len(self.outputs)}: {', '.join(self.outputs)}. Correct the list."
            )
        parts = dict(zip(self.outputs, outputs, strict=False))
        rows = parts.get("rows")
        images = self._of_rows(rows, n) if rows is not None else self._of_parts(parts, n)
        for boxes, scores, classes in images:
            kept = np.flatnonzero(scores > self.confidence)
            if self.background is not None:
                kept = kept[classes[kept] != self.background]
            placed = in_pixels(corners(boxes[kept], self.order), self.units, frames)
            yield Candidates(placed, classes[kept].astype(np.intp), scores[kept])

    def _of_parts(
        self, parts: Mapping[Part, NDArray[np.generic]], n: int
    ) -> Iterator[tuple[Floats, Floats, Floats]]:
        boxes = _batched("boxes", parts["boxes"], n, 3)
        scores = _batched("scores", parts["scores"], n, 2)
        classes = _batched("classes", parts["classes"], n, 2)
        if boxes.shape != (*scores.shape, _BOX) or scores.shape != classes.shape:
            shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in parts.items())
            raise EngineError(
                f"the model's outputs are {shapes}; expected boxes [n, k, 4], scores [n, k] and "
                "classes [n, k]. Correct the order of postprocess.outputs."
            )
        counts = parts["num"].reshape(-1) if "num" in parts else np.full(n, scores.shape[1])
        for row, count in enumerate(counts.astype(int).tolist()):
            yield boxes[row, :count], scores[row, :count], classes[row, :count]

    def _of_rows(self, rows: NDArray[np.generic], n: int) -> Iterator[tuple[Floats, ...]]:
        width = len(self.columns) + _BOX - 1
        if rows.shape[-1] != width:
            raise EngineError(
                f"the output with rows has shape {list(rows.shape)}; postprocess.columns describes "
                f"{width} numbers: {', '.join(self.columns)} (box is four). Correct the list."
            )
        at = _starts(self.columns)
        found = rows.astype(np.float32, copy=False)
        if "sample" in at:
            flat = found.reshape(-1, width)
            images = [flat[flat[:, at["sample"]] == row] for row in range(n)]
        else:
            images = list(_batched("rows", found, n, 3))
        for image in images:
            box = at["box"]
            yield image[:, box : box + _BOX], image[:, at["score"]], image[:, at["class"]]


def _check(key: str, given: tuple[str, ...], needed: tuple[str, ...]) -> None:
    counts = Counter(name for name in given if name != "unused")
    repeated = [name for name, count in counts.items() if count > 1]
    missing = [name for name in needed if name not in counts]
    if repeated or missing:
        what = f"{repeated[0]} is repeated" if repeated else f"{missing[0]} is missing"
        raise ValueError(f"{key}: {what}; expected {', '.join(needed)} once each")


def _starts(columns: tuple[Column, ...]) -> dict[str, int]:
    """Return the place of each column's first number in a row."""
    starts: dict[str, int] = {}
    place = 0
    for column in columns:
        starts[column] = place
        place += _BOX if column == "box" else 1
    return starts


def _batched(part: str, output: NDArray[np.generic], n: int, axes: int) -> Floats:
    """Return an output with its batch axis, which a model for one image may leave out."""
    if output.ndim == axes - 1 and n == 1:
        output = output[None]
    if output.ndim != axes or len(output) != n:
        raise EngineError(
            f"the output with {part} has shape {list(output.shape)}; expected {axes} axes, the "
            f"first of {n}, the samples of the batch. Correct postprocess.outputs."
        )
    return output.astype(np.float32, copy=False)
