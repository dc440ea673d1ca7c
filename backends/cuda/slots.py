"""A batch in flight: its buffers on the device and in pinned host memory, its stream and events."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from backends.cuda.driver import GatherOrder
from backends.cuda.errors import CudaError
from backends.cuda.slab import pinned_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.base import Array, TensorSpec
    from backends.cuda.driver import Driver, Event, Graph, Stream

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class Slot:
    """What one batch in flight needs.

    Attributes:
        stream: copies to the device and back; the model has a stream for all slots.
        begun: reached when the device begins with the batch.
        copied: its rows are on the device.
        started: the model begins.
        computed: the model is done.
        done: the outputs are in `results`.
        source: device address of the input, for `max_batch_size` rows.
        targets: device address of each output.
        results: each output in pinned memory, [max_batch_size, *shape].
        result_addresses: of the same.
        staging: pinned memory for the input, where the host gathers; else empty.
        staging_address: of the same.
        rows: pinned row numbers for the device's gather.
        order: the gather's arguments.
        graphs: by batch size.
        count: rows of the batch in flight; 0: the slot is free.
        launched_ns: when the host launched it.
    """

    stream: Stream
    begun: Event
    copied: Event
    started: Event
    computed: Event
    done: Event
    source: int
    targets: tuple[int, ...]
    results: tuple[Array, ...]
    result_addresses: tuple[int, ...]
    staging: Array
    staging_address: int
    rows: Array
    order: GatherOrder
    graphs: dict[int, Graph] = field(default_factory=dict)
    count: int = 0
    launched_ns: int = 0


class Held:
    """Everything that was opened on a device; freed in reverse order, whatever its state.

    A device that failed refuses also to free; that is no news, and must not hide the failure.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._stack = ExitStack()

    def keep(self, thing: T, free: Callable[[T], None]) -> T:
        """Free `thing` with `free` in the end; return it."""
        self._stack.callback(self._quietly, free, thing)
        return thing

    def close(self) -> None:
        """Free all. Closing twice is allowed."""
        self._stack.close()

    def _quietly(self, free: Callable[[T], None], thing: T) -> None:
        try:
            self._driver.use()
            free(thing)
        except CudaError as error:
            log.debug("while freeing: %s", error)


def open_slot(  # noqa: PLR0913 - two of them are switches
    driver: Driver,
    held: Held,
    tensors: tuple[TensorSpec, tuple[TensorSpec, ...]],
    cap: int,
    *,
    staging: bool,
    blocking: bool,
) -> Slot:
    """Open a slot for batches of at most `cap` rows of the input and the outputs in `tensors`.

    Args:
        driver: of the device.
        held: takes what is opened.
        tensors: input, outputs; all sizes known.
        cap: max_batch_size.
        staging: make room for the host to gather in.
        blocking: who waits for the batch sleeps.

    Raises:
        OutOfMemoryError: on the device or in pinned memory.
    """
    source, targets = tensors

    def device(size: int) -> int:
        return held.keep(driver.allocate(size), driver.free)

    def pinned(size: int) -> int:
        return held.keep(driver.pin(size), driver.unpin)

    def event(*, blocking: bool = False) -> Event:
        return held.keep(driver.event(blocking=blocking), driver.destroy_event)

    row_bytes = tensor_bytes(source)
    rows_address = pinned(4 * cap)
    addresses = tuple(pinned(cap * tensor_bytes(tensor)) for tensor in targets)
    staging_address = pinned(cap * row_bytes) if staging else 0
    return Slot(
        stream=held.keep(driver.stream(urgent=True), driver.destroy_stream),
        begun=event(),
        copied=event(),
        started=event(),
        computed=event(),
        done=event(blocking=blocking),
        source=device(cap * row_bytes),
        targets=tuple(device(cap * tensor_bytes(tensor)) for tensor in targets),
        results=tuple(
            _pinned_array(address, tensor, cap)
            for address, tensor in zip(addresses, targets, strict=True)
        ),
        result_addresses=addresses,
        staging=_pinned_array(staging_address, source, cap) if staging else np.empty(0),
        staging_address=staging_address,
        rows=pinned_bytes(rows_address, 4 * cap).view(np.int32),
        order=GatherOrder(rows_address, row_bytes),
    )


def tensor_bytes(tensor: TensorSpec) -> int:
    """Return the bytes of one row; all sizes are known."""
    return prod(size or 1 for size in tensor.shape) * np.dtype(tensor.dtype).itemsize


def _pinned_array(address: int, tensor: TensorSpec, cap: int) -> Array:
    shape = (cap, *(size or 1 for size in tensor.shape))
    block = pinned_bytes(address, cap * tensor_bytes(tensor))
    return block.view(tensor.dtype).reshape(shape)
