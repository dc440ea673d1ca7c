"""Runs batches on one engine: data set indices in, response bytes out.

Every kind of worker has one. Knows no response ids, threads or queues.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from backends.base import AsyncEngine, CountingEngine, EngineSpec, MemoryEngine, open_engine
from backends.ladder import fitting, sizes_text, within
from data.tasks import records_of
from sut.base.errors import BatchTooLarge
from sut.base.process import parse_cpus
from sut.serve.responses import Responses
from sut.serve.workers.postprocess import Postprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from backends.base import Array, Engine, OptionValue
    from data.tasks.base import Made, Outputs, Postprocess
    from sut.serve.samples import LoadedSamples

    # Responses, started_ns, finished_ns.
    Timed: TypeAlias = tuple[Responses, int, int]

# S(b) counts as steady if two windows agree within STEADY_SHARE. Each window has at least this many
# batches and this much time, because an idle device needs time to raise its clocks.
WINDOW_BATCHES = 5
WINDOW_NS = 20_000_000
STEADY_SHARE = 0.02


class Timing(NamedTuple):
    """S(b) of one batch size, in ns: the median of the last window, and the fastest batch seen.

    On a busy machine the two differ. Code that needs an upper limit of the rate, such as the number
    of samples for Offline, uses the fastest. `busy` is the share of the last window in which the
    device computed; 0.0 for an engine that does not tell.
    """

    median_ns: float
    fastest_ns: float
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """All that a worker needs to open its executor, as plain picklable data.

    Attributes:
        engine: what to open.
        postprocess: of the benchmark.
        cpus: cores of the calling thread and those that it starts, such as "0-3"; empty: all.
        shrinks: if the engine does not take its largest batch, open it for half of that, and so on.
        threads: that share the postprocess of a batch.
    """

    engine: EngineSpec
    postprocess: Postprocess
    cpus: str = ""
    shrinks: bool = False
    threads: int = 1


class Executor:
    """An engine, its samples, and the benchmark's postprocess.

    One thread at a time may use it. With an asynchronous engine, one thread may launch while
    another waits.
    """

    def __init__(
        self, spec: ExecutorSpec, open_: Callable[[EngineSpec], Engine] = open_engine
    ) -> None:
        if spec.cpus:  # before the engine starts threads, which inherit them
            os.sched_setaffinity(0, parse_cpus(spec.cpus))
        self._engine: Engine = open_(spec.engine)
        self._has_answers = not self._engine.facts["simulated"]
        self._spec = _left(spec.postprocess, self._engine)
        self._postprocess = Postprocessing(_not_loaded, 1)
        first = self._engine.outputs[0]
        self._classes = self._spec.classes(first.shape) if self._has_answers else None
        self._row_of: Sequence[int] = ()
        self._counting = self._engine if isinstance(self._engine, CountingEngine) else None
        self._async = self._engine if isinstance(self._engine, AsyncEngine) else None
        # A blocking engine computes on the host, whose cores are busy with it.
        divides = self._spec.divides and self._has_answers and self._async is not None
        self._threads = spec.threads if divides else 1
        self.slots = self._async.slots if self._async else 0
        """Batches that `launch` takes at once; 0: the engine has only `run`."""
        self.memory = self._engine.memory if isinstance(self._engine, MemoryEngine) else None
        """Where the engine wants its samples; None: anywhere."""

    def counts(self) -> dict[str, float]:
        """Return what was counted since warm-up; counts of several workers are added.

        `not_finite` are samples whose answer is not a number; others are those of a CountingEngine.
        """
        found = {"not_finite": float(self._postprocess.not_finite)}
        return found if self._counting is None else {**found, **self._counting.counted()}

    def facts(self) -> dict[str, OptionValue]:
        """Return the engine's facts, its batch sizes, and its number of classes if it is known."""
        engine = self._engine
        found = dict(engine.facts)
        found["max_batch_size"] = engine.max_batch_size
        found["batch_sizes"] = sizes_text(engine.sizes)
        if self._classes is not None:
            found["classes"] = self._classes
        return found

    def load(self, samples: LoadedSamples) -> None:
        """Use these samples from now on."""
        self._engine.bind(samples.arrays)
        self._row_of = samples.row_of
        simulated = not self._has_answers
        records = records_of(self._spec, samples.frames, simulated=simulated)
        self._postprocess.close()
        before = self._postprocess.not_finite
        self._postprocess = Postprocessing(records, self._threads, counts=self._has_answers)
        self._postprocess.not_finite = before

    def run(self, indices: Sequence[int]) -> Responses:
        """Run one batch of data set indices; the responses are in their order."""
        return self._responses(self._engine.infer(self._rows(indices)), indices)

    def timed(self, indices: Sequence[int]) -> Timed:
        """Run one batch; return its responses with start and end on time.monotonic_ns()."""
        started_ns = time.monotonic_ns()
        responses = self.run(indices)
        return responses, started_ns, time.monotonic_ns()

    def launch(self, slot: int, indices: Sequence[int]) -> None:
        """Start one batch in a free slot of an asynchronous engine."""
        assert self._async is not None, "only with slots"
        self._async.launch(slot, self._rows(indices))

    def wait(self, slot: int, indices: Sequence[int]) -> Timed:
        """Wait for the batch in `slot`; return its responses and the device's start and finish."""
        assert self._async is not None, "only with slots"
        outputs, (started_ns, finished_ns) = self._async.wait(slot)
        return self._responses(outputs, indices), started_ns, finished_ns

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> dict[int, Timing]:
        """Run batches of each size until their time is steady; return S(b) of each.

        Of an engine with a ladder, a size takes the time of the next one up.

        An asynchronous engine runs with all slots in use, and the time is from one finish to the
        next: the cost of a batch if the device never waits for the host.

        Args:
            indices: loaded data set indices, repeated as needed.
            sizes: batch sizes.
            limit_s: seconds for each size, even if its time is not steady then.
        """
        ladder = self._engine.sizes
        run = sorted({fitting(ladder, size) for size in sizes})
        measured = {size: self._steady(indices, size, limit_s) for size in run}
        self._postprocess.not_finite = 0
        if self._counting is not None:
            self._counting.count_anew()
        return {size: measured[fitting(ladder, size)] for size in sizes}

    def alone_ns(self, indices: Sequence[int], size: int) -> int:
        """Run one batch while nothing else does; return its time in ns.

        Of an asynchronous engine the device's own, from start to finish; else from the call to the
        responses.
        """
        batch = [indices[k % len(indices)] for k in range(size)]
        if not self.slots:
            return self._timed_ns(batch)
        self.launch(0, batch)
        _, started_ns, finished_ns = self.wait(0, batch)
        return finished_ns - started_ns

    def way_in_ns(self, indices: Sequence[int], size: int) -> int:
        """Return the shortest time in ns from a launch to the device's start, while it is idle.

        Only for an asynchronous engine.
        """
        batch = [indices[k % len(indices)] for k in range(size)]
        found = []
        for _ in range(WINDOW_BATCHES):
            launched_ns = time.monotonic_ns()
            self.launch(0, batch)
            found.append(self.wait(0, batch)[1] - launched_ns)
        return min(found)

    def close(self) -> None:
        """Free the engine."""
        self._postprocess.close()
        self._engine.close()

    def _rows(self, indices: Sequence[int]) -> list[int]:
        row_of = self._row_of
        return [row_of[index] for index in indices]

    def _responses(self, outputs: tuple[Array, ...], indices: Sequence[int]) -> Responses:
        results = self._postprocess(outputs, indices)
        if len(results) != len(indices):
            raise ValueError(
                f"{len(results)} results for a batch of {len(indices)} samples: the postprocess "
                "must return one for each sample."
            )
        return Responses.of(results)

    def _steady(self, indices: Sequence[int], size: int, limit_s: float) -> Timing:
        batch = [indices[k % len(indices)] for k in range(size)]
        end_ns = time.monotonic_ns() + int(limit_s * 1e9)
        before, fastest = 0.0, float("inf")
        while True:
            window_end_ns = min(time.monotonic_ns() + WINDOW_NS, end_ns)
            times_ns, busy = self._window_ns(batch, window_end_ns)
            median = statistics.median(times_ns)
            fastest = min(fastest, *times_ns)
            steady = abs(median - before) <= STEADY_SHARE * median
            if steady or time.monotonic_ns() >= end_ns:
                return Timing(median, fastest, busy)
            before = median

    def _window_ns(self, batch: Sequence[int], end_ns: int) -> tuple[list[int], float]:
        """Run batches until `end_ns`; return the time of each, and how busy the device was."""
        if self.slots:
            return self._overlapped_ns(batch, end_ns)
        times_ns: list[int] = []
        while len(times_ns) < WINDOW_BATCHES or time.monotonic_ns() < end_ns:
            times_ns.append(self._timed_ns(batch))
        return times_ns, 0.0

    def _overlapped_ns(self, batch: Sequence[int], end_ns: int) -> tuple[list[int], float]:
        """Keep every slot full until `end_ns`; the times are from one finish to the next."""
        for slot in range(self.slots):
            self.launch(slot, batch)
        finishes: list[int] = []
        computed_ns = 0
        flying = self.slots
        while flying:
            slot = len(finishes) % self.slots
            _, started_ns, finished_ns = self.wait(slot, batch)
            computed_ns += finished_ns - started_ns if finishes else 0
            finishes.append(finished_ns)
            if len(finishes) <= WINDOW_BATCHES or time.monotonic_ns() < end_ns:
                self.launch(slot, batch)
            else:
                flying -= 1
        busy = computed_ns / max(1, finishes[-1] - finishes[0])
        return [b - a for a, b in pairwise(finishes)], min(busy, 1.0)

    def _timed_ns(self, batch: Sequence[int]) -> int:
        start_ns = time.monotonic_ns()
        self.run(batch)
        return time.monotonic_ns() - start_ns


