"""Measures S(b): opens the engines of all devices and times batches, every device at once.

Runs as `python -m sut.serve.measure` in a process of its own: the request comes on standard
input, the answer goes to standard output. Knows no LoadGen and no queue.
"""

from __future__ import annotations

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backends.base import EngineSpec, OptionValue, TensorSpec  # msgspec reads the annotations
from data.tasks import AnyPostprocess
from sut.base.errors import BatchTooLarge
from sut.base.process import collector_off
from sut.base.subprocess_call import answer_request
from sut.serve.samples import SampleSource
from sut.serve.service_times import Measured, Point
from sut.serve.workers.executor import Executor, ExecutorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Open = Callable[[ExecutorSpec], Executor]

# Rounds of a batch size that are timed; a slow one is timed once.
_ROUNDS = 3
_SLOW_S = 0.2
# Seconds for a batch size to become steady.
_LIMIT_S = 1.0
# Offline: when the rate gained less than this over the last sizes, larger ones are not tried.
_GAIN, _FLAT_SIZES = 1.003, 2
_MOST_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure.

    Attributes:
        backend: a key of backends.base.BACKENDS.
        model_path: the model file, or None for a backend without one.
        input: what the benchmark feeds.
        output_name: the model's output, or None for its first.
        devices: one a worker.
        options: of the backend.
        slots: batches that an asynchronous engine has in flight.
        postprocess: as the benchmark names it.
        sizes: batch sizes, ascending.
        bound_ns: no size beyond the first whose batch takes longer; None for no bound.
        samples_path: a .npy file, or empty for an engine that reads none.
        samples: in the data set.
    """

    backend: str
    model_path: str | None
    input: TensorSpec
    output_name: str | None
    devices: tuple[str, ...]
    options: dict[str, OptionValue]
    slots: int
    postprocess: AnyPostprocess
    sizes: tuple[int, ...]
    bound_ns: float | None
    samples_path: str
    samples: int

    def engine(self, device: str) -> EngineSpec:
        """Return what opens the engine of a worker."""
        return EngineSpec(
            backend=self.backend,
            model_path=self.model_path,
            input=self.input,
            output_name=self.output_name,
            max_batch_size=self.sizes[-1],
            device=device,
            options=self.options,
            slots=self.slots,
        )


class _Station:
    """One worker's engine under measurement."""

    def __init__(self, spec: EngineSpec, postprocess: AnyPostprocess, open_: Open) -> None:
        self._spec = spec
        self._postprocess = postprocess
        self._open = open_
        self.device = spec.device
        self.points: dict[int, Point] = {}
        self.is_done = False
        self.note = ""

    def open(self) -> None:
        """Open the engine for the largest batch that it takes."""
        largest = self._spec.max_batch_size
        while True:
            spec = replace(self._spec, max_batch_size=largest)
            try:
                self._executor = self._open(ExecutorSpec(spec, self._postprocess))
            except BatchTooLarge as error:
                if largest == 1:
                    raise
                largest //= 2
                self.note = (
                    f"Device {self.device} takes no batch above {largest} of those looked at: "
                    f"{error}"
                )
                continue
            self.largest = largest
            return

    def load(self, request: Request) -> None:
        """Bring samples into memory."""
        count = min(request.samples, _MOST_SAMPLES)
        tensor = self._spec.input
        shape = tuple(size or 1 for size in tensor.shape)
        source = SampleSource(
            request.samples_path, request.samples, shape, tensor.dtype, tuple(range(count))
        )
        self._indices = range(count)
        self._executor.load(source.read())

    def time(self, size: int, bound_ns: float | None) -> None:
        """Time one batch size."""
        if self.is_done or size > self.largest:
            self.is_done = True
            return
        medians = []
        start_s = time.monotonic()
        for number in range(_ROUNDS):
            limit_s = 0.0 if number or self._is_slow(size) else _LIMIT_S
            try:
                medians.append(self._executor.warm_up(self._indices, [size], limit_s)[size])
            except (BatchTooLarge, MemoryError) as error:
                self._stop(size, error)
                return
            if time.monotonic() - start_s > _SLOW_S * _ROUNDS:
                break
        times = [timing.median_ns for timing in medians]
        self.points[size] = Point(statistics.median(times), min(times), max(times))
        too_long = bound_ns is not None and self.points[size].median_ns > bound_ns
        self.is_done = too_long or (bound_ns is None and self._is_flat())

    def close(self) -> None:
        """Free the engine."""
        self._executor.close()

    @property
    def is_async(self) -> bool:
        """The engine takes several batches at once."""
        return self._executor.slots > 0

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
        self.note = f"Device {self.device}: a batch of {size} failed: {error}"


def measure(request: Request, open_: Open = Executor) -> Measured:
    """Measure every size on all workers at once.

    Args:
        request: what to measure.
        open_: opens an executor.

    Raises:
        SutError: an engine does not open, or not even its smallest batch works.
    """
    stations = [_Station(request.engine(d), request.postprocess, open_) for d in request.devices]
    with ThreadPoolExecutor(len(stations)) as pool:
        _all(pool, stations, _Station.open)
        _all(pool, stations, lambda station: station.load(request))
        collector_off()
        for size in request.sizes:
            _all(pool, stations, lambda station, n=size: station.time(n, request.bound_ns))
        is_async = any(station.is_async for station in stations)
        _all(pool, stations, _Station.close)
    notes = tuple(dict.fromkeys(station.note for station in stations if station.note))
    return Measured(tuple((s.device, s.points) for s in stations), is_async, notes)


def _all(pool: ThreadPoolExecutor, stations: Sequence[_Station], act: Callable[..., None]) -> None:
    list(pool.map(act, stations))


if __name__ == "__main__":
    sys.exit(answer_request(Request, measure))
