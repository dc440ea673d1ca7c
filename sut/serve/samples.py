"""The samples that LoadGen wants in memory, and the row of each.

Knows arrays and data set indices. LoadGen's QuerySampleLibrary (sut.run.trial) asks for them,
outside the timed region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array
    from sut.config.workload import Workload

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


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Which samples to load from where, as plain data; each process reads its own copy.

    Attributes:
        path: a .npy file [count, *shape]; empty for an engine that reads no samples.
        count: samples in the data set.
        shape: of one sample.
        dtype: NumPy's name.
        indices: data set indices in LoadGen's order. Repeated ones share a row; LoadGen pads the
            last query of MultiStream with them.
    """

    path: str
    count: int
    shape: tuple[int, ...]
    dtype: str
    indices: tuple[int, ...]

    @classmethod
    def of(cls, workload: Workload, indices: Sequence[int]) -> SampleSource:
        """Return where to read some samples of a workload, whose samples are prepared."""
        samples = workload.samples
        assert samples is not None, "samples are prepared before any are loaded"
        shape, dtype = workload.sample_shape, workload.input.dtype
        return cls(samples.path, samples.count, shape, dtype, tuple(indices))

    def read(self) -> LoadedSamples:
        """Read the samples into memory."""
        if not self.path:  # zeros take no memory until somebody touches them, and nobody does
            zeros = np.zeros((self.count, *self.shape), self.dtype)
            return LoadedSamples(zeros, range(self.count), range(self.count))
        source = np.load(self.path, mmap_mode="r", allow_pickle=False)
        order = list(dict.fromkeys(self.indices))
        row_of = [NOT_LOADED] * len(source)
        for row, index in enumerate(order):
            row_of[index] = row
        return LoadedSamples(np.ascontiguousarray(source[order]), row_of, order)
