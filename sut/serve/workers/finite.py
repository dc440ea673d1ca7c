"""Counts samples whose scores are not numbers: their best class would be chance, and no error.

Weights that are not a number, an overflow in float16, or a division by a standard deviation of 0
make such scores. Knows only arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALF_BYTES = 2
# IEEE 754, binary16: the bits from these on are infinity and NaN of each sign.
_HALF_INFINITY, _HALF_MINUS_INFINITY = 0x7C00, 0xFC00
_CACHE_BYTES = 1 << 20


def not_finite(output: NDArray[Any]) -> int:
    """Return how many rows of a batch's output have no best score: NaN, infinity, only -infinity.

    Minus infinity beside other scores is no error: models exclude a class with it.

    Args:
        output: [n, ...] of any dtype; integers are always finite.
    """
    if output.dtype.kind != "f" or not output.size or _is_finite(output):
        return 0
    rows = output.reshape(len(output), -1)
    bad = (~(rows < np.inf)).any(axis=1)
    if rows.shape[1] > 1:  # one score of -infinity is a certain "no"
        bad |= (rows == -np.inf).all(axis=1)
    return int(bad.sum())


def _is_finite(output: NDArray[Any]) -> bool:
    """Say quickly whether all is well, 5 us for 8,000 scores; False may be a false alarm."""
    # A large output row by row, because it is read twice.
    parts = output if output.nbytes > _CACHE_BYTES else (output,)
    if output.dtype.itemsize == _HALF_BYTES:  # NumPy compares float16 thirty times as slowly
        return all(
            part.view(np.int16).max() < _HALF_INFINITY
            and part.view(np.uint16).max() < _HALF_MINUS_INFINITY
            for part in parts
        )
    # The maximum of anything and NaN is NaN.
    return all(part.max() < np.inf and part.min() > -np.inf for part in parts)
