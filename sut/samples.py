"""The samples that LoadGen asked to be in memory, and the row of each.

Knows arrays and data set indices. LoadGen's QuerySampleLibrary (sut.loadgen) calls it, outside the
timed region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backends.base import Array

NOT_LOADED = -1


@dataclass(frozen=True, slots=True)
class LoadedSamples:
    """Samples in memory, in the order in which LoadGen asked for them.

    LoadGen's Offline query and MultiStream queries follow that order, so their batches are
    contiguous rows of `array`: one copy, or none.

    Attributes:
        array: [rows, *shape], C-contiguous.
        row_of: row of every data set index, NOT_LOADED for those not in memory.
        indices: the data set index of each row.
    """

    array: Array
    row_of: Sequence[int]
    indices: Sequence[int]


def load_samples(path: Path, indices: Sequence[int]) -> LoadedSamples:
    """Read the given data set indices from a .npy file [N, *shape] into memory.

    Repeated indices (LoadGen pads MultiStream's last query with some) share the first's row.
    """
    source = np.load(path, mmap_mode="r", allow_pickle=False)
    order = list(dict.fromkeys(indices))
    row_of = [NOT_LOADED] * len(source)
    for row, index in enumerate(order):
        row_of[index] = row
    return LoadedSamples(np.ascontiguousarray(source[order]), row_of, order)


def no_samples(count: int, shape: Sequence[int], dtype: str) -> LoadedSamples:
    """Stand in for samples that an engine never reads: zeros that take no memory until touched."""
    return LoadedSamples(np.zeros((count, *shape), dtype), range(count), range(count))
