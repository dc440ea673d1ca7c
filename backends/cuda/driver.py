"""A thin typed layer over `cuda.bindings`: every return code that is not success becomes an error.

`Driver` is the seam: `CudaDriver` is a GPU, `backends.cuda.host_driver.HostDriver` the host itself.
Knows no engine, batch or model.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from backends.cuda.errors import failure
from backends.cuda.ptx import PTX, THREADS, UNIT_BYTES
from sut.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from backends.base import OptionValue

# What a driver hands out and takes back; nobody looks inside.
Stream: TypeAlias = Any
Event: TypeAlias = Any
Graph: TypeAlias = Any

# A gather takes just enough blocks to fill PCIe, so that the model keeps its SMs: so many bytes in
# flight, of which a block can have the second number, within these limits.
GATHER_BYTES, BLOCK_BYTES = 1 << 17, 1 << 15
LEAST_BLOCKS, MOST_BLOCKS = 4, 64

# Streams that nobody uses, by device and urgency. Libraries keep workspaces for every stream that
# they ever saw, so that new streams for each engine would fill the device.
IDLE_STREAMS: dict[tuple[int, bool], list[Stream]] = {}


class Driver(Protocol):
    """A device: memory, streams in order, events, graphs. Addresses are plain integers.

    Attributes:
        where: the device, for messages.
        node: the NUMA node that it hangs on; None where nobody knows.
    """

    where: str
    node: int | None

    def use(self) -> None:
        """Make this the calling thread's device: first in every call from another thread."""

    def facts(self) -> dict[str, OptionValue]:
        """Return what the device is, for the result."""

    def free_bytes(self) -> int:
        """Return the device memory that is free, of all processes."""

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
        """Return a new stream; work of an urgent one goes first where the device has a choice."""

    def destroy_stream(self, stream: Stream) -> None:
        """Give back what `stream` returned."""

    def number(self, stream: Stream) -> int:
        """Return the stream as libraries take it: a cudaStream_t as an integer."""

    def event(self, *, blocking: bool) -> Event:
        """Return a new event; a thread that waits for a blocking one sleeps instead of spinning."""

    def destroy_event(self, event: Event) -> None:
        """Give back what `event` returned."""

    def record(self, event: Event, stream: Stream) -> None:
        """Note the time at which the stream gets here."""

    def order(self, stream: Stream, after: Event) -> None:
        """Let the stream wait until the event's latest record is reached."""

    def synchronize(self, event: Event) -> None:
        """Block until the event's latest record is reached."""

    def reached(self, event: Event) -> bool:
        """Return whether it is."""

    def elapsed_ns(self, start: Event, end: Event) -> int:
        """Return the device's time between two events that were reached."""

    def copy(self, target: int, source: int, size: int, stream: Stream) -> None:
        """Copy `size` bytes, in either direction."""

    def gather(self, order: GatherOrder, target: int, stream: Stream) -> None:
        """Copy scattered rows to one block, by a kernel on the device that reads them."""

    def run(self, enqueue: Callable[[], None], stream: Stream) -> None:
        """Call what enqueues work of a library on the stream; the host runs it in the stream."""

    def capture(self, enqueue: Callable[[], None], stream: Stream) -> Graph:
        """Return what `enqueue` enqueues on the stream as a graph, instead of running it."""

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Run a graph."""

    def destroy_graph(self, graph: Graph) -> None:
        """Give back what `capture` returned."""

    def settle(self) -> None:
        """Wait for all that was enqueued on the device."""

    def break_device(self, stream: Stream) -> None:
        """Enqueue a fault, after which every call fails: a drill for losing a device."""


class GatherOrder:
    """Which rows of which block to gather.

    Args:
        rows_address: of pinned int32 row numbers, which stay until the gather is done.
        row_bytes: a multiple of UNIT_BYTES.
    """

    __slots__ = ("base", "blocks", "count", "row_bytes", "rows_address", "values")

    def __init__(self, rows_address: int, row_bytes: int) -> None:
        self.rows_address, self.row_bytes = rows_address, row_bytes
        self.base = self.count = 0
        blocks = GATHER_BYTES // max(1, min(row_bytes, BLOCK_BYTES))
        self.blocks = min(max(blocks, LEAST_BLOCKS), MOST_BLOCKS)
        self.values = _Arguments(0, rows_address, 0, row_bytes // UNIT_BYTES, 0)


class _Fields(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_uint64),
        ("rows", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("units", ctypes.c_uint32),
        ("out", ctypes.c_uint64),
    )


class _Arguments:
    """A kernel's arguments in memory, and the array of their addresses that a launch takes."""

    __slots__ = ("_pointers", "address", "fields")

    def __init__(self, *values: int) -> None:
        self.fields = _Fields(*values)
        base = ctypes.addressof(self.fields)
        offsets = [getattr(_Fields, name).offset for name, _ in _Fields._fields_]
        self._pointers = (ctypes.c_void_p * len(offsets))(*[base + offset for offset in offsets])
        self.address = ctypes.addressof(self._pointers)


