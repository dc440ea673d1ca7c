"""The host as a device: the same calls, in host memory. Runs the CUDA worker without a GPU.

A stream keeps what was enqueued until somebody waits for one of its events, and runs it then, on
the thread that waits: what reads a buffer too early or too late finds the wrong bytes here too.
Knows no engine, batch or model.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from backends.cuda.errors import failure
from backends.cuda.pinned import pinned_bytes
from backends.cuda.ptx import UNIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from backends.base import OptionValue
    from backends.cuda.driver import Errand, Parcel, Raster

    Work = Callable[[], None]


T = TypeVar("T")


class HostStream:
    """Work in order."""

    def __init__(self) -> None:
        self.waiting: deque[Work] = deque()
        self.captured: list[Work] | None = None  # instead of `waiting`, during a capture


class HostEvent:
    """A point in a stream, and when it was reached."""

    def __init__(self) -> None:
        self.stream: HostStream | None = None
        self.reached_ns: int | None = None


class HostDriver:
    """See backends.cuda.driver.Driver.

    Args:
        where: for messages.
        memory_bytes: what the "device" has.
    """

    node: int | None = None
    context = 0

    def __init__(self, where: str = "device cpu", memory_bytes: int = 1 << 40) -> None:
        self.where = where
        self._memory_bytes = memory_bytes
        self._blocks: dict[int, mmap.mmap] = {}
        self._pinned: dict[int, mmap.mmap] = {}
        self._handles: dict[int, object] = {}  # streams, events and graphs that are open
        self._lock = threading.RLock()  # a waiting thread runs the work of all streams
        self._broken = False

    def use(self) -> None:
        """See Driver."""

    def facts(self) -> dict[str, OptionValue]:
        """See Driver."""
        return {"device": "host"}

    def free_bytes(self) -> int:
        """See Driver. Pinned memory is not the device's."""
        return self._memory_bytes - self.allocated_bytes()

    def allocated_bytes(self) -> int:
        """Return the device memory in use."""
        return sum(map(len, self._blocks.values()))

    def pinned_bytes(self) -> int:
        """Return the pinned memory in use."""
        return sum(map(len, self._pinned.values()))

    def handles(self) -> int:
        """Return how many streams, events and graphs are open."""
        return len(self._handles)

    def allocate(self, size: int) -> int:
        """See Driver."""
        self.check("cudaMalloc")
        if size > self.free_bytes():
            raise failure(
                self.where,
                f"cudaMalloc of {size} bytes",
                "cudaErrorMemoryAllocation",
                f"out of memory, {self.free_bytes()} bytes are free",
            )
        return _map(size, self._blocks)

    def free(self, address: int) -> None:
        """See Driver."""
        del self._blocks[address]

    def pin(self, size: int) -> int:
        """See Driver."""
        self.check("cudaHostAlloc")
        return _map(size, self._pinned)

    def unpin(self, address: int) -> None:
        """See Driver."""
        del self._pinned[address]

    def stream(self, *, urgent: bool = False) -> HostStream:
        """See Driver."""
        self.check("cudaStreamCreate")
        return self._open(HostStream())

    def destroy_stream(self, stream: HostStream) -> None:
        """See Driver."""
        del self._handles[id(stream)]

    def number(self, stream: HostStream) -> int:
        """See Driver."""
        return 0

    def event(self, *, blocking: bool) -> HostEvent:
        """See Driver."""
        self.check("cudaEventCreate")
        return self._open(HostEvent())

    def destroy_event(self, event: HostEvent) -> None:
        """See Driver."""
        del self._handles[id(event)]

    def record(self, event: HostEvent, stream: HostStream) -> None:
        """See Driver."""
        self.check("cudaEventRecord")
        event.stream, event.reached_ns = stream, None

        def reach() -> None:
            event.reached_ns = time.monotonic_ns()

        stream.waiting.append(reach)

    def order(self, stream: HostStream, after: HostEvent) -> None:
        """See Driver."""
        self._enqueue("cudaStreamWaitEvent", partial(self._run_until, after), stream)

    def synchronize(self, event: HostEvent) -> None:
        """See Driver. Runs the work on this thread."""
        self._run_until(event)
        self.check("cudaEventSynchronize")

    def idle(self, stream: HostStream) -> bool:
        """See Driver. Runs the work on this thread."""
        with self._lock:
            while stream.waiting and not self._broken:
                stream.waiting.popleft()()
        self.check("cuStreamQuery")
        return True

    def copy(self, target: int, source: int, size: int, stream: HostStream) -> None:
        """See Driver."""
        work = partial(ctypes.memmove, target, source, size)
        self._enqueue("cudaMemcpyAsync", work, stream)  # type: ignore[arg-type]  # what it returns is not used

    def stamp(self, at: int, stream: HostStream) -> None:
        """See Driver."""
        self._enqueue("cuLaunchKernel", partial(_stamp, at), stream)

    def gather(self, errand: Errand, stream: HostStream) -> None:
        """See Driver. The order is taken when the stream gets there."""
        size = errand.order.row_bytes[errand.part]

        def copy_rows() -> None:
            _stamp(errand.begun_at)
            base, rows = errand.order.read(errand.part)
            for k, row in enumerate(rows):
                ctypes.memmove(errand.target + k * size, base + row * size, size)

        self._enqueue("cuLaunchKernel", copy_rows, stream)

    def deliver(self, parcel: Parcel, stream: HostStream) -> None:
        """See Driver. As much is copied as on a device: whole units."""

        def copy_units() -> None:
            _stamp(parcel.begun_at)
            size = -(-parcel.size // UNIT_BYTES) * UNIT_BYTES
            ctypes.memmove(parcel.target, parcel.source, size)
            _stamp(parcel.done_at)

        self._enqueue("cuLaunchKernel", copy_units, stream)

    def shrink(self, whole: Raster, small: Raster, stream: HostStream) -> None:
        """See Driver."""

        def average() -> None:
            down = _shares(whole.height, small.height)
            across = _shares(whole.width, small.width)
            means = np.einsum("ry,yxc,kx->rkc", down, _pixels(whole), across, optimize=True)
            _pixels(small)[:] = np.rint(means)

        self._enqueue("cuLaunchKernel", average, stream)

    def run(self, enqueue: Callable[[], None], stream: HostStream) -> None:
        """See Driver."""
        self._enqueue("enqueue", enqueue, stream)

    def capture(self, enqueue: Callable[[], None], stream: HostStream) -> list[Work]:
        """See Driver."""
        captured: list[Work] = []
        stream.captured = captured
        try:
            enqueue()
        finally:
            stream.captured = None
        return self._open(captured)

    def launch(self, graph: list[Work], stream: HostStream) -> None:
        """See Driver."""
        for work in graph:
            self._enqueue("cudaGraphLaunch", work, stream)

    def destroy_graph(self, graph: list[Work]) -> None:
        """See Driver."""
        del self._handles[id(graph)]
        graph.clear()

    def settle(self) -> None:
        """See Driver. What nobody waited for runs when somebody does."""
        self.check("cudaDeviceSynchronize")

    def break_device(self, stream: HostStream) -> None:
        """See Driver."""

        def fail() -> None:
            self._broken = True

        self._enqueue("cuLaunchKernel", fail, stream)

    def _open(self, handle: T) -> T:
        self._handles[id(handle)] = handle
        return handle

    def _enqueue(self, call: str, work: Work, stream: HostStream) -> None:
        self.check(call)
        if stream.captured is not None:
            stream.captured.append(work)
        else:
            stream.waiting.append(work)

    def _run_until(self, event: HostEvent) -> None:
        """Run the event's stream up to the event; one that was never recorded counts as reached."""
        with self._lock:
            stream = event.stream
            while stream is not None and event.reached_ns is None and not self._broken:
                stream.waiting.popleft()()

    def check(self, call: str) -> None:
        """Raise CudaError if a call of this name fails; on a broken device every call fails."""
        if self._broken:
            text = "an illegal instruction was encountered"
            raise failure(self.where, call, "cudaErrorIllegalInstruction", text)


def _stamp(at: int) -> None:
    """Write the time to an address; 0 is none."""
    if at:
        ctypes.c_uint64.from_address(at).value = time.monotonic_ns()


def _pixels(raster: Raster) -> NDArray[np.uint8]:
    """Return the pixels of a picture, [H, W, 3]."""
    pixels = pinned_bytes(raster.address, raster.height * raster.width * 3)
    return pixels.reshape(raster.height, raster.width, 3)


def _shares(old: int, new: int) -> NDArray[np.float64]:
    """Return the share of each of `old` pixels in a row in each of `new`, [new, old]."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    shares: NDArray[np.float64] = np.maximum(high - low, 0) * (new / old)
    return shares


def _map(size: int, blocks: dict[int, mmap.mmap]) -> int:
    """Map `size` zeroed bytes, page-aligned; return their address."""
    block = mmap.mmap(-1, max(size, 1))
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    blocks[address] = block
    return address
