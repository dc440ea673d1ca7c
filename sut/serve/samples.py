"""The samples that LoadGen wants in memory, and the row of each.

Knows arrays and data set indices. LoadGen's QuerySampleLibrary (sut.run.trial) asks for them,
outside the timed region.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from backends.base import Array, Arrays, SampleMemory, TensorSpec
    from data.tasks.base import FrameFile
    from sut.config.workload import Workload

NOT_LOADED = -1


@dataclass(frozen=True, slots=True)
class LoadedSamples:
    """Samples in memory, in the order in which LoadGen asked for them.

    LoadGen's Offline query and MultiStream queries follow that order, so their batches are
    contiguous rows of each array: one copy, or none.

    Attributes:
        arrays: by the input's name, [rows, *shape] each, C-contiguous.
        row_of: row of every data set index, NOT_LOADED for those not in memory.
        indices: the data set index of each row.
        frames: where the samples lie in their images; None: the postprocess needs not know.
    """

    arrays: Arrays
    row_of: Sequence[int]
    indices: Sequence[int]
    frames: FrameFile | None = None


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Which samples to load from where, as plain data; each process reads its own copy.

    Attributes:
        paths: a .npy file [count, *shape] for each input; empty for an engine that reads none.
        count: samples in the data set.
        inputs: of the model.
        indices: data set indices in LoadGen's order. Repeated ones share a row; LoadGen pads the
            last query of MultiStream with them.
        frames: see LoadedSamples.
        digest: of all samples; see sut.config.workload.Samples.
        files: likewise.
    """

    paths: tuple[str, ...]
    count: int
    inputs: tuple[TensorSpec, ...]
    indices: tuple[int, ...]
    frames: FrameFile | None = None
    digest: str = ""
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, workload: Workload, indices: Sequence[int]) -> SampleSource:
        """Return where to read some samples of a workload, whose samples are prepared."""
        samples = workload.samples
        assert samples is not None, "samples are prepared before any are loaded"
        return cls(
            samples.paths,
            samples.count,
            workload.inputs,
            tuple(indices),
            samples.frames,
            samples.digest,
            samples.files,
        )

    def read(self, memory: SampleMemory | None = None) -> LoadedSamples:
        """Read the samples into blocks of `memory`, or into ordinary memory for None.

        Raises:
            IndexError: there is no such sample.
        """
        if not self.paths:  # zeros take no memory until somebody touches them, and nobody does
            zeros = {
                tensor.name: np.zeros((self.count, *tensor.sizes), tensor.dtype)
                for tensor in self.inputs
            }
            return LoadedSamples(zeros, range(self.count), range(self.count), self.frames)
        sources = [np.load(path, mmap_mode="r", allow_pickle=False) for path in self.paths]
        order = list(dict.fromkeys(self.indices))
        row_of = [NOT_LOADED] * len(sources[0])
        for row, index in enumerate(order):
            row_of[index] = row
        blocks = _taken(sources, order, memory)
        names = [tensor.name for tensor in self.inputs]
        return LoadedSamples(dict(zip(names, blocks, strict=True)), row_of, order, self.frames)


def _taken(
    sources: Sequence[Array], order: Sequence[int], memory: SampleMemory | None
) -> list[Array]:
    """Return rows of each source in new blocks; the rows exist."""
    allocate = np.empty if memory is None else memory.allocate
    blocks: list[Array] = []
    try:
        for source in sources:
            blocks.append(allocate((len(order), *source.shape[1:]), source.dtype))
            # "clip" because "raise" would go through a buffer.
            np.take(source, order, axis=0, out=blocks[-1], mode="clip")
    except BaseException:
        if memory is not None:
            for block in blocks:
                memory.free(block)
        raise
    return blocks


class SampleReader:
    """Reads each source once for all engines of a process that want it in the same memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source: SampleSource | None = None
        # By what the memory is near to; None: ordinary memory.
        self._read: dict[Hashable, tuple[LoadedSamples, SampleMemory | None]] = {}

    def read(self, source: SampleSource, memory: SampleMemory | None = None) -> LoadedSamples:
        """Return the samples; the first caller reads them, and those of before are let go."""
        near = None if memory is None else memory.near
        with self._lock:
            if source is not self._source:
                self._let_go()
                self._source = source
            if near not in self._read:
                self._read[near] = source.read(memory), memory
            return self._read[near][0]

    def close(self) -> None:
        """Let go of all samples; engines keep what is bound to them."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        self._source = None
        while self._read:
            samples, memory = self._read.popitem()[1]
            if memory is not None:
                for array in samples.arrays.values():
                    memory.free(array)