def open_driver(device: str) -> CudaDriver:
    """Open the GPU with the index `device`.

    Raises:
        ConfigError: cuda-python is missing, or `device` is no index of a GPU.
        EngineError: there is no driver, or no such GPU.
    """
    if not device.isdecimal():
        raise ConfigError(f'device "{device}" does not exist; expected the index of a GPU, as "0".')
    try:
        # Only this module needs them, and they look for the CUDA libraries.
        from cuda.bindings import driver, runtime  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"device {device}: GPUs need the package cuda-python: {error}. Install it with "
            "pip install cuda-python."
        ) from error
    status, count = runtime.cudaGetDeviceCount()
    if status or not count:
        reason = _text(runtime, status) if status else "no GPU was found"
        raise EngineError(
            f"device {device}: {reason}. Check that nvidia-smi shows it, or use --devices cpu."
        )
    if int(device) >= count:
        raise EngineError(
            f"device {device}: it does not exist; this machine has {count} GPU(s), 0 to "
            f"{count - 1}. Name them with --devices."
        )
    return CudaDriver(runtime, driver, int(device))


class CudaDriver:
    """A GPU. See Driver. Any thread may call it; `use` comes first in each."""

    def __init__(self, runtime: ModuleType, driver: ModuleType, index: int) -> None:
        self._runtime, self._driver = runtime, driver
        self.index = index
        self.where = f"device {index}"
        self.use()
        self._any = runtime.cudaMemcpyKind.cudaMemcpyDefault
        self._properties = self._call("cudaGetDeviceProperties", index)
        self._bus = self._call("cudaDeviceGetPCIBusId", 20, index).split(b"\0")[0].decode().lower()
        self.node = _node_of(self._bus)
        module = self._driver_call("cuModuleLoadData", PTX)
        self._gather = self._driver_call("cuModuleGetFunction", module, b"gather_rows")
        self._fail_now = self._driver_call("cuModuleGetFunction", module, b"fail_now")
        self._module = module

    def use(self) -> None:
        """See Driver."""
        (error,) = self._runtime.cudaSetDevice(self.index)
        if error:
            raise self._failure("cudaSetDevice", error)

    def facts(self) -> dict[str, OptionValue]:
        """See Driver."""
        properties = self._properties
        return {
            "device": properties.name.split(b"\0")[0].decode(),
            "sm": f"{properties.major}{properties.minor}",
            "memory_mib": properties.totalGlobalMem >> 20,
            "cuda_driver": _version(self._call("cudaDriverGetVersion")),
            "pci": self._bus,
        }

    def free_bytes(self) -> int:
        """See Driver."""
        free, _ = self._call("cudaMemGetInfo")
        return int(free)

    def allocate(self, size: int) -> int:
        """See Driver."""
        address = int(self._call("cudaMalloc", size, what=_megabytes(size)))
        self._call("cudaMemset", address, 0, size)
        self.settle()  # it runs on a stream of its own, which our streams do not wait for
        return address

    def free(self, address: int) -> None:
        """See Driver."""
        self._call("cudaFree", address)

    def pin(self, size: int) -> int:
        """See Driver."""
        runtime = self._runtime
        flags = runtime.cudaHostAllocPortable | runtime.cudaHostAllocMapped
        return int(self._call("cudaHostAlloc", size, flags, what=_megabytes(size)))

    def unpin(self, address: int) -> None:
        """See Driver."""
        self._call("cudaFreeHost", address)

    def stream(self, *, urgent: bool = False) -> Stream:
        """See Driver. Takes one that was given back, if there is one."""
        idle = IDLE_STREAMS.setdefault((self.index, urgent), [])
        if idle:
            return idle.pop()
        _, highest = self._call("cudaDeviceGetStreamPriorityRange")
        flags = self._runtime.cudaStreamNonBlocking
        return self._call("cudaStreamCreateWithPriority", flags, highest if urgent else 0)

    def destroy_stream(self, stream: Stream) -> None:
        """See Driver. It waits for whoever needs one next."""
        urgent = self._call("cudaStreamGetPriority", stream) < 0
        IDLE_STREAMS[self.index, urgent].append(stream)

    def number(self, stream: Stream) -> int:
        """See Driver."""
        return int(stream)

    def event(self, *, blocking: bool) -> Event:
        """See Driver."""
        flags = self._runtime.cudaEventBlockingSync if blocking else 0
        return self._call("cudaEventCreateWithFlags", flags)

    def destroy_event(self, event: Event) -> None:
        """See Driver."""
        self._call("cudaEventDestroy", event)

    # The measured path: no call through a name, and the text of an error only when there is one.

    def record(self, event: Event, stream: Stream) -> None:
        """See Driver."""
        (error,) = self._runtime.cudaEventRecord(event, stream)
        if error:
            raise self._failure("cudaEventRecord", error)

    def order(self, stream: Stream, after: Event) -> None:
        """See Driver."""
        (error,) = self._runtime.cudaStreamWaitEvent(stream, after, 0)
        if error:
            raise self._failure("cudaStreamWaitEvent", error)

    def synchronize(self, event: Event) -> None:
        """See Driver. The interpreter lock is free meanwhile."""
        (error,) = self._runtime.cudaEventSynchronize(event)
        if error:
            raise self._failure("cudaEventSynchronize", error)

    def reached(self, event: Event) -> bool:
        """See Driver."""
        (error,) = self._runtime.cudaEventQuery(event)
        if not error:
            return True
        if error == self._runtime.cudaError_t.cudaErrorNotReady:
            return False
        raise self._failure("cudaEventQuery", error)

    def elapsed_ns(self, start: Event, end: Event) -> int:
        """See Driver. CUDA gives a float32 of ms: exact to 0.5 us over 8 s."""
        error, elapsed_ms = self._runtime.cudaEventElapsedTime(start, end)
        if error:
            raise self._failure("cudaEventElapsedTime", error)
        return int(elapsed_ms * 1e6)

    def copy(self, target: int, source: int, size: int, stream: Stream) -> None:
        """See Driver."""
        (error,) = self._runtime.cudaMemcpyAsync(target, source, size, self._any, stream)
        if error:
            raise self._failure("cudaMemcpyAsync", error)

    def gather(self, order: GatherOrder, target: int, stream: Stream) -> None:
        """See Driver."""
        fields = order.values.fields
        fields.base, fields.count, fields.out = order.base, order.count, target
        wide = min(order.count, order.blocks)
        (error,) = self._driver.cuLaunchKernel(
            *(self._gather, wide, order.blocks // wide, 1),
            *(THREADS, 1, 1, 0, int(stream), order.values.address, 0),
        )
        if error:
            raise self._failure("cuLaunchKernel", error)

    def run(self, enqueue: Callable[[], None], stream: Stream) -> None:
        """See Driver."""
        enqueue()

    def launch(self, graph: Graph, stream: Stream) -> None:
        """See Driver."""
        (error,) = self._runtime.cudaGraphLaunch(graph, stream)
        if error:
            raise self._failure("cudaGraphLaunch", error)

    # Outside of it again.

    def capture(self, enqueue: Callable[[], None], stream: Stream) -> Graph:
        """See Driver. Other threads may go on with work of their own."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            enqueue()
        except BaseException:
            self._runtime.cudaStreamEndCapture(stream)  # it fails: the capture is not complete
            raise
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            made = self._call("cudaGraphInstantiate", graph, 0)
        finally:
            self._call("cudaGraphDestroy", graph)
        self._call("cudaGraphUpload", made, stream)
        return made

    def destroy_graph(self, graph: Graph) -> None:
        """See Driver."""
        self._call("cudaGraphExecDestroy", graph)

    def settle(self) -> None:
        """See Driver."""
        self._call("cudaDeviceSynchronize")

    def break_device(self, stream: Stream) -> None:
        """See Driver."""
        self._driver_call(
            "cuLaunchKernel", self._fail_now, *(1, 1, 1, 1, 1, 1, 0, int(stream), 0, 0)
        )

    def _call(self, name: str, *arguments: object, what: str = "") -> Any:
        """Call the runtime API; return its one value, its values, or None."""
        error, *values = getattr(self._runtime, name)(*arguments)
        if error:
            raise self._failure(f"{name}{what}", error)
        return values[0] if len(values) == 1 else values or None

    def _driver_call(self, name: str, *arguments: object) -> Any:
        """Call the driver API."""
        error, *values = getattr(self._driver, name)(*arguments)
        if error:
            raise self._failure(name, error)
        return values[0] if values else None

    def _failure(self, call: str, error: Any) -> Exception:
        """Name the error; errors of the driver API have the numbers of the runtime's."""
        same = self._runtime.cudaError_t(int(error))
        return failure(self.where, call, same.name, _text(self._runtime, same))


def _text(runtime: ModuleType, error: Any) -> str:
    _, text = runtime.cudaGetErrorString(error)
    return str(text.decode())


def _version(number: int) -> str:
    """CUDA writes 13.1 as 13010."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _megabytes(size: int) -> str:
    return f" of {size / 2**20:.1f} MiB"


def _node_of(bus: str) -> int | None:
    from backends.cuda.numa import node_of_pci  # noqa: PLC0415 - only a real device has a bus

    return node_of_pci(bus)
