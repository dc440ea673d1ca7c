"""A GPU through `cuda.bindings`: every return code that is not success becomes an error.

A thin typed layer. Knows no engine, batch or model.
"""

from __future__ import annotations

from ctypes import c_uint32, c_uint64
from typing import TYPE_CHECKING, Any

from backends.cuda.calls import NOT_READY, Arguments, Calls
from backends.cuda.driver import DELIVER_BYTES, DEVICES, Parcel
from backends.cuda.errors import failure
from backends.cuda.order import gather_blocks
from backends.cuda.ptx import PTX, THREADS, UNIT_BYTES
from backends.cuda.shrink_ptx import SHRINK
from sut.base.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from backends.base import OptionValue
    from backends.cuda.driver import Errand, Event, Graph, Raster, Stream

# Unused streams by device and urgency. Libraries keep a workspace for every stream that they ever
# saw, so new streams for each engine would fill the device.
IDLE_STREAMS: dict[tuple[int, bool], list[Stream]] = {}
# Our kernels by device: loaded once, and kept as long as the process.
FUNCTIONS: dict[tuple[int, bytes], tuple[int, ...]] = {}


def open_driver(device: str, *, shared: bool = False) -> CudaDriver:
    """Open the GPU with the index `device`.

    Args:
        device: of the GPU.
        shared: threads that are not Python's use it, too; see backends.cuda.calls.

    Raises:
        ConfigError: cuda-python is missing, or `device` is not the index of a GPU.
        EngineError: there is no driver, or no such GPU.
    """
    if not device.isdecimal():
        raise ConfigError(f'device "{device}" does not exist; expected the index of a GPU, as "0".')
    try:
        # Only this module needs them, and they load the CUDA libraries.
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
    return CudaDriver(runtime, driver, int(device), shared=shared)


