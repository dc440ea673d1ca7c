"""Measures S(b), the service time of a batch of b samples, on all devices at once.

Runs as `python -m sut.serve.measure`: the request comes on standard input, the answer goes to
standard output. The devices are here or on nodes. Knows neither LoadGen nor a queue.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from sut.base import descendants
from sut.base.errors import BatchTooLarge
from sut.base.extras import needs_pyzmq
from sut.base.process import collector_off
from sut.base.subprocess_call import answer_request
from sut.config.cluster import node_name
from sut.config.settings import HarnessSettings  # msgspec reads the annotations
from sut.config.workload import Workload
from sut.record.result import PERCENTILES
from sut.serve.samples import SampleReader, SampleSource
from sut.serve.service_times import Measured, Point
from sut.serve.workers.closing import close_all
from sut.serve.workers.executor import Executor, ExecutorSpec, open_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sut.serve.workers.executor import Timing

    Open = Callable[[ExecutorSpec], Executor]

# Rounds for each batch size; a slow one is timed only once.
_ROUNDS = 3
_SLOW_S = 0.2
# Seconds for a batch size to become steady.
_LIMIT_S = 1.0
# Offline: if the rate gained less than this over the last sizes, larger ones are not tried.
_GAIN, _FLAT_SIZES = 1.003, 2
_MOST_SAMPLES = 64
# Seconds that engines have to close.
CLOSE_S = 5.0
# Batches of a size that run alone: enough for a 99th percentile where they are fast, and where they
# are slow as many as fit into the seconds; of fewer than a hundred that percentile is the longest.
_LEAST_ALONE, _MOST_ALONE, _ALONE_S = 40, 200, 3.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure.

    Attributes:
        workload: the model and its samples.
        harness: backend, devices, instances, options and slots; its batch sizes are ignored.
        sizes: batch sizes, ascending.
        bound_ns: stop after the first size whose batch takes longer; None for no bound.
        alone: time batches that run alone too, for percentiles of their time.
    """

    workload: Workload
    harness: HarnessSettings
    sizes: tuple[int, ...]
    bound_ns: float | None
    alone: bool = False

    def for_largest(self) -> Request:
        """Return the same with engines for the largest of `sizes`, or for half of it and so on."""
        largest = replace(
            self.harness,
            max_batch_size=self.sizes[-1],
            device_max_batch_size={},
            chooses_batch=True,
        )
        return replace(self, harness=largest)


class Bench(Protocol):
    """One worker's engine, where it is: what is measured of it.

    Attributes:
        device: that it is on.
        note: why it takes smaller batches than were asked for, or empty.
        largest: batch that it takes, in samples.
    """

    device: str
    note: str
    largest: int

    def open(self) -> None:
        """Open it for the largest batch that it takes."""

    def load(self, source: SampleSource, reader: SampleReader) -> None:
        """Bring samples into its memory."""

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Mapping[int, Timing]:
        """See Executor.warm_up."""

    def alone_ns(self, indices: Sequence[int], size: int) -> int:
        """See Executor.alone_ns."""

    def way_in_ns(self, indices: Sequence[int], size: int) -> int | None:
        """See Executor.way_in_ns; None: the engine takes one batch at a time."""

    def wire_ns(self) -> float | None:
        """Return one way of an empty message to its node, in ns; None: it is here."""

    def close(self) -> None:
        """Free the engine."""


class _Here:
    """An engine in this process. See Bench."""

    def __init__(self, request: Request, device: str, open_: Open) -> None:
        self.device = device
        self.note = ""
        self.largest = 0
        self._request = request
        self._open = open_

    def open(self) -> None:
        request, harness = self._request, self._request.harness
        engine = harness.engine(request.workload, self.device)
        cpus = harness.affinity.get(self.device, "")
        spec = ExecutorSpec(engine, request.workload.postprocess, cpus, shrinks=True)
        self._executor, self.note = open_executor(spec, self._open)
        self.largest = int(self._executor.facts()["max_batch_size"])

    def load(self, source: SampleSource, reader: SampleReader) -> None:
        self._executor.load(reader.read(source, self._executor.memory))

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Mapping[int, Timing]:
        return self._executor.warm_up(indices, sizes, limit_s)

    def alone_ns(self, indices: Sequence[int], size: int) -> int:
        return self._executor.alone_ns(indices, size)

    def way_in_ns(self, indices: Sequence[int], size: int) -> int | None:
        return self._executor.way_in_ns(indices, size) if self._executor.slots else None

    def wire_ns(self) -> None:
        return None

    def close(self) -> None:
        self._executor.close()


