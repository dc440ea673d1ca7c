"""The bare loop on a GPU: copies, model, copies, and nothing else, in a process of its own.

What a harness can reach at best with the same engine: its buffers, its streams and the same model
as a graph, with the samples in pinned host memory, and CUDA's own copies in and out. No rows, no
times, no postprocess, no LoadGen, no queue.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from backends.base import open_engine
from backends.cuda.engine import CudaEngine
from sut.config.settings import TrialRequest

# Needed at run time: msgspec reads the annotations to decode a request.
from sut.serve.specs import executor_spec
from tests.benchmarks.bare import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.base import Array
    from backends.cuda.driver import Graph, Stream
    from backends.cuda.slots import Slot

SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """What to run.

    Attributes:
        trial: of the run to compare with.
        device: the index of a GPU.
        samples: the prepared samples, a .npy file [N, *shape].
        sizes: batch sizes; 0 stands for the run's own.
        seconds: measured time for each, after SETTLE_S.
        scattered: also time the harness's own batches of scattered rows.
    """

    trial: TrialRequest
    device: str
    samples: str
    sizes: tuple[int, ...]
    seconds: float
    scattered: bool = False


@dataclass(frozen=True, slots=True)
class GpuResult:
    """What the loop measured.

    Attributes:
        samples_per_s: by batch size.
        scattered_per_s: by batch size: the engine's own launch and wait, rows in random order.
        call_ns: the median time of one sample, from its copy to its answer, waiting awake: a copy,
            a graph and a copy on one stream; None where the engine has no batch of one.
        parts_ns: the engine's own parts of that: copy in, wait, compute, copy out; or empty.
        open_s: time to open the engine.
    """

    samples_per_s: dict[int, float]
    scattered_per_s: dict[int, float]
    call_ns: float | None
    parts_ns: tuple[float, ...]
    open_s: float


def measure(request: GpuRequest) -> GpuResult:
    """Run the loop in a new process.

    Raises:
        subprocess.CalledProcessError: it failed; what it printed is on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bare_gpu"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        input=msgspec.json.encode(request),
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(done.stdout, type=GpuResult)


