"""Heads without anchors that answer with the distances from a cell to the four sides of a box.

NanoDet and GFL give each distance as a distribution over bins (Li et al., Generalized Focal Loss,
2020), FCOS as a number.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from data.strict_yaml import Positive
from data.tasks.detection.boxes import BoxOptions, Share
from data.tasks.detection.geometry import Candidates
from data.tasks.detection.grids import as_rows, centres, grid_of, split_levels
from data.tasks.detection.scores import pick
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs

    Floats = NDArray[np.float32]

_SIDES = 4


class Distances(BoxOptions, frozen=True, kw_only=True, tag="distances"):
    """Scores and distances to the left, top, right and bottom side, for each cell of each stride.

    A level's scores and distances are told apart by their number of numbers, levels by their cells:
    the order of the outputs does not matter. All levels may be in one output, and scores and
    distances in one, with the scores first.

    Attributes:
        strides: pixels of the input from cell to cell, a level each, in the candidates' order.
        bins: of a distance; 1: the distance itself.
        unit: of a distance.
        offset: of a cell's point; 0.5 is its middle.
    """

    iou: Share | None = 0.6
    strides: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (8, 16, 32)
    bins: Positive = 1
    unit: Literal["strides", "pixels"] = "strides"
    offset: float = 0.5

    def candidates(self, outputs: Outputs, n: int, frames: Frames) -> Iterator[Candidates]:
        """See BoxOptions."""
        levels = self._levels(outputs, n, frames)
        for row in range(n):
            found = [
                self._of(stride, grid_of(frames, stride), numbers[row], sides[row])
                for stride, (numbers, sides) in zip(self.strides, levels, strict=True)
            ]
            yield Candidates(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def _levels(self, outputs: Outputs, n: int, frames: Frames) -> list[tuple[Floats, Floats]]:
        """Return scores and distances of each level, [n, cells, numbers] each."""
        grids = [grid_of(frames, stride) for stride in self.strides]
        counts = [rows * columns for rows, columns in grids]
        parts: list[list[Floats]] = [[] for _ in grids]
        for output in outputs:
            for level, part in self._parts(output, n, grids, counts):
                parts[level].append(part)
        return [self._told_apart(level, counts[k]) for k, level in enumerate(parts)]

    def _parts(
        self,
        output: NDArray[np.generic],
        n: int,
        grids: list[tuple[int, int]],
        counts: list[int],
    ) -> Iterator[tuple[int, Floats]]:
        for level, (grid, count) in enumerate(zip(grids, counts, strict=True)):
            if count in output.shape[1:] or grid in (output.shape[1:3], output.shape[2:]):
                yield level, as_rows(output, n, grid, 1)
                return
        for level, part in enumerate(split_levels(output, n, counts)):
            yield level, part.astype(np.float32, copy=False)

    def _told_apart(self, parts: list[Floats], count: int) -> tuple[Floats, Floats]:
        width = _SIDES * self.bins
        if len(parts) == 1 and parts[0].shape[2] > width:
            return parts[0][:, :, :-width], parts[0][:, :, -width:]
        sides = [part for part in parts if part.shape[2] == width]
        scores = [part for part in parts if part.shape[2] != width]
        if len(parts) == 2 and len(sides) == 2:  # noqa: PLR2004 - as many classes as numbers
            scores, sides = parts[:1], parts[1:]
        if len(scores) != 1 or len(sides) != 1:
            shapes = ", ".join(str(list(part.shape)) for part in parts) or "none"
            raise EngineError(
                f"for {count} cells the model's outputs are {shapes}; expected scores and {width} "
                "numbers of distances, or one output of both. Correct postprocess.bins or "
                "postprocess.strides."
            )
        return scores[0], sides[0]

    def _of(self, stride: int, grid: tuple[int, int], numbers: Floats, sides: Floats) -> Candidates:
        rows, classes, scores = pick(numbers.T, self)
        distances = self._distances(sides[rows])
        if self.unit == "strides":
            distances = distances * np.float32(stride)
        points = _points(grid, stride, self.offset)[rows]
        boxes = np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=1)
        return Candidates(boxes, classes, scores)

    def _distances(self, sides: Floats) -> Floats:
        """Return the mean of each distribution, [k, 4]."""
        if self.bins == 1:
            return sides
        powers = sides.reshape(len(sides), _SIDES, self.bins)
        powers = np.exp(powers - powers.max(axis=2, keepdims=True))
        means: Floats = powers @ np.arange(self.bins, dtype=np.float32) / powers.sum(axis=2)
        return means


@cache
def _points(grid: tuple[int, int], stride: int, offset: float) -> Floats:
    return centres(grid, stride, offset)
