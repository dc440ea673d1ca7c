"""Heads that move anchors, as SSD and RetinaNet have them: boxes are differences from anchors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from data.strict_yaml import Positive, PositiveFloat, StrictStruct
from data.tasks.detection.boxes import BoxOptions
from data.tasks.detection.geometry import Candidates
from data.tasks.detection.grids import as_rows, centres, split_levels, whole
from data.tasks.detection.scores import pick
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs

    Floats = NDArray[np.float32]

# torchvision.models.detection._utils.BoxCoder: a box grows by at most this, or exp overflows.
_MOST_GROWTH = float(np.log(1000 / 16))
_BOX = 4

Size = Annotated[tuple[PositiveFloat, ...], Meta(min_length=2, max_length=2)]
Grid = Annotated[tuple[Positive, ...], Meta(min_length=2, max_length=2)]


class AnchorLevel(StrictStruct, frozen=True):
    """The anchors of one map of features.

    Attributes:
        grid: rows and columns of its cells.
        step: pixels of the input from cell to cell.
        sizes: width and height of each anchor of a cell, in pixels, in the model's order.
        offset: of the anchor's centre in its cell; 0.5 is the middle.
    """

    grid: Grid
    step: PositiveFloat
    sizes: Annotated[tuple[Size, ...], Meta(min_length=1)]
    offset: float = 0.5

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid[0], self.grid[1]

    @property
    def count(self) -> int:
        """Anchors."""
        return self.grid[0] * self.grid[1] * len(self.sizes)


class Anchors(BoxOptions, frozen=True, kw_only=True, tag="anchors"):
    """Differences from anchors, and scores, of all levels in one output each or level by level.

    A box has its centre at anchor centre + difference * variance * anchor size, and the size
    anchor size * exp(difference * variance) (Liu et al., SSD, 2016). With several images in a
    batch each output is [n, candidates, numbers], [n, numbers, candidates], or maps.

    Attributes:
        levels: in the order of the candidates.
        outputs: what each of the model's outputs is, in its order (that named in `output` first);
            of several with the same name, one a level.
        order: of a difference's four numbers: centre and size.
        variances: of centre and size; SSD has 0.1 and 0.2, RetinaNet 1 and 1.
        level_candidates: of a level, the best ones; None: all.
    """

    levels: Annotated[tuple[AnchorLevel, ...], Meta(min_length=1)]
    outputs: tuple[Literal["boxes", "scores", "unused"], ...] = ("boxes", "scores")
    order: Literal["cxcywh", "cycxhw"] = "cxcywh"
    variances: Annotated[tuple[PositiveFloat, ...], Meta(min_length=2, max_length=2)] = (0.1, 0.2)
    level_candidates: Positive | None = None

    def __post_init__(self) -> None:
        """Refuse outputs that do not fit the levels."""
        for name in ("boxes", "scores"):
            count = self.outputs.count(name)
            if count not in {1, len(self.levels)}:
                raise ValueError(
                    f"outputs: {name} is there {count} times; expected once, or once for each of "
                    f"{len(self.levels)} levels"
                )

    def candidates(self, outputs: Outputs, n: int, frames: Frames) -> Iterator[Candidates]:
        """See BoxOptions."""
        if len(outputs) < len(self.outputs):
            raise EngineError(
                f"the model has {len(outputs)} outputs; postprocess.outputs names "
                f"{len(self.outputs)}: {', '.join(self.outputs)}. Correct the list."
            )
        if self.level_candidates is None and self._is_whole:
            yield from self._of_whole(outputs, n)
            return
        boxes, scores = (self._levels_of(name, outputs, n) for name in ("boxes", "scores"))
        for row in range(n):
            found = [
                self._of(anchors_of(level), differences[row], numbers[row])
                for level, differences, numbers in zip(self.levels, boxes, scores, strict=True)
            ]
            yield Candidates(*(np.concatenate(part) for part in zip(*found, strict=True)))

    @property
    def _is_whole(self) -> bool:
        """Whether one output has the boxes of all levels, and one their scores."""
        return all(self.outputs.count(name) == 1 for name in ("boxes", "scores"))

    def _of_whole(self, outputs: Outputs, n: int) -> Iterator[Candidates]:
        """Give the candidates of all levels at once: of many small arrays calls take the time."""
        counts = [level.count for level in self.levels]
        parts = (outputs[self.outputs.index(name)] for name in ("boxes", "scores"))
        boxes, scores = (whole(part, n, counts).astype(np.float32, copy=False) for part in parts)
        anchors = anchors_of(*self.levels)
        for differences, numbers in zip(boxes, scores, strict=True):
            yield self._of(anchors, differences, numbers)

    def _levels_of(self, name: str, outputs: Outputs, n: int) -> Sequence[Floats]:
        found = [
            output for part, output in zip(self.outputs, outputs, strict=False) if part == name
        ]
        if len(found) == 1:
            found = split_levels(found[0], n, [level.count for level in self.levels])
        return [
            as_rows(output, n, level.cells, len(level.sizes))
            for level, output in zip(self.levels, found, strict=True)
        ]

    def _of(self, anchors: Floats, differences: Floats, numbers: Floats) -> Candidates:
        if differences.shape[1] != _BOX:
            raise EngineError(
                f"the output with boxes has {differences.shape[1]} numbers a candidate; expected 4."
                " Correct the order of postprocess.outputs."
            )
        rows, classes, scores = pick(numbers.T, self)
        if self.level_candidates is not None and len(rows) > self.level_candidates:
            best = np.argsort(-scores, kind="stable")[: self.level_candidates]
            rows, classes, scores = rows[best], classes[best], scores[best]
        return Candidates(self._moved(anchors[rows], differences[rows]), classes, scores)

    def _moved(self, anchors: Floats, differences: Floats) -> Floats:
        """Return corners, from anchors as x, y, width, height."""
        if self.order == "cycxhw":
            differences = differences[:, [1, 0, 3, 2]]
        of_centre, of_size = (np.float32(number) for number in self.variances)
        centre = anchors[:, :2] + differences[:, :2] * of_centre * anchors[:, 2:]
        growth = np.minimum(differences[:, 2:] * of_size, np.float32(_MOST_GROWTH))
        half = anchors[:, 2:] * np.exp(growth) / 2
        return np.concatenate([centre - half, centre + half], axis=1)


@cache
def anchors_of(*levels: AnchorLevel) -> Floats:
    """Return centre x, y, width and height of levels' anchors in pixels, [count, 4] float32."""
    found = []
    for level in levels:
        points = centres(level.cells, level.step, level.offset)
        sizes = np.array(level.sizes, np.float32)
        found += [np.repeat(points, len(sizes), axis=0), np.tile(sizes, (len(points), 1))]
    return np.concatenate([np.concatenate(found[::2]), np.concatenate(found[1::2])], axis=1)
