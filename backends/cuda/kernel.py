"""The contract of a backend for the CUDA worker: a model that can be enqueued on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import OptionValue, TensorSpec


class Kernel(Protocol):
    """A model on one device, with fixed addresses: nothing is allocated or copied by the engine.

    One thread at a time uses it, and all its work is on one stream, in order, so that it needs
    its intermediate memory once.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """All sizes known, in the order of `enqueue`'s `sources`."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """All sizes known, in the order of `enqueue`'s `targets`."""

    @property
    def sizes(self) -> Sequence[int]:
        """Batch sizes that it runs, ascending; a batch is padded to the next larger one.

        Empty: it runs every size.
        """

    @property
    def capturable(self) -> bool:
        """Whether its work may be captured as a graph, for each of `sizes`."""

    @property
    def facts(self) -> Mapping[str, OptionValue]:
        """See `Engine.facts`."""

    def prepare(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """Enqueue a first batch with these addresses: compile, choose algorithms, make workspaces.

        It comes once before the `enqueue` that is captured, and may wait for the device.
        """

    def enqueue(
        self, batch_size: int, sources: Sequence[int], targets: Sequence[int], stream: int
    ) -> None:
        """Enqueue a batch of `batch_size` rows from one block an input to one block an output.

        Args:
            batch_size: one of `sizes`.
            sources: device address of each input, [batch_size, *input.shape], C-contiguous.
            targets: device address of each output, [batch_size, *output.shape].
            stream: a cudaStream_t; 0 where the device is the host.
        """

    def close(self) -> None:
        """Free its resources on the device. None of its work is running any more."""


@runtime_checkable
class WeighedKernel(Kernel, Protocol):
    """A kernel that knows what it takes of the device's memory."""

    def memory_bytes(self) -> Mapping[str, int]:
        """See backends.base.WeighedEngine."""
