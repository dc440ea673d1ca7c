"""Heads that answer for every cell of a grid: from any layout of an output to one row a candidate.

Knows shapes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from data.tasks.base import Frames

    Floats = NDArray[np.float32]


def grid_of(frames: Frames, stride: int) -> tuple[int, int]:
    """Return rows and columns of the cells of `stride` pixels that cover the input."""
    return -(-frames.height // stride), -(-frames.width // stride)


def centres(grid: tuple[int, int], step: float, offset: float) -> Floats:
    """Return x, y of each cell in pixels, row by row, [rows * columns, 2] float32.

    Args:
        grid: rows and columns.
        step: pixels from cell to cell.
        offset: of the point in its cell; 0.5 is the middle.
    """
    y, x = np.mgrid[: grid[0], : grid[1]].astype(np.float32)
    return np.stack([(x.ravel() + offset) * step, (y.ravel() + offset) * step], axis=1)


def as_rows(output: NDArray[np.generic], n: int, grid: tuple[int, int], per_cell: int) -> Floats:
    """Return a level's output as [n, rows * columns * per_cell, numbers] float32.

    Takes [n, candidates, numbers], [n, numbers, candidates], [n, per_cell * numbers, rows, columns]
    and [n, rows, columns, per_cell * numbers].

    Raises:
        EngineError: the output is none of these.
    """
    cells = grid[0] * grid[1]
    found = _rows(output, n, grid, cells * per_cell, per_cell)
    if found is None:
        raise EngineError(
            f"an output has shape {list(output.shape)}; expected one row a sample, and numbers for "
            f"{cells * per_cell} candidates in {grid[0]}x{grid[1]} cells. Correct the grid, the "
            "strides or the anchors of the postprocess."
        )
    return found.astype(np.float32, copy=False)


def _rows(
    output: NDArray[np.generic], n: int, grid: tuple[int, int], count: int, per_cell: int
) -> NDArray[np.generic] | None:
    match output.shape[1:] if output.shape[:1] == (n,) else ():
        case (rows, _) if rows == count:
            return output
        case (_, rows) if rows == count:
            return output.transpose(0, 2, 1)
        case (*cells, numbers) if tuple(cells) == grid and numbers % per_cell == 0:
            return output.reshape(n, count, -1)
        case (numbers, *cells) if tuple(cells) == grid and numbers % per_cell == 0:
            apart = output.reshape(n, per_cell, -1, *grid)
            return apart.transpose(0, 3, 4, 1, 2).reshape(n, count, -1)
        case (rows, 1, _) if rows == count:  # TensorFlow's SSD has [n, candidates, 1, 4]
            return output[:, :, 0]
    return None


def whole(output: NDArray[np.generic], n: int, counts: Sequence[int]) -> NDArray[np.generic]:
    """Return one output of all levels as [n, candidates, numbers].

    Args:
        output: of the engine.
        n: samples.
        counts: candidates of each level.

    Raises:
        EngineError: no axis has all candidates.
    """
    total = sum(counts)
    found = _rows(output, n, (0, 0), total, 1)
    if found is None:
        raise EngineError(
            f"an output has shape {list(output.shape)}; expected [{n}, {total}, numbers], with a "
            f"row for each of {' + '.join(map(str, counts))} candidates. Correct postprocess."
        )
    return found


def split_levels(
    output: NDArray[np.generic], n: int, counts: Sequence[int]
) -> list[NDArray[np.generic]]:
    """Return one output of all levels as one output a level, [n, count, numbers] each.

    Raises:
        EngineError: as `whole`.
    """
    return np.split(whole(output, n, counts), np.cumsum(counts)[:-1], axis=1)
