"""An asynchronous engine on one device, around any `Kernel`: slots, copies, graphs, times.

The copy of batch n + 1 runs under the model of batch n: each slot copies on a stream of its own,
and the model has one stream for all, so that batches are computed in the order of their launch and
need the model's intermediate memory once.

Knows addresses and streams; neither torch, TensorRT nor ONNX Runtime.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from backends.base import check_rows, check_samples
from backends.cuda.clock import DeviceClock
from backends.cuda.errors import CudaError
from backends.cuda.ladder import fitting
from backends.cuda.ptx import UNIT_BYTES
from backends.cuda.slab import Slab
from backends.cuda.slots import Held, Slot, open_slot, tensor_bytes
from backends.rows import gather, is_run
from sut.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, EngineSpec, OptionValue, TensorSpec
    from backends.cuda.driver import Driver, Stream
    from backends.cuda.kernel import Kernel

# CUDA gives the time between two events as a float32 of ms. An event that all are measured from
# is set anew after this long, so that they stay exact to a fraction of a microsecond.
ANCHOR_NS = 1_000_000_000

# While one thread keeps what it enqueues for a graph, no other may allocate or wait for a whole
# device: everything but batches happens one after the other.
DEVICES = threading.RLock()


@dataclass(frozen=True, slots=True)
class CudaOptions:
    """Options that every backend has on a GPU.

    Attributes:
        graph_sizes: batch sizes to make CUDA graphs for, as `1,8,26`; max_batch_size is always one.
            Empty: powers of two and three quarters of max_batch_size.
        cuda_graphs: launch a batch as one CUDA graph, where the model can be kept as one.
        gather: how scattered samples reach the device: "kernel" reads them from pinned memory on
            the device, "staging" copies them together on the host first.
        wait: a thread that waits for a batch sleeps ("block") or burns its core ("spin"); "auto"
            spins where LoadGen's own thread runs the engine, and blocks elsewhere.
        samples_on_device: keep the loaded samples in device memory. MLPerf's rules allow it only
            with a direct path from the network to the device; the result says so.
        fail_at_s: the device fails so long after the first batch: a drill.
    """

    graph_sizes: str | int = ""
    cuda_graphs: bool = True
    gather: Literal["kernel", "staging"] = "kernel"
    wait: Literal["auto", "block", "spin"] = "auto"
    samples_on_device: bool = False
    fail_at_s: float | None = None


class Parts(NamedTuple):
    """Where the time of a batch went on the device, in ns; their sum is from begin to end.

    Attributes:
        copy_in_ns: its rows to the device.
        wait_ns: until the batch before was computed.
        compute_ns: the model.
        copy_out_ns: the outputs to the host.
    """

    copy_in_ns: int
    wait_ns: int
    compute_ns: int
    copy_out_ns: int


def open_cuda_engine(  # noqa: PLR0913 - most callers leave the last one out
    driver: Driver,
    kernel: Kernel,
    spec: EngineSpec,
    options: CudaOptions,
    where: str,
    stream: Stream = None,
) -> CudaEngine:
    """Open an engine around `kernel`, which it closes.

    Args:
        driver: of the device.
        kernel: the model.
        spec: says how many slots, and the largest batch.
        options: of every backend on a GPU.
        where: the model and its device, for messages.
        stream: on which all batches are computed, where the kernel had to know it; it becomes the
            engine's. None: a new one.

    Raises:
        OutOfMemoryError: the device or pinned memory is full; all is freed.
    """
    held = Held(driver)
    with DEVICES:
        try:
            held.keep(kernel, type(kernel).close)
            driver.use()
            stream = held.keep(driver.stream() if stream is None else stream, driver.destroy_stream)
            engine = CudaEngine(Device(driver, stream, held), kernel, spec, options, where)
            engine.open()
        except BaseException:
            held.close()
            raise
    return engine


@dataclass(frozen=True, slots=True)
class Device:
    """What an engine is opened on.

    Attributes:
        driver: of the device.
        stream: on which all batches are computed.
        held: what is freed when the engine is closed.
    """

    driver: Driver
    stream: Stream
    held: Held


class CudaEngine:
    """A `backends.base.AsyncEngine`. `open_cuda_engine` makes one."""

    def __init__(
        self, device: Device, kernel: Kernel, spec: EngineSpec, options: CudaOptions, where: str
    ) -> None:
        self.inputs: tuple[TensorSpec, ...] = (kernel.input,)
        self.outputs = kernel.outputs
        self.max_batch_size = spec.max_batch_size
        self.slots = spec.slots
        self._where = where
        self._driver, self._stream, self._held = device.driver, device.stream, device.held
        self._kernel, self._options = kernel, options
        self._row_bytes = tensor_bytes(kernel.input)
        self._on_device = options.gather == "kernel" and self._row_bytes % UNIT_BYTES == 0
        self._sizes = tuple(kernel.sizes)
        self._slots: list[Slot] = []
        self._parts: list[Parts | None] = [None] * spec.slots
        self._slab: Slab | None = None
        self._closed = False
        self._fail_ns: int | None = None
        self._target_bytes = tuple(map(tensor_bytes, kernel.outputs))
        self._clock = DeviceClock()
        self._anchor_ns = self._next_anchor_ns = 0
        self._anchoring: int | None = None  # the slot whose batch brings a new anchor
        self.facts: Mapping[str, OptionValue] = self._facts(spec)

    def open(self) -> None:
        """Take the memory, make the graphs, and set the device's clock.

        Raises:
            OutOfMemoryError: the device or pinned memory is full.
        """
        driver, held, options = self._driver, self._held, self._options
        if options.samples_on_device and not self._on_device:
            raise ConfigError(
                f"{self._where}: samples_on_device needs the gather on the device, and a sample of "
                f"{self._row_bytes} bytes; expected a multiple of {UNIT_BYTES}, and gather=kernel."
            )
        self._anchor, self._spare = (
            held.keep(driver.event(blocking=False), driver.destroy_event) for _ in range(2)
        )
        tensors = (self._kernel.input, self._kernel.outputs)
        blocking = options.wait != "spin"
        self._slots = [
            open_slot(
                *(driver, held, tensors, self.max_batch_size),
                staging=not self._on_device,
                blocking=blocking,
            )
            for _ in range(self.slots)
        ]
        self._prepare()
        self._set_clock()

    def bind(self, samples: Array) -> None:
        """See `Engine.bind`. The samples are copied to pinned memory."""
        self._check_open()
        check_samples(samples, self.inputs[0], self._where)
        with DEVICES:
            self._driver.use()
            self._unbind()
            self._slab = Slab(self._driver, samples, on_device=self._options.samples_on_device)
        self._fail_ns = None

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`."""
        self.launch(0, rows)
        # The calling thread has nothing else to do, and to be woken takes longer than to look.
        return self._collect(0, spin=self._options.wait == "auto")[0]

    def launch(self, slot: int, rows: Sequence[int]) -> None:
        """See `AsyncEngine.launch`.

        Raises:
            EngineError: as every engine.
            CudaError: the device failed.
        """
        slab = self._slab
        if slab is None:
            self._check_open()
            raise EngineError(f"{self._where}: the engine is without samples. Call bind first.")
        count = len(rows)
        check_rows(rows, slab.count, self.max_batch_size, self._where)
        if not 0 <= slot < self.slots or self._slots[slot].count:
            raise EngineError(
                f"{self._where}: slot {slot} is not free; slots are 0 to {self.slots - 1}, and "
                "each holds one batch until it was waited for."
            )
        self._enqueue(self._slots[slot], slot, slab, rows, count)

    def wait(self, slot: int) -> tuple[tuple[Array, ...], tuple[int, int]]:
        """See `AsyncEngine.wait`.

        Raises:
            EngineError: nothing was launched in the slot.
            CudaError: the device failed.
        """
        if not 0 <= slot < len(self._slots) or not self._slots[slot].count:
            self._check_open()
            raise EngineError(f"{self._where}: nothing was launched in slot {slot}. Launch first.")
        return self._collect(slot, spin=False)

    def parts(self, slot: int) -> Parts:
        """Return where the time of the batch went that was last waited for in `slot`."""
        parts = self._parts[slot]
        if parts is None:
            raise EngineError(f"{self._where}: slot {slot} has had no batch yet. Launch first.")
        return parts

    def close(self) -> None:
        """See `Engine.close`. Waits for batches in flight."""
        if self._closed:
            return
        self._closed = True
        with DEVICES:
            with suppress(CudaError):  # a device that failed refuses this too
                self._driver.use()
                self._driver.settle()
            with suppress(CudaError):
                self._unbind()
            self._held.close()
        self._slots = []

    # launching thread

    def _enqueue(
        self, slot: Slot, number: int, slab: Slab, rows: Sequence[int], count: int
    ) -> None:
        driver, compute = self._driver, self._stream
        slot.launched_ns = time.monotonic_ns()
        driver.use()
        driver.record(slot.begun, slot.stream)
        self._set_anchor(slot, number)
        if is_run(rows):
            first = slab.address + int(rows[0]) * self._row_bytes
            driver.copy(slot.source, first, count * self._row_bytes, slot.stream)
        else:
            self._gather(slot, slab, rows, count)
        driver.record(slot.copied, slot.stream)
        driver.order(compute, slot.copied)
        if self._options.fail_at_s is not None:
            self._drill(slot)
        driver.record(slot.started, compute)
        size = fitting(self._sizes, count)
        graph = slot.graphs.get(size)
        if graph is None:
            self._run(slot, size)
        else:
            driver.launch(graph, compute)
        driver.record(slot.computed, compute)
        driver.order(slot.stream, slot.computed)
        for result, target, one in zip(
            slot.result_addresses, slot.targets, self._target_bytes, strict=True
        ):
            driver.copy(result, target, count * one, slot.stream)
        driver.record(slot.done, slot.stream)
        slot.count = count

    def _gather(self, slot: Slot, slab: Slab, rows: Sequence[int], count: int) -> None:
        driver = self._driver
        if self._on_device:
            slot.rows[:count] = rows
            slot.order.base, slot.order.count = slab.address, count
            driver.gather(slot.order, slot.source, slot.stream)
            return
        gather(slab.array, rows, slot.staging)
        driver.copy(slot.source, slot.staging_address, count * self._row_bytes, slot.stream)

    def _run(self, slot: Slot, size: int) -> None:
        """Enqueue the model itself, where there is no graph of it."""
        number = self._driver.number(self._stream)

        def enqueue() -> None:
            self._kernel.enqueue(size, slot.source, slot.targets, number)

        self._driver.run(enqueue, self._stream)

    def _drill(self, slot: Slot) -> None:
        """Break the device once the time of `fail_at_s` has come."""
        assert self._options.fail_at_s is not None, "asked for"
        if self._fail_ns is None:
            self._fail_ns = slot.launched_ns + int(self._options.fail_at_s * 1e9)
        if slot.launched_ns >= self._fail_ns:
            self._driver.break_device(self._stream)

    def _set_anchor(self, slot: Slot, number: int) -> None:
        """Let a new anchor be recorded with this batch, if the one in use is old."""
        if self._anchoring is None and slot.launched_ns >= self._next_anchor_ns:
            self._driver.record(self._spare, slot.stream)
            self._anchoring = number

    # waiting thread

    def _collect(self, number: int, *, spin: bool) -> tuple[tuple[Array, ...], tuple[int, int]]:
        """Wait for the batch in a slot, and free the slot."""
        driver, slot = self._driver, self._slots[number]
        count = slot.count
        try:
            driver.use()
            while spin and not driver.reached(slot.done):
                pass
            driver.synchronize(slot.done)
            times = self._times(slot, number)
        finally:
            slot.count = 0
        return tuple([result[:count] for result in slot.results]), times

    def _times(self, slot: Slot, number: int) -> tuple[int, int]:
        """Take the batch's times from its events; return when it was computed, on our clock."""
        seen_ns = time.monotonic_ns()
        elapsed_ns = self._driver.elapsed_ns
        if self._anchoring == number:
            self._anchor_ns += elapsed_ns(self._anchor, self._spare)
            self._anchor, self._spare = self._spare, self._anchor
            self._next_anchor_ns = seen_ns + ANCHOR_NS
            self._anchoring = None
        begun_ns, copied_ns, started_ns, computed_ns, done_ns = (
            self._anchor_ns + elapsed_ns(self._anchor, event)
            for event in (slot.begun, slot.copied, slot.started, slot.computed, slot.done)
        )
        self._parts[number] = Parts(
            copied_ns - begun_ns, started_ns - copied_ns, computed_ns - started_ns,
            done_ns - computed_ns,
        )  # fmt: skip
        self._clock.observe(slot.launched_ns, begun_ns, done_ns, seen_ns)
        to_host = self._clock.host_ns
        # What the two clocks may differ by must not put a batch before its launch or after now.
        started_ns = min(max(to_host(started_ns), slot.launched_ns), seen_ns)
        return started_ns, min(max(to_host(computed_ns), started_ns), seen_ns)

    # opening and closing

    def _prepare(self) -> None:
        """Run each size once in each slot, and keep it as a graph."""
        driver, kernel = self._driver, self._kernel
        number = driver.number(self._stream)
        graphs = self._options.cuda_graphs and kernel.capturable
        # The largest first: the others fit into its memory.
        for size in reversed(self._sizes or (self.max_batch_size,)):
            for slot in self._slots:
                kernel.prepare(size, slot.source, slot.targets, number)
                driver.settle()
                if graphs:
                    captured = driver.capture(partial(self._run, slot, size), self._stream)
                    slot.graphs[size] = self._held.keep(captured, driver.destroy_graph)
        driver.settle()

    def _set_clock(self) -> None:
        self._driver.record(self._anchor, self._stream)
        self._driver.synchronize(self._anchor)
        self._next_anchor_ns = time.monotonic_ns() + ANCHOR_NS

    def _unbind(self) -> None:
        slab, self._slab = self._slab, None
        if slab is not None:
            try:
                self._driver.settle()
            finally:
                slab.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"{self._where}: the engine is closed. Open a new one.")

    def _facts(self, spec: EngineSpec) -> dict[str, OptionValue]:
        options = self._options
        return {
            **self._kernel.facts,
            **self._driver.facts(),
            "simulated": False,
            "slots": spec.slots,
            "cuda_graphs": options.cuda_graphs and self._kernel.capturable,
            "batch_sizes": ",".join(map(str, self._sizes)) or "any",
            "gather": "kernel" if self._on_device else "staging",
            "samples_on_device": options.samples_on_device,
        }
