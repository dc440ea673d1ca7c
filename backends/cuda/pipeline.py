"""The steps of a batch on a device: rows in, model, outputs back; as graphs if possible.

Enqueues only; who waits for what is the engine's. Knows addresses, streams and slots.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backends.cuda.driver import DELIVER_BYTES, Errand, Parcel
from backends.cuda.ptx import UNIT_BYTES
from backends.cuda.slots import BEGUN, COMPUTED, COPIED, DONE, STARTED, tensor_bytes
from backends.ladder import fitting
from backends.rows import gather, is_run
from sut.base.steps import say_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import Array, EngineSpec
    from backends.cuda.driver import Driver, Stream
    from backends.cuda.held import Held
    from backends.cuda.kernel import Kernel
    from backends.cuda.options import CudaOptions
    from backends.cuda.slab import Slab
    from backends.cuda.slots import Slot

# From this size on, consecutive rows use the copy engine: it is faster, and leaves the whole device
# to the model. For less, the copy engine takes longer to start than the kernel takes in total.
COPY_BYTES = 1 << 20
# From this size of a sample on, a copy for each costs the host little beside what the kernel costs
# the model.
LARGE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Device:
    """The resources that an engine is opened with.

    Attributes:
        driver: of the device.
        stream: on which all batches are computed.
        held: what is freed when the engine is closed.
    """

    driver: Driver
    stream: Stream
    held: Held


class Pipeline:
    """Runs batches on a device.

    Attributes:
        row_bytes: of a sample, by input.
        target_bytes: of a row of each output.
        sizes: batch sizes that the model runs; empty: every one.
        by_host: numbers of the inputs whose rows the device cannot gather, by option or by size.
        copies: the copy engine takes each row of a large batch.
        overlaps: there are several slots, each with a stream of its own.
    """

    def __init__(
        self, device: Device, kernel: Kernel, spec: EngineSpec, options: CudaOptions
    ) -> None:
        self._driver, self._stream, self._held = device.driver, device.stream, device.held
        self._kernel = kernel
        self.row_bytes = tuple(map(tensor_bytes, kernel.inputs))
        self._sample_bytes = sum(self.row_bytes)
        self.target_bytes = tuple(map(tensor_bytes, kernel.outputs))
        self.sizes = tuple(kernel.sizes)
        self._all = tuple(range(len(self.row_bytes)))
        self.by_host = tuple(
            part
            for part, size in enumerate(self.row_bytes)
            if options.gather == "staging" or size % UNIT_BYTES
        )
        is_large = self._sample_bytes >= LARGE_BYTES
        self.copies = options.gather == "copies" or (options.gather == "auto" and is_large)
        # With one slot nothing overlaps, and one stream is enough. Outputs that use the copy
        # engine do not delay the next batch.
        self.overlaps = spec.slots > 1
        most_bytes = spec.max_batch_size * max(self.target_bytes)
        self._delivers_apart = self.overlaps and most_bytes > DELIVER_BYTES
        self._graphs = options.cuda_graphs and kernel.capturable
        self._largest = spec.max_batch_size
        self._fail_at_s = options.fail_at_s
        self._fail_ns: int | None = None

    def prepare(self, slots: Sequence[Slot]) -> None:
        """Run each size once in each slot, and keep it as a graph."""
        driver, kernel = self._driver, self._kernel
        number = driver.number(self._stream)
        if self.by_host != self._all:
            for slot in slots:
                captured = driver.capture(partial(self._gather, slot), slot.stream)
                slot.gather = self._held.keep(captured, driver.destroy_graph)
        # The largest first, because the others fit into its memory.
        sizes = self.sizes or (self._largest,)
        for k, size in enumerate(reversed(sizes), 1):
            say_step(f"preparing batch size {k} of {len(sizes)}")
            for slot in slots:
                kernel.prepare(size, slot.sources, slot.targets, number)
                driver.settle()
                if self._graphs:
                    captured = driver.capture(partial(self._compute, slot, size), self._stream)
                    slot.graphs[size] = self._held.keep(captured, driver.destroy_graph)
        driver.settle()

    def restart_drill(self) -> None:
        """Start the time of `fail_at_s` at the next batch."""
        self._fail_ns = None

    def enqueue(self, slot: Slot, slab: Slab, rows: Sequence[int], *, spin: bool) -> None:
        """Enqueue a batch in a free slot; without `spin`, with an event that marks its end."""
        slot.stamps[DONE] = 0
        slot.launched_ns = time.monotonic_ns()
        self._driver.use()
        self._copy_in(slot, slab, rows)
        self._run(slot, len(rows), spin=spin)

    def enqueue_arrays(self, slot: Slot, arrays: Sequence[Array], *, spin: bool) -> None:
        """Enqueue a batch of arrays, one an input, in a free slot that has staging memory."""
        count = len(arrays[0])
        slot.stamps[DONE] = 0
        slot.launched_ns = time.monotonic_ns()
        for array, block in zip(arrays, slot.staging, strict=True):
            block[:count] = array
        self._driver.use()
        self._driver.stamp(slot.stamp_at(BEGUN), slot.stream)
        self._copy_blocks(slot, slot.staging_addresses, count, self._all)
        self._run(slot, count, spin=spin)

    def _run(self, slot: Slot, count: int, *, spin: bool) -> None:
        """Enqueue the model and the way back, behind the copies of `count` rows."""
        driver, compute = self._driver, self._stream
        if self.overlaps:
            driver.record(slot.copied, slot.stream)
            driver.order(compute, slot.copied)
        if self._fail_at_s is not None:
            self._drill(slot, self._fail_at_s)
        size = fitting(self.sizes, count)
        graph = slot.graphs.get(size)
        if graph is None:
            self._compute(slot, size)
        else:
            driver.launch(graph, compute)
        if self._delivers_apart:
            driver.record(slot.computed, compute)
            driver.order(slot.stream, slot.computed)
            self._deliver(slot, size, slot.stream)
        if not spin:
            driver.record(slot.done, self.last_stream(slot))
        slot.count = count

    def run_model(self, slot: Slot, size: int) -> None:
        """Enqueue the model itself."""
        number = self._driver.number(self._stream)

        def enqueue() -> None:
            self._kernel.enqueue(size, slot.sources, slot.targets, number)

        self._driver.run(enqueue, self._stream)

    def last_stream(self, slot: Slot) -> Stream:
        """Return the stream on which a batch ends."""
        return slot.stream if self._delivers_apart else self._stream

    def _copy_in(self, slot: Slot, slab: Slab, rows: Sequence[int]) -> None:
        driver, count, run, left = self._driver, len(rows), is_run(rows), self._all
        large = count * self._sample_bytes >= COPY_BYTES
        if slot.gather is not None and not (large and (run or self.copies)):
            slot.order.write(slab.addresses, rows)
            driver.launch(slot.gather, slot.stream)
            left = self.by_host
            if not left:
                return
        else:
            driver.stamp(slot.stamp_at(BEGUN), slot.stream)
        if run:
            sources = zip(slab.addresses, self.row_bytes, strict=True)
            first = int(rows[0])
            self._copy_blocks(slot, [base + first * one for base, one in sources], count, left)
        elif self.copies:
            self._copy_rows(slot, slab, rows, left)
        else:
            for part in left:
                gather(slab.arrays[part], rows, slot.staging[part])
            self._copy_blocks(slot, slot.staging_addresses, count, left)

    def _copy_blocks(
        self, slot: Slot, sources: Sequence[int], count: int, parts: Sequence[int]
    ) -> None:
        """Enqueue copies of `count` rows of some inputs, each from one block at its source."""
        for part in parts:
            size = count * self.row_bytes[part]
            self._driver.copy(slot.sources[part], sources[part], size, slot.stream)
        self._stamp_copied(slot)

    def _copy_rows(self, slot: Slot, slab: Slab, rows: Sequence[int], parts: Sequence[int]) -> None:
        """Enqueue a copy for each row of some inputs."""
        for part in parts:
            target, base, one = slot.sources[part], slab.addresses[part], self.row_bytes[part]
            for k, row in enumerate(rows):
                self._driver.copy(target + k * one, base + int(row) * one, one, slot.stream)
        self._stamp_copied(slot)

    def _gather(self, slot: Slot) -> None:
        """Enqueue the gather of the rows in the slot's order."""
        begun_at = slot.stamp_at(BEGUN)
        for part in self._all:
            if part not in self.by_host:
                errand = Errand(slot.order, part, slot.sources[part], begun_at)
                self._driver.gather(errand, slot.stream)
                begun_at = 0
        if not self.by_host:
            self._stamp_copied(slot)

    def _stamp_copied(self, slot: Slot) -> None:
        if self.overlaps:
            self._driver.stamp(slot.stamp_at(COPIED), slot.stream)

    def _compute(self, slot: Slot, size: int) -> None:
        """Enqueue the model, and the outputs to the host if the next batch need not wait."""
        self._driver.stamp(slot.stamp_at(STARTED), self._stream)
        self.run_model(slot, size)
        if not self._delivers_apart:
            self._deliver(slot, size, self._stream)

    def _deliver(self, slot: Slot, size: int, stream: Stream) -> None:
        """Enqueue the outputs of `size` rows to the host, with the times before and after."""
        last = len(slot.targets) - 1
        blocks = zip(slot.targets, slot.result_addresses, self.target_bytes, strict=True)
        for k, (target, result, one) in enumerate(blocks):
            begun_at = slot.stamp_at(COMPUTED) if k == 0 else 0
            done_at = slot.stamp_at(DONE) if k == last else 0
            self._driver.deliver(Parcel(target, result, size * one, begun_at, done_at), stream)

    def _drill(self, slot: Slot, fail_at_s: float) -> None:
        """Break the device once the time of `fail_at_s` has come."""
        if self._fail_ns is None:
            self._fail_ns = slot.launched_ns + int(fail_at_s * 1e9)
        if slot.launched_ns >= self._fail_ns:
            self._driver.break_device(self._stream)
