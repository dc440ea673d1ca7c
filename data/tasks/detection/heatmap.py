"""CenterNet's head: a map of centres for each class, whose peaks are objects.

Source: Zhou et al., Objects as Points, 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from data.strict_yaml import Positive
from data.tasks.detection.boxes import BoxOptions, Share
from data.tasks.detection.geometry import Candidates
from data.tasks.detection.grids import as_rows, centres, grid_of
from data.tasks.detection.scores import pick
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from data.tasks.base import Frames, Outputs

    Floats = NDArray[np.float32]

Part = Literal["heat", "sides", "size", "offset", "unused"]
_WIDTHS = {"sides": 4, "size": 2, "offset": 2}


class Heatmap(BoxOptions, frozen=True, kw_only=True, tag="heatmap"):
    """A cell that is the best of its neighbourhood in its class is an object.

    Each output is [n, channels, rows, columns], [n, rows, columns, channels] or [n, cells,
    channels].

    Attributes:
        outputs: what each of the model's outputs is, in its order (that named in `output` first):
            "heat" of classes, and either "sides", distances to left, top, right and bottom, or
            "size", width and height, with or without "offset" of the centre in its cell, x and y.
        stride: pixels of the input from cell to cell.
        unit: of sides, size and offset.
        cell_offset: of a cell's point, without "offset"; 0.5 is its middle.
        neighbourhood: cells across, an odd number; 1: every cell is a peak.
    """

    iou: Share | None = None
    max_boxes: Positive = 100
    multi_label: bool = True
    activation: Literal["none", "sigmoid"] = "none"
    outputs: tuple[Part, ...] = ("heat", "size", "offset")
    stride: Positive = 4
    unit: Literal["strides", "pixels"] = "strides"
    cell_offset: float = 0.0
    neighbourhood: Annotated[int, Meta(ge=1)] = 3

    def __post_init__(self) -> None:
        """Refuse outputs that make no boxes."""
        extents = [name for name in ("sides", "size") if name in self.outputs]
        if self.outputs.count("heat") != 1 or len(extents) != 1:
            raise ValueError("outputs: expected heat once, and either sides or size")
        if self.neighbourhood % 2 == 0:
            raise ValueError(f"neighbourhood: got {self.neighbourhood}; expected an odd number")

    def candidates(self, outputs: Outputs, n: int, frames: Frames) -> Iterator[Candidates]:
        """See BoxOptions."""
        if len(outputs) < len(self.outputs):
            raise EngineError(
                f"the model has {len(outputs)} outputs; postprocess.outputs names "
                f"{len(self.outputs)}: {', '.join(self.outputs)}. Correct the list."
            )
        grid = grid_of(frames, self.stride)
        parts = {
            name: as_rows(output, n, grid, 1)
            for name, output in zip(self.outputs, outputs, strict=False)
            if name != "unused"
        }
        for name, part in parts.items():
            if part.shape[2] != _WIDTHS.get(name, part.shape[2]):
                raise EngineError(
                    f"the output with {name} has {part.shape[2]} numbers a cell; expected "
                    f"{_WIDTHS[name]}. Correct the order of postprocess.outputs."
                )
        for row in range(n):
            yield self._of({name: part[row] for name, part in parts.items()}, grid)

    def _of(self, parts: dict[Part, Floats], grid: tuple[int, int]) -> Candidates:
        rows, classes, scores = pick(self._peaks(parts["heat"], grid).T, self)
        scale = np.float32(self.stride if self.unit == "strides" else 1)
        shift = 0.0 if "offset" in parts else self.cell_offset
        points = centres(grid, self.stride, shift)[rows]
        if "offset" in parts:
            points = points + parts["offset"][rows] * scale
        if "sides" in parts:
            sides = parts["sides"][rows] * scale
            before, behind = sides[:, :2], sides[:, 2:]
        else:
            before = behind = parts["size"][rows] * scale / 2
        boxes = np.concatenate([points - before, points + behind], axis=1)
        return Candidates(boxes, classes, scores)

    def _peaks(self, heat: Floats, grid: tuple[int, int]) -> Floats:
        """Return the heat of peaks, and minus infinity elsewhere, [cells, classes]."""
        reach = self.neighbourhood // 2
        maps = heat.reshape(*grid, -1)
        best = maps
        for axis, length in enumerate(grid):
            padding = [(reach, reach) if axis == k else (0, 0) for k in range(3)]
            wide = np.pad(best, padding, constant_values=-np.inf)
            shifted = [wide.take(range(k, k + length), axis) for k in range(2 * reach + 1)]
            best = np.maximum.reduce(shifted)
        return np.where(maps == best, maps, np.float32(-np.inf)).reshape(heat.shape)
