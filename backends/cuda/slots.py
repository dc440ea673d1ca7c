"""A batch in flight: its buffers on the device and in pinned host memory, its stream and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from backends.cuda.order import GatherOrder, order_bytes
from backends.cuda.pinned import pinned_bytes
from backends.cuda.ptx import UNIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array, TensorSpec
    from backends.cuda.driver import Driver, Event, Graph, Stream
    from backends.cuda.held import Held


# Times that the device writes for each batch, by their place in `Slot.stamps`: it begins; the rows
# are on the device; the model begins; it is done; the outputs are on the host.
BEGUN, COPIED, STARTED, COMPUTED, DONE = range(5)
STAMP_BYTES = 8


@dataclass(slots=True)
class Slot:
    """What one batch in flight needs.

    Attributes:
        stream: copies to the device; the model has a stream for all slots.
        copied: an event: the rows are on the device.
        computed: an event: the model is done.
        done: an event: the outputs are in `results`.
        stamps: pinned memory, [5] uint64: ns on the device's clock; see BEGUN to DONE.
        stamps_address: of the same.
        sources: device address of each input, for `max_batch_size` rows.
        targets: device address of each output.
        results: each output in pinned memory, [max_batch_size, *shape].
        result_addresses: of the same.
        staging: each input in pinned memory, likewise; empty until the host writes rows there.
        staging_addresses: of the same.
        order: what the device is to gather.
        gather: the graph that gathers it; None where the host gathers every input.
        graphs: the graphs that compute and deliver, by batch size.
        count: rows of the batch in flight; 0: the slot is free.
        launched_ns: when the host launched it.
    """

    stream: Stream
    copied: Event
    computed: Event
    done: Event
    stamps: memoryview
    stamps_address: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    results: tuple[Array, ...]
    result_addresses: tuple[int, ...]
    order: GatherOrder
    staging: tuple[Array, ...] = ()
    staging_addresses: tuple[int, ...] = ()
    gather: Graph | None = None
    graphs: dict[int, Graph] = field(default_factory=dict)
    count: int = 0
    launched_ns: int = 0

    def stamp_at(self, stamp: int) -> int:
        """Return the address of one of `stamps`."""
        return self.stamps_address + STAMP_BYTES * stamp


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """How to open a slot.

    Attributes:
        sources: the inputs, all sizes known.
        targets: the outputs, likewise.
        cap: max_batch_size.
        staging: make room for the host to gather in.
        blocking: who waits for the batch sleeps.
    """

    sources: tuple[TensorSpec, ...]
    targets: tuple[TensorSpec, ...]
    cap: int
    staging: bool
    blocking: bool


def open_slot(driver: Driver, held: Held, plan: SlotPlan, stream: Stream) -> Slot:
    """Open a slot that copies to the device on `stream`; `held` takes what is opened.

    Raises:
        OutOfMemoryError: on the device or in pinned memory.
    """
    cap = plan.cap
    row_bytes = tuple(map(tensor_bytes, plan.sources))

    def device(size: int) -> int:
        return held.keep(driver.allocate(_whole_units(size)), driver.free)

    def pinned(size: int) -> int:
        return held.keep(driver.pin(_whole_units(size)), driver.unpin)

    def event(*, blocking: bool = False) -> Event:
        return held.keep(driver.event(blocking=blocking), driver.destroy_event)

    stamps_address = pinned(STAMP_BYTES * (DONE + 1))
    addresses = _pinned(driver, held, plan.targets, cap)
    slot = Slot(
        stream=stream,
        copied=event(),
        computed=event(),
        done=event(blocking=plan.blocking),
        stamps=pinned_bytes(stamps_address, STAMP_BYTES * (DONE + 1)).data.cast("B").cast("Q"),
        stamps_address=stamps_address,
        sources=tuple(device(cap * size) for size in row_bytes),
        targets=tuple(device(cap * tensor_bytes(tensor)) for tensor in plan.targets),
        results=_arrays(addresses, plan.targets, cap),
        result_addresses=addresses,
        order=GatherOrder(pinned(order_bytes(cap, len(row_bytes))), cap, row_bytes),
    )
    if plan.staging:
        add_staging(driver, held, plan, slot)
    return slot


def add_staging(driver: Driver, held: Held, plan: SlotPlan, slot: Slot) -> None:
    """Make room in pinned memory for rows that the host writes; `held` takes it.

    Raises:
        OutOfMemoryError: no more memory can be pinned.
    """
    slot.staging_addresses = _pinned(driver, held, plan.sources, plan.cap)
    slot.staging = _arrays(slot.staging_addresses, plan.sources, plan.cap)


def _pinned(driver: Driver, held: Held, tensors: Sequence[TensorSpec], cap: int) -> tuple[int, ...]:
    sizes = [_whole_units(cap * tensor_bytes(tensor)) for tensor in tensors]
    return tuple(held.keep(driver.pin(size), driver.unpin) for size in sizes)


def _whole_units(size: int) -> int:
    """Return the size with room for what a delivery copies beyond it."""
    return -(-size // UNIT_BYTES) * UNIT_BYTES


def tensor_bytes(tensor: TensorSpec) -> int:
    """Return the bytes of one row; all sizes are known."""
    return prod(tensor.sizes) * np.dtype(tensor.dtype).itemsize


def _arrays(addresses: Sequence[int], tensors: Sequence[TensorSpec], cap: int) -> tuple[Array, ...]:
    """Return what lies in pinned memory as arrays, [cap, *shape] each."""
    blocks = [
        pinned_bytes(address, cap * tensor_bytes(tensor)).view(tensor.dtype)
        for address, tensor in zip(addresses, tensors, strict=True)
    ]
    shapes = [(cap, *tensor.sizes) for tensor in tensors]
    return tuple(block.reshape(shape) for block, shape in zip(blocks, shapes, strict=True))
