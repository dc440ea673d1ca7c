"""Runs batches of samples that were received into a slab.

What differs from sut.serve.workers.executor is only which number names a sample: here its row, and
its data set index where a record names that. Knows no socket and no policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.base import open_engine
from sut.base.errors import ConfigError
from sut.serve.workers.executor import Executor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import Array, Engine, EngineSpec
    from data.tasks.base import Outputs
    from sut.serve.received.slab import Slab
    from sut.serve.responses import Responses
    from sut.serve.samples import LoadedSamples
    from sut.serve.workers.executor import ExecutorSpec

# An option of CUDA's engines; samples that come with the queries cannot be there before.
_ON_DEVICE = "samples_on_device"


class SlabExecutor(Executor):
    """An engine that runs rows of `slab`. See Executor for who may call what."""

    def __init__(
        self,
        slab: Slab,
        spec: ExecutorSpec,
        open_: Callable[[EngineSpec], Engine] = open_engine,
    ) -> None:
        if spec.engine.options.get(_ON_DEVICE):
            raise ConfigError(
                f"{_ON_DEVICE}: samples come with each query in the network division, so none are "
                "on the device. Leave it out."
            )
        super().__init__(spec, open_)
        self._slab = slab
        self._is_near = True

    def load(self, samples: LoadedSamples) -> None:
        """Use the rows of the slab, whatever `samples` are; its first executor says where it is."""
        memory = self.memory
        self._slab.allocate(memory)
        # An engine with memory of its own copies what lies elsewhere, and would not see what comes.
        self._is_near = memory is None or memory.near == self._slab.near
        super().load(self._slab.loaded())

    def run(self, indices: Sequence[int]) -> Responses:
        """Run one batch of rows; the responses are in their order."""
        if self._is_near:
            return super().run(indices)
        return self._responses(self._engine.infer_arrays(self._taken(indices)), indices)

    def launch(self, slot: int, indices: Sequence[int]) -> None:
        """Start one batch of rows in a free slot of an asynchronous engine."""
        if self._is_near:
            super().launch(slot, indices)
            return
        assert self._async is not None, "only with slots"
        self._async.launch_arrays(slot, self._taken(indices))

    def _taken(self, rows: Sequence[int]) -> dict[str, Array]:
        return {name: array[rows] for name, array in self._slab.arrays.items()}

    def _responses(self, outputs: Outputs, indices: Sequence[int]) -> Responses:
        index_of = self._slab.index_of
        return super()._responses(outputs, [index_of[row] for row in indices])
