"""An asynchronous engine on one device, around any `Kernel`: slots, copies, graphs, times.

The copy of batch n + 1 overlaps with the model of batch n: each slot copies on its own stream, and
one stream runs the model for all slots. So batches are computed in the order of their launch, and
the intermediate memory of the model is needed once.

A batch is a few calls: row numbers are written to pinned memory, one graph gathers the rows, one
computes and delivers the outputs. The device itself writes its times and that it is done. So times
cost no calls, and a thread that waits without sleeping only reads memory.

Knows addresses and streams; neither torch, TensorRT nor ONNX Runtime.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from backends.arrays import check_arrays, check_samples
from backends.base import check_rows
from backends.cuda.clock import DeviceClock
from backends.cuda.driver import DEVICES
from backends.cuda.errors import CudaError
from backends.cuda.held import Held
from backends.cuda.kernel import WeighedKernel
from backends.cuda.pipeline import Device, Pipeline
from backends.cuda.ptx import UNIT_BYTES
from backends.cuda.slab import PinnedMemory, Slab
from backends.cuda.slots import DONE, Slot, SlotPlan, add_staging, open_slot
from sut.base.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Arrays, EngineSpec, OptionValue, SampleMemory
    from backends.cuda.driver import Driver, Stream
    from backends.cuda.kernel import Kernel
    from backends.cuda.options import CudaOptions

# A thread that waits without sleeping asks the device for errors after this many looks.
LOOKS = 1_000
# An engine with this many CPU cores has one to burn for shorter waits.
CORES_TO_SPIN = 4


class Parts(NamedTuple):
    """The parts of a batch's time on the device in ns; their sum is from begin to end.

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
    """Open an engine around `kernel`; it closes kernel and stream, even if it fails to open.

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
    if options.wait == "auto" and (spec.cores or 0) >= CORES_TO_SPIN:
        options = replace(options, wait="spin")
    held = Held(driver)
    with DEVICES:
        try:
            if stream is not None:
                held.keep(stream, driver.destroy_stream)
            held.keep(kernel, type(kernel).close)
            driver.use()
            if stream is None:
                stream = held.keep(driver.stream(), driver.destroy_stream)
            engine = CudaEngine(Device(driver, stream, held), kernel, spec, options, where)
            engine.open()
        except BaseException:
            held.close()
            raise
    return engine


class CudaEngine:
    """A `backends.base.AsyncEngine`. `open_cuda_engine` makes one."""

    def __init__(
        self, device: Device, kernel: Kernel, spec: EngineSpec, options: CudaOptions, where: str
    ) -> None:
        self.inputs = kernel.inputs
        self.outputs = kernel.outputs
        self.max_batch_size = spec.max_batch_size
        self.slots = spec.slots
        self._where = where
        self._driver, self._stream, self._held = device.driver, device.stream, device.held
        self._kernel, self._options = kernel, options
        self._pipeline = Pipeline(device, kernel, spec, options)
        self._plan = SlotPlan(
            kernel.inputs,
            kernel.outputs,
            spec.max_batch_size,
            staging=bool(self._pipeline.by_host) and not self._pipeline.copies,
            blocking=options.wait != "spin",
        )
        self.sizes = self._pipeline.sizes
        self.memory: SampleMemory = PinnedMemory(device.driver)
        # Who calls `infer` has nothing else to do, and waking it takes longer than polling.
        self._spins = options.wait != "block"
        self._slots: list[Slot] = []
        self._parts: list[Parts | None] = [None] * spec.slots
        self._slab: Slab | None = None
        self._closed = False
        self._clock = DeviceClock()
        self.facts: Mapping[str, OptionValue] = self._facts(spec)

    def open(self) -> None:
        """Take the memory, make the graphs, and set the device's clock.

        Raises:
            OutOfMemoryError: the device or pinned memory is full.
        """
        driver, held, pipeline = self._driver, self._held, self._pipeline
        if self._options.samples_on_device and pipeline.by_host:
            part = pipeline.by_host[0]
            raise ConfigError(
                f"{self._where}: samples_on_device needs the gather on the device, and input "
                f'"{self.inputs[part].name}" has {pipeline.row_bytes[part]} bytes a sample; '
                f"expected a multiple of {UNIT_BYTES}, and gather=kernel."
            )
        for _ in range(self.slots):
            stream = self._stream
            if pipeline.overlaps:
                stream = held.keep(driver.stream(urgent=True), driver.destroy_stream)
            self._slots.append(open_slot(driver, held, self._plan, stream))
        pipeline.prepare(self._slots)

    def bind(self, samples: Arrays) -> None:
        """See `Engine.bind`. Samples that are not in `memory` are copied there."""
        self._check_open()
        fitting = check_samples(samples, self.inputs, self._where)
        with DEVICES:
            self._driver.use()
            self._unbind()
            self._slab = Slab(self._driver, fitting, on_device=self._options.samples_on_device)
        self._pipeline.restart_drill()

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`."""
        self._launch(0, rows, spin=self._spins)
        return self._collect(0, spin=self._spins)[0]

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """See `Engine.infer_arrays`."""
        self._launch_arrays(0, arrays, spin=self._spins)
        return self._collect(0, spin=self._spins)[0]

    def launch(self, slot: int, rows: Sequence[int]) -> None:
        """See `AsyncEngine.launch`.

        Raises:
            EngineError: as every engine.
            CudaError: the device failed.
        """
        self._launch(slot, rows, spin=False)

    def launch_arrays(self, slot: int, arrays: Arrays) -> None:
        """See `AsyncEngine.launch_arrays`. The first in a slot pins memory for the arrays.

        Raises:
            EngineError: as every engine.
            OutOfMemoryError: no more memory can be pinned.
            CudaError: the device failed.
        """
        self._launch_arrays(slot, arrays, spin=False)

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
        """Return the parts of the time of the last finished batch in `slot`."""
        parts = self._parts[slot]
        if parts is None:
            raise EngineError(f"{self._where}: slot {slot} has had no batch yet. Launch first.")
        return parts

    def memory_bytes(self) -> dict[str, int]:
        """See `WeighedEngine`."""
        self._check_open()
        self._driver.use()
        own = self._kernel.memory_bytes() if isinstance(self._kernel, WeighedKernel) else {}
        return {"device_free": self._driver.free_bytes(), **own}

    def close(self) -> None:
        """See `Engine.close`. Waits for batches in flight."""
        if self._closed:
            return
        self._closed = True
        with DEVICES:
            with suppress(CudaError):  # a failed device refuses this too
                self._driver.use()
                self._driver.settle()
            with suppress(CudaError):
                self._unbind()
            self._held.close()
        self._slots = []

    # launching thread

    def _launch(self, slot: int, rows: Sequence[int], *, spin: bool) -> None:
        """Launch a batch whose end is polled, or signalled by an event."""
        slab = self._slab
        if slab is None:
            self._check_open()
            raise EngineError(f"{self._where}: the engine is without samples. Call bind first.")
        check_rows(rows, slab.count, self.max_batch_size, self._where)
        if not 0 <= slot < self.slots or self._slots[slot].count:
            raise self._not_free(slot)
        self._pipeline.enqueue(self._slots[slot], slab, rows, spin=spin)

    def _launch_arrays(self, slot: int, arrays: Arrays, *, spin: bool) -> None:
        self._check_open()
        fitting = check_arrays(arrays, self.inputs, self.max_batch_size, self._where)
        if not 0 <= slot < self.slots or self._slots[slot].count:
            raise self._not_free(slot)
        free = self._slots[slot]
        if not free.staging:
            with DEVICES:
                self._driver.use()
                add_staging(self._driver, self._held, self._plan, free)
        self._pipeline.enqueue_arrays(free, fitting, spin=spin)

    def _not_free(self, slot: int) -> EngineError:
        return EngineError(
            f"{self._where}: slot {slot} is not free; slots are 0 to {self.slots - 1}, and each "
            "holds one batch until it was waited for."
        )

    # waiting thread

    def _collect(self, number: int, *, spin: bool) -> tuple[tuple[Array, ...], tuple[int, int]]:
        """Wait for the batch in a slot, and free the slot."""
        driver, slot = self._driver, self._slots[number]
        count = slot.count
        try:
            driver.use()
            if spin:
                self._look(slot)
            else:
                driver.synchronize(slot.done)
            times = self._times(slot, number)
        finally:
            slot.count = 0
        return tuple([result[:count] for result in slot.results]), times

    def _look(self, slot: Slot) -> None:
        """Poll the last time until the device has written it."""
        stamps, stream = slot.stamps, self._pipeline.last_stream(slot)
        while not stamps[DONE]:
            self._driver.idle(stream)
            for _ in range(LOOKS):
                if stamps[DONE]:
                    break

    def _times(self, slot: Slot, number: int) -> tuple[int, int]:
        """Take the batch's times; return when it was computed, on our clock."""
        seen_ns = time.monotonic_ns()
        begun_ns, copied_ns, started_ns, computed_ns, done_ns = slot.stamps.tolist()
        if not self._pipeline.overlaps:  # the model begins where the copy ends
            copied_ns = started_ns
        self._parts[number] = Parts(
            copied_ns - begun_ns, started_ns - copied_ns, computed_ns - started_ns,
            done_ns - computed_ns,
        )  # fmt: skip
        self._clock.observe(slot.launched_ns, begun_ns, done_ns, seen_ns)
        to_host = self._clock.host_ns
        # The error between the clocks must not put a batch before its launch or after now.
        started_ns = min(max(to_host(started_ns), slot.launched_ns), seen_ns)
        return started_ns, min(max(to_host(computed_ns), started_ns), seen_ns)

    # opening and closing

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
            "gather": self._gather_fact(),
            "wait": options.wait,
            "samples_on_device": options.samples_on_device,
        }

    def _gather_fact(self) -> str:
        if self._pipeline.copies:
            return "copies"
        by_host = len(self._pipeline.by_host)
        if by_host == len(self.inputs):
            return "staging"
        return "kernel and staging" if by_host else "kernel"