class Loop:
    """The slots of an open engine, driven with nothing in between."""

    def __init__(self, engine: CudaEngine, samples: Array) -> None:
        engine.bind({engine.inputs[0].name: samples})
        slab = engine._slab
        assert slab is not None, "bound"
        self._engine, self._slab = engine, slab
        self._driver, self._compute = engine._driver, engine._stream
        self._slots = engine._slots
        self._graphs: dict[tuple[int, int], Graph] = {}
        self._row_bytes = engine._pipeline.row_bytes[0]
        self._target_bytes = engine._pipeline.target_bytes

    def rate(self, size: int, seconds: float) -> float:
        """Return samples/s of batches of `size` rows that follow each other."""
        firsts = range(0, max(1, self._slab.count - size + 1), size)

        def launch(slot: Slot, k: int) -> None:
            self._launch(slot, firsts[k % len(firsts)], size)

        return self._rate(size, seconds, launch, self._wait)

    def scattered_rate(self, size: int, seconds: float) -> float:
        """Return samples/s of the engine's own batches of rows in random order."""
        engine, choose = self._engine, np.random.default_rng(0)
        batches = [list(map(int, choose.integers(0, self._slab.count, size))) for _ in range(32)]

        def launch(slot: Slot, k: int) -> None:
            engine.launch(k % engine.slots, batches[k % len(batches)])

        def wait(slot: Slot, k: int) -> None:
            engine.wait(k % engine.slots)

        return self._rate(size, seconds, launch, wait)

    def single_ns(self, seconds: float) -> float:
        """Return the median time of one sample, by the host's clock."""
        slot = self._slots[0]
        times: list[int] = []
        now_ns = time.monotonic_ns()
        end_ns = now_ns + int(seconds * 1e9)
        while now_ns < end_ns:
            start_ns = now_ns
            self._copy_in(slot, len(times) % self._slab.count, 1, self._compute)
            self._run(slot, 1)
            self._copy_out(slot, 1, self._compute)
            while not self._driver.idle(self._compute):
                pass
            now_ns = time.monotonic_ns()
            times.append(now_ns - start_ns)
        return median(times[len(times) // 10 :])

    def single_parts_ns(self, seconds: float) -> tuple[float, ...]:
        """Return the medians of the parts of the engine's own batches of one."""
        parts: list[tuple[int, ...]] = []
        end_ns = time.monotonic_ns() + int(seconds * 1e9)
        while not parts or time.monotonic_ns() < end_ns:
            self._engine.infer([len(parts) % self._slab.count])
            parts.append(self._engine.parts(0))
        return tuple(median(values) for values in zip(*parts, strict=True))

    def _launch(self, slot: Slot, first: int, size: int) -> None:
        driver, compute = self._driver, self._compute
        self._copy_in(slot, first, size, slot.stream)
        driver.record(slot.copied, slot.stream)
        driver.order(compute, slot.copied)
        self._run(slot, size)
        driver.record(slot.computed, compute)
        driver.order(slot.stream, slot.computed)
        self._copy_out(slot, size, slot.stream)
        driver.record(slot.done, slot.stream)

    def _copy_in(self, slot: Slot, first: int, size: int, stream: Stream) -> None:
        address = self._slab.addresses[0] + first * self._row_bytes
        self._driver.copy(slot.sources[0], address, size * self._row_bytes, stream)

    def _copy_out(self, slot: Slot, size: int, stream: Stream) -> None:
        for result, target, one in zip(
            slot.result_addresses, slot.targets, self._target_bytes, strict=True
        ):
            self._driver.copy(result, target, size * one, stream)

    def _run(self, slot: Slot, size: int) -> None:
        """Enqueue the model alone; the engine's own graphs hold copies and times too."""
        engine, key = self._engine, (slot.sources[0], size)
        if not slot.graphs:
            engine._pipeline.run_model(slot, size)
            return
        if key not in self._graphs:
            captured = self._driver.capture(
                partial(engine._pipeline.run_model, slot, size), self._compute
            )
            self._graphs[key] = engine._held.keep(captured, self._driver.destroy_graph)
        self._driver.launch(self._graphs[key], self._compute)

    def _wait(self, slot: Slot, k: int) -> None:
        self._driver.synchronize(slot.done)

    def _rate(
        self,
        size: int,
        seconds: float,
        launch: Callable[[Slot, int], None],
        wait: Callable[[Slot, int], None],
    ) -> float:
        slots, k = self._slots, 0
        for k, slot in enumerate(slots):
            launch(slot, k)
        start_ns, start, now_ns = 0, 0, time.monotonic_ns()
        settled_ns = now_ns + int(SETTLE_S * 1e9)
        end_ns = settled_ns + int(seconds * 1e9)
        k = 0
        while now_ns < end_ns:
            slot = slots[k % len(slots)]
            wait(slot, k)
            now_ns = time.monotonic_ns()
            if not start_ns and now_ns >= settled_ns:
                start_ns, start = now_ns, k
            launch(slot, k + len(slots))
            k += 1
        for left in range(k, k + len(slots)):
            wait(slots[left % len(slots)], left)
        return size * (k - 1 - start) / (now_ns - start_ns) * 1e9


def _run_here(request: GpuRequest) -> GpuResult:
    start_s = time.monotonic()
    engine = open_engine(executor_spec(request.trial, request.device).engine)
    assert isinstance(engine, CudaEngine), "an engine of the CUDA worker"
    open_s = time.monotonic() - start_s
    engine._driver.use()
    loop = Loop(engine, np.ascontiguousarray(np.load(request.samples)))
    sizes = [size or engine.max_batch_size for size in request.sizes]
    rates = {size: loop.rate(size, request.seconds) for size in sizes}
    scattered = {
        size: loop.scattered_rate(size, request.seconds) for size in sizes if request.scattered
    }
    alone = not engine._pipeline.sizes or 1 in engine._pipeline.sizes
    single_ns = loop.single_ns(request.seconds) if alone else None
    parts_ns = loop.single_parts_ns(request.seconds / 4) if alone else ()
    engine.close()
    return GpuResult(rates, scattered, single_ns, parts_ns, open_s)


if __name__ == "__main__":
    # What libraries print must not reach the parent's JSON.
    answer = os.dup(1)
    os.dup2(2, 1)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=GpuRequest)
    os.write(answer, msgspec.json.encode(_run_here(asked)))
