"""The interface of a device for the engine: memory, streams, events, graphs, copies.

`backends.cuda.gpu.CudaDriver` is a GPU, `backends.cuda.host_driver.HostDriver` the host itself.
Knows no engine, batch or model.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.base import OptionValue
    from backends.cuda.order import GatherOrder

# Handles from a driver; nobody looks inside.
Stream: TypeAlias = Any
Event: TypeAlias = Any
Graph: TypeAlias = Any

# A kernel writes outputs up to this size to the host in 3 us; the copy engine takes 19 us from the
# kernel before to the one after. Larger outputs disturb the model less through the copy engine.
DELIVER_BYTES = 1 << 16


# While one thread captures a graph, no other thread may allocate or wait for a whole device. So
# everything except batches runs one after the other.
DEVICES = threading.RLock()


class Driver(Protocol):
    """A device: memory, streams in order, events, graphs. Addresses are plain integers.

    Attributes:
        where: the device, for messages.
        node: its NUMA node; None if unknown.
        context: the CUDA context as libraries take it: a CUcontext as an integer.
    """

    where: str
    node: int | None
    context: int

    def use(self) -> None:
        """Make this the device of the calling thread. Call it first in every new thread."""

    def facts(self) -> dict[str, OptionValue]:
        """Return the facts of the device, for the result."""

    def free_bytes(self) -> int:
        """Return the free device memory in bytes, of all processes."""

    def allocate(self, size: int) -> int:
        """Return the address of `size` zeroed bytes on the device."""

    def free(self, address: int) -> None:
        """Give back what `allocate` returned."""

    def pin(self, size: int) -> int:
        """Return the address of `size` bytes of host memory that every device can read.

        Page-aligned and never swapped; the address is the same on both sides.
        """

    def unpin(self, address: int) -> None:
        """Give back what `pin` returned."""

    def stream(self, *, urgent: bool = False) -> Stream:
        """Return a new stream; the device prefers the work of an urgent one."""

    def destroy_stream(self, stream: Stream) -> None:
        """Give back what `stream` returned."""

    def number(self, stream: Stream) -> int:
        """Return the stream as libraries take it: a cudaStream_t as an integer."""

    def event(self, *, blocking: bool) -> Event:
        """Return a new event; a thread that waits for a blocking event sleeps and does not spin."""

    def destroy_event(self, event: Event) -> None:
        """Give back what `event` returned."""

    def record(self, event: Event, stream: Stream) -> None:
        """Record the time at which the stream gets here."""

    def order(self, stream: Stream, after: Event) -> None:
        """Make the stream wait for the latest record of the event."""

    def synchronize(self, event: Event) -> None:
        """Block until the latest record of the event is reached."""

    def idle(self, stream: Stream) -> bool:
        """Return whether all work on the stream is done."""

    def copy(self, target: int, source: int, size: int, stream: Stream) -> None:
        """Copy `size` bytes, in either direction."""

    def stamp(self, at: int, stream: Stream) -> None:
        """Write the device's time in ns to pinned memory when the stream gets here."""

    def gather(self, errand: Errand, stream: Stream) -> None:
        """Copy scattered rows to one block, by a kernel on the device that reads them.

        It takes the order when it begins, and notes that time as `stamp` does.
        """

    def deliver(self, parcel: Parcel, stream: Stream) -> None:
        """Copy an output of the model to pinned memory, and note when."""

    def shrink(self, whole: Raster, small: Raster, stream: Stream) -> None:
        """Make a picture of another size: each pixel is the mean of the area that it covers."""

    def run(self, enqueue: Callable[[], None], stream: Stream) -> None:
        """Call what enqueues work of a library on the stream; the host runs it in the stream."""

    def capture(self, enqueue: Callable[[], None], stream: Stream) -> Graph:
        """Return the work of `enqueue` as a graph, instead of running it."""

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Run a graph."""

    def destroy_graph(self, graph: Graph) -> None:
        """Give back what `capture` returned."""

    def settle(self) -> None:
        """Wait for all work on the device."""

    def break_device(self, stream: Stream) -> None:
        """Enqueue a fault after which every call fails, to test the loss of a device."""


class Errand(NamedTuple):
    """The rows of one input on their way to the model.

    Attributes:
        order: which rows.
        part: which input of the order.
        target: address on the device.
        begun_at: where to write the device's time when it begins; 0: nowhere.
    """

    order: GatherOrder
    part: int
    target: int
    begun_at: int = 0


class Parcel(NamedTuple):
    """An output on its way to the host.

    Attributes:
        source: its address on the device.
        target: its address in pinned memory.
        size: in bytes. Up to UNIT_BYTES - 1 more may be copied: both blocks have room for them.
        begun_at: where to write the device's time when it begins; 0: nowhere.
        done_at: where to write it at the end. Who sees that time sees the output too.
    """

    source: int
    target: int
    size: int
    begun_at: int = 0
    done_at: int = 0


class Raster(NamedTuple):
    """A picture: pixels of three bytes, row by row without gaps.

    Attributes:
        address: of the first pixel.
        width: in pixels.
        height: likewise.
    """

    address: int
    width: int
    height: int