def _left(postprocess: Postprocess, engine: Engine) -> Postprocess:
    """Return what the engine leaves to do for the worker."""
    on_device = postprocess.on_device()
    if on_device is None or engine.facts.get("postprocess") != "device":
        return postprocess
    return on_device[1]


def _not_loaded(outputs: Outputs, indices: Sequence[int]) -> Made:
    """Refuse to answer before there are samples; an engine refuses before."""
    raise AssertionError(f"a batch of {len(indices)} before load")


def open_executor(
    spec: ExecutorSpec, open_: Callable[[ExecutorSpec], Executor] = Executor
) -> tuple[Executor, str]:
    """Open the executor of `spec`, for a smaller batch if that is allowed and needed.

    Returns:
        The executor, and why it takes smaller batches than were asked for, or an empty text.

    Raises:
        SutError: the engine does not open.
    """
    note = ""
    while True:
        try:
            return open_(spec), note
        except BatchTooLarge as error:
            engine = spec.engine
            if not spec.shrinks or engine.max_batch_size == 1:
                raise
            cap = engine.max_batch_size // 2
            note = f"Device {engine.device} takes no batch above {cap} of the sizes tried: {error}"
            smaller = replace(engine, max_batch_size=cap, options=within(engine.options, cap))
            spec = replace(spec, engine=smaller)