class CudaDriver:
    """A GPU. See Driver. Any thread may call it; `use` comes first in each."""

    def __init__(
        self, runtime: ModuleType, driver: ModuleType, index: int, *, shared: bool = False
    ) -> None:
        self._runtime, self._driver = runtime, driver
        self.index = index
        self.where = f"device {index}"
        self._calls = Calls(releases=shared)
        self._call("cudaSetDevice", index)
        self.context = int(self._driver_call("cuCtxGetCurrent"))
        self._properties = self._call("cudaGetDeviceProperties", index)
        self._bus = self._call("cudaDeviceGetPCIBusId", 20, index).split(b"\0")[0].decode().lower()
        self.node = _node_of(self._bus)
        names = (b"gather_rows", b"deliver", b"fail_now")
        self._gather, self._deliver, self._fail_now = self._functions(PTX, *names)

    def _functions(self, ptx: bytes, *names: bytes) -> tuple[int, ...]:
        found = FUNCTIONS.get((self.index, ptx))
        if found is None:  # only then is the lock worth its wait: pictures come here one by one
            with DEVICES:
                found = FUNCTIONS.get((self.index, ptx)) or self._load(ptx, names)
                FUNCTIONS[self.index, ptx] = found
        return found

    def _load(self, ptx: bytes, names: Sequence[bytes]) -> tuple[int, ...]:
        module = self._driver_call("cuModuleLoadData", ptx)
        return tuple(int(self._driver_call("cuModuleGetFunction", module, n)) for n in names)

    def use(self) -> None:
        """See Driver."""
        error = self._calls.set_context(self.context)
        if error:
            raise self._failure("cuCtxSetCurrent", error)

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
        try:
            self._call("cudaMemset", address, 0, size)
            self.settle()  # it runs on another stream, and ours do not wait for that
        except BaseException:
            self._runtime.cudaFree(address)
            raise
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
        return int(self._call("cudaStreamCreateWithPriority", flags, highest if urgent else 0))

    def destroy_stream(self, stream: Stream) -> None:
        """See Driver. It waits for whoever needs one next."""
        urgent = self._call("cudaStreamGetPriority", stream) < 0
        IDLE_STREAMS[self.index, urgent].append(stream)

    def number(self, stream: Stream) -> int:
        """See Driver. Handles are numbers here, which is what calls take fastest."""
        return int(stream)

    def event(self, *, blocking: bool) -> Event:
        """See Driver."""
        flags = self._runtime.cudaEventBlockingSync if blocking else 0
        return int(self._call("cudaEventCreateWithFlags", flags))

    def destroy_event(self, event: Event) -> None:
        """See Driver."""
        self._call("cudaEventDestroy", event)

    # The measured path: no lookup by name, and the text of an error only if there is one.

    def record(self, event: Event, stream: Stream) -> None:
        """See Driver."""
        error = self._calls.record(event, stream)
        if error:
            raise self._failure("cuEventRecord", error)

    def order(self, stream: Stream, after: Event) -> None:
        """See Driver."""
        error = self._calls.wait(stream, after, 0)
        if error:
            raise self._failure("cuStreamWaitEvent", error)

    def synchronize(self, event: Event) -> None:
        """See Driver. The interpreter lock is free meanwhile."""
        (error,) = self._runtime.cudaEventSynchronize(event)
        if error:
            raise self._failure("cudaEventSynchronize", error)

    def idle(self, stream: Stream) -> bool:
        """See Driver."""
        error = self._calls.query(stream)
        if error and error != NOT_READY:
            raise self._failure("cuStreamQuery", error)
        return not error

    def copy(self, target: int, source: int, size: int, stream: Stream) -> None:
        """See Driver."""
        error = self._calls.copy(target, source, size, stream)
        if error:
            raise self._failure("cuMemcpyAsync", error)

    def stamp(self, at: int, stream: Stream) -> None:
        """See Driver. A delivery of nothing."""
        self._launch_deliver(Parcel(0, 0, 0, done_at=at), stream)

    def gather(self, errand: Errand, stream: Stream) -> None:
        """See Driver."""
        order, part, target, begun_at = errand
        row_bytes = order.row_bytes[part]
        arguments = Arguments(
            c_uint64(order.count_at), c_uint64(order.base_at(part)), c_uint64(order.rows_at),
            c_uint32(row_bytes // UNIT_BYTES), c_uint64(target), c_uint64(begun_at),
        )  # fmt: skip
        self._launch(self._gather, gather_blocks(row_bytes), arguments, stream)

    def deliver(self, parcel: Parcel, stream: Stream) -> None:
        """See Driver. Large ones go by the copy engine."""
        if parcel.size <= DELIVER_BYTES:
            self._launch_deliver(parcel, stream)
            return
        if parcel.begun_at:
            self.stamp(parcel.begun_at, stream)
        self.copy(parcel.target, parcel.source, parcel.size, stream)
        if parcel.done_at:
            self.stamp(parcel.done_at, stream)

    def _launch_deliver(self, parcel: Parcel, stream: Stream) -> None:
        units = -(-parcel.size // UNIT_BYTES)
        arguments = Arguments(
            c_uint64(parcel.source), c_uint64(parcel.target), c_uint32(units),
            c_uint64(parcel.begun_at), c_uint64(parcel.done_at),
        )  # fmt: skip
        self._launch(self._deliver, 1, arguments, stream)

    def _launch(self, function: int, blocks: int, arguments: Arguments, stream: Stream) -> None:
        sizes = (blocks, 1, 1, THREADS, 1, 1, 0)
        error = self._calls.launch_kernel(function, *sizes, stream, arguments.address, None)
        if error:
            raise self._failure("cuLaunchKernel", error)

    def shrink(self, whole: Raster, small: Raster, stream: Stream) -> None:
        """See Driver. A thread makes a pixel."""
        (function,) = self._functions(SHRINK, b"shrink")
        arguments = Arguments(
            c_uint64(whole.address), c_uint32(whole.width), c_uint32(whole.height),
            c_uint64(small.address), c_uint32(small.width), c_uint32(small.height),
        )  # fmt: skip
        self._launch(function, -(-small.width * small.height // THREADS), arguments, stream)

    def run(self, enqueue: Callable[[], None], stream: Stream) -> None:
        """See Driver."""
        enqueue()

    def launch(self, graph: Graph, stream: Stream) -> None:
        """See Driver."""
        error = self._calls.launch_graph(graph, stream)
        if error:
            raise self._failure("cuGraphLaunch", error)

    # End of the measured path.

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
        try:
            self._call("cudaGraphUpload", made, stream)
        except BaseException:
            self._runtime.cudaGraphExecDestroy(made)
            raise
        return int(made)

    def destroy_graph(self, graph: Graph) -> None:
        """See Driver."""
        self._call("cudaGraphExecDestroy", graph)

    def settle(self) -> None:
        """See Driver."""
        self._call("cudaDeviceSynchronize")

    def break_device(self, stream: Stream) -> None:
        """See Driver."""
        self._launch(self._fail_now, 1, Arguments(), stream)

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
