"""Rows of the bound samples as one block: a view if they are consecutive, else a copy.

For backends whose engine reads host memory. Knows only arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array


def is_run(rows: Sequence[int]) -> bool:
    """Return whether the rows, one or more, are consecutive."""
    first, count = rows[0], len(rows)
    # For most batches of random rows the last row is enough, without a list.
    return rows[-1] - first == count - 1 and list(rows) == list(range(first, first + count))


def gather(samples: Array, rows: Sequence[int], staging: Array) -> Array:
    """Return rows `rows` of `samples`: a view if they are consecutive, else in `staging`.

    The caller has checked that the rows exist, and that `staging` has room for them.
    """
    if is_run(rows):
        return samples[rows[0] : rows[0] + len(rows)]
    # "clip", because "raise" would use another buffer; the rows are checked already.
    return np.take(samples, rows, axis=0, out=staging[: len(rows)], mode="clip")