class _Station:
    """One engine under measurement, and what it showed."""

    def __init__(self, request: Request, bench: Bench) -> None:
        self._request = request
        self.bench = bench
        self.device = bench.device
        self.points: dict[int, Point] = {}
        self.is_done = False
        self._stopped = ""

    @property
    def note(self) -> str:
        """What the user should know, or empty."""
        return self._stopped or self.bench.note

    def open(self) -> None:
        """Open the engine for the largest batch that it takes."""
        self.bench.open()

    def load(self, source: SampleSource, reader: SampleReader) -> None:
        """Bring samples into memory."""
        self._indices = source.indices
        self.bench.load(source, reader)

    def time(self, size: int) -> None:
        """Time one batch size."""
        request = self._request
        bound_ns = request.bound_ns
        if self.is_done or size > self.bench.largest:
            self.is_done = True
            return
        medians = []
        start_s = time.monotonic()
        for number in range(_ROUNDS):
            limit_s = 0.0 if number or self._is_slow(size) else _LIMIT_S
            try:
                medians.append(self.bench.warm_up(self._indices, [size], limit_s)[size])
            except (BatchTooLarge, MemoryError) as error:
                self._stop(size, error)
                return
            if time.monotonic() - start_s > _SLOW_S * _ROUNDS:
                break
        times = [timing.median_ns for timing in medians]
        alone_ns = self._alone_ns(size) if request.alone else {}
        busy = max(timing.busy for timing in medians)
        self.points[size] = Point(statistics.median(times), min(times), max(times), alone_ns, busy)
        too_long = bound_ns is not None and self.points[size].median_ns > bound_ns
        self.is_done = too_long or (bound_ns is None and self._is_flat())

    def copy_in_ns(self) -> float | None:
        """Return what one more sample adds to the way to an idle device, in ns.

        None: the engine takes one batch at a time.
        """
        least_ns = self.bench.way_in_ns(self._indices, 1)
        largest = max(self.points, default=1)
        if least_ns is None or largest == 1:
            return None if least_ns is None else 0.0
        most_ns = self.bench.way_in_ns(self._indices, largest)
        assert most_ns is not None, "it takes several batches, whatever their size"
        return max(0.0, (most_ns - least_ns) / (largest - 1))

    def _alone_ns(self, size: int) -> dict[str, float]:
        """Run batches one after the other; return the mean and percentiles of their time."""
        times_ns: list[int] = []
        end_s = time.monotonic() + _ALONE_S
        while len(times_ns) < _LEAST_ALONE or (
            len(times_ns) < _MOST_ALONE and time.monotonic() < end_s
        ):
            times_ns.append(self.bench.alone_ns(self._indices, size))
        times_ns.sort()
        shares = {name: times_ns[int(share * len(times_ns))] for name, share in PERCENTILES.items()}
        return {"mean": statistics.fmean(times_ns), **shares}

    def _is_slow(self, size: int) -> bool:
        if not self.points:
            return False
        last = max(self.points)
        return self.points[last].median_ns * size / last > _SLOW_S * 1e9

    def _is_flat(self) -> bool:
        rates = [size / point.median_ns for size, point in self.points.items()]
        return len(rates) > _FLAT_SIZES and max(rates[-_FLAT_SIZES:]) < _GAIN * max(
            rates[:-_FLAT_SIZES]
        )

    def _stop(self, size: int, error: Exception) -> None:
        if not self.points:
            raise error
        self.is_done = True
        self._stopped = f"Device {self.device}: a batch of {size} failed: {error}"


def measure(request: Request, open_: Open = Executor) -> Measured:
    """Measure every size on all workers at once.

    Args:
        request: what to measure.
        open_: opens an executor.

    Raises:
        SutError: an engine does not open, not even its smallest batch works, or a node is lost.
    """
    samples = request.workload.samples
    assert samples is not None, "samples are prepared before S(b) is measured"
    source = SampleSource.of(request.workload, range(min(samples.count, _MOST_SAMPLES)))
    reader = SampleReader()
    with ExitStack() as held:
        stations = [_Station(request, bench) for bench in _benches(request, open_, held)]
        # A thread for each station, because cores are bound to it.
        threads = {station: held.enter_context(ThreadPoolExecutor(1)) for station in stations}
        _all(threads, _Station.open)
        _all(threads, lambda station: station.load(source, reader))
        collector_off()
        for size in request.sizes:
            _all(threads, lambda station, n=size: station.time(n))
        copies_ns = [threads[s].submit(s.copy_in_ns).result() for s in stations]
        ways_ns = _ways_ns([station.bench for station in stations])
        closers = {f"device {s.device}, {k}": s.bench.close for k, s in enumerate(stations)}
        close_all(closers, CLOSE_S)
    return Measured(
        workers=tuple((station.device, station.points) for station in stations),
        is_async=any(copy_ns is not None for copy_ns in copies_ns),
        notes=tuple(dict.fromkeys(station.note for station in stations if station.note)),
        copy_in_ns=max(copy_ns or 0.0 for copy_ns in copies_ns),
        ways_ns=ways_ns,
    )


def _benches(request: Request, open_: Open, held: ExitStack) -> Sequence[Bench]:
    """Return the engines to measure; what is on nodes is open until `held` ends."""
    asked = request.for_largest()
    if asked.harness.remote is None:
        return [_Here(asked, device, open_) for _, device in asked.harness.worker_devices()]
    with needs_pyzmq("--cluster"):
        from sut.serve.cluster.bench import node_benches  # noqa: PLC0415 - it needs the extra

    return held.enter_context(node_benches(asked))


def _ways_ns(benches: Sequence[Bench]) -> dict[str, float]:
    """Return one way to each node, measured one after the other; empty: there are none."""
    found: dict[str, float] = {}
    for bench in benches:
        node = node_name(bench.device)
        if node not in found and (way_ns := bench.wire_ns()) is not None:
            found[node] = way_ns
    return found


def _all(threads: Mapping[_Station, ThreadPoolExecutor], act: Callable[..., None]) -> None:
    for call in [thread.submit(act, station) for station, thread in threads.items()]:
        call.result()


if __name__ == "__main__":
    descendants.adopt_orphans()
    code = answer_request(Request, measure)
    sys.stderr.flush()
    descendants.end_all()
    os._exit(code)  # an engine that hangs while it closes must not keep this process
