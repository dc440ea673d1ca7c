"""A device that only takes time: that of a curve S(b), on an absolute timeline, as on a GPU.

Answers with zeros. Its facts say that it is simulated, so that none of its results is submitted.
Knows no model. Every engine is a separate device, even if two have the same name, unless the option
`shared` makes them one.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from backends.arrays import check_arrays, check_samples
from backends.base import TensorSpec, check_rows
from backends.ladder import fitting, read_sizes
from backends.options import read_options
from backends.simulated.curve import NS_PER_MS, Curve, formula, from_file, table
from backends.simulated.jitter import Jitter
from backends.simulated.options import Options
from backends.simulated.shared import SharedTimeline
from backends.simulated.timeline import Tail, Timeline, Times
from sut.base.errors import ConfigError, EngineError
from sut.base.process import precise_timers
from sut.base.steps import say_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Arrays, EngineSpec, OptionValue

WHERE = "simulated backend"
OPENING_STEPS = 3
NS_PER_S = 1e9
NS_PER_US = 1e3


class SimulatedEngine:
    """A `backends.base.AsyncEngine`. Answers are zeros: [len(rows), 1] float32, read-only."""

    def __init__(self, spec: EngineSpec, options: Options, curve: Curve) -> None:
        self.inputs = spec.inputs
        self.outputs: tuple[TensorSpec, ...] = (
            TensorSpec(spec.output_name or "zeros", (1,), "float32"),
        )
        self.max_batch_size = spec.max_batch_size
        self.slots = options.slots
        facts: dict[str, OptionValue] = {
            "backend": "simulated",
            "version": "1",
            "provider": "none",
            "precision": "simulated",
            "simulated": True,
            "synthetic_results": True,
            "curve": curve.provenance,
            "slow": options.slow,
        }
        if options.power_w is not None:
            facts |= {"idle_w": options.idle_w, "power_w": options.power_w}
        self.facts: Mapping[str, OptionValue] = facts
        self._where = f"{WHERE}, device {spec.device}"
        self._device = spec.device
        self._options = options
        cap = spec.max_batch_size
        graphs = options.graph_sizes
        self.sizes = () if graphs == "" else read_sizes(graphs, cap, WHERE)
        taken = (fitting(self.sizes, size) for size in range(1, cap + 1))
        self._service_ns = [0.0, *(curve.service_ns(size) * options.slow for size in taken)]
        self._tail = _tail(self._service_ns, options, curve)
        self._zeros = np.zeros((spec.max_batch_size, 1), np.float32)
        self._zeros.flags.writeable = False
        self._in_flight: list[tuple[int, Times] | None] = [None] * options.slots
        self._bound = 0
        self._closed = threading.Event()
        self._restart()

    def bind(self, samples: Arrays) -> None:
        """See `Engine.bind`. Keeps only the number of samples; the device starts again."""
        if self._closed.is_set():
            raise EngineError(f"{self._where}: the engine is closed. Open a new one.")
        self._bound = len(check_samples(samples, self.inputs, self._where)[0])
        self._restart()

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        """See `Engine.infer`; raises RuntimeError as `launch` and `wait` do."""
        self.launch(0, rows)
        return self.wait(0)[0]

    def launch(self, slot: int, rows: Sequence[int]) -> None:
        """See `AsyncEngine.launch`.

        Raises:
            EngineError: as every engine.
            RuntimeError: the device has failed; see `Options.fail_at_s`.
        """
        if not self._bound:
            closed = self._closed.is_set()
            state = "closed. Open a new one" if closed else "without samples. Call bind first"
            raise EngineError(f"{self._where}: the engine is {state}.")
        check_rows(rows, self._bound, self.max_batch_size, self._where)
        self._launch(slot, len(rows))

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        """See `Engine.infer_arrays`; raises RuntimeError as `launch` and `wait` do."""
        self.launch_arrays(0, arrays)
        return self.wait(0)[0]

    def launch_arrays(self, slot: int, arrays: Arrays) -> None:
        """See `AsyncEngine.launch_arrays`; raises as `launch`."""
        if self._closed.is_set():
            raise EngineError(f"{self._where}: the engine is closed. Open a new one.")
        fitting = check_arrays(arrays, self.inputs, self.max_batch_size, self._where)
        self._launch(slot, len(fitting[0]))

    def _launch(self, slot: int, count: int) -> None:
        if not 0 <= slot < self.slots or self._in_flight[slot] is not None:
            raise EngineError(
                f"{self._where}: slot {slot} is not free; slots are 0 to {self.slots - 1}, and "
                "each holds one batch until it was waited for."
            )
        now_ns = time.monotonic_ns()
        if not self._started:
            self._start(now_ns)
        if now_ns >= self._fail_ns:
            raise self._failure()
        self._in_flight[slot] = count, self._timeline.submit(now_ns, count)

    def wait(self, slot: int) -> tuple[tuple[Array, ...], tuple[int, int]]:
        """See `AsyncEngine.wait`. Sleeps without the interpreter lock.

        Raises:
            EngineError: as every engine, or the engine was closed while the device hung.
            RuntimeError: the device has failed; see `Options.fail_at_s`.
        """
        flight = self._in_flight[slot] if 0 <= slot < self.slots else None
        if flight is None:
            raise EngineError(f"{self._where}: nothing was launched in slot {slot}. Launch first.")
        count, times = flight
        if times.done_ns >= self._hang_ns and self._hang_ns <= self._fail_ns:
            self._closed.wait()
            raise EngineError(f"{self._where}: the engine was closed while its device hung.")
        if times.done_ns >= self._fail_ns:
            sleep_until(int(self._fail_ns), 0)
            self._in_flight[slot] = None
            raise self._failure()
        sleep_until(times.done_ns, int(self._options.spin_us * NS_PER_US))
        self._in_flight[slot] = None
        return (self._zeros[:count],), (times.started_ns, times.finished_ns)

    def close(self) -> None:
        """See `Engine.close`. Also wakes every thread that waits for a hanging device."""
        self._bound = 0
        if not self._closed.is_set():
            self._closed.set()
            time.sleep(self._options.close_s)

    def _restart(self) -> None:
        """Begin the device's time again: its timeline, its jitter and its failures."""
        own = _timeline(self._service_ns, self._options, self._device, self._tail)
        shared = self._options.shared
        self._timeline: Timeline | SharedTimeline = SharedTimeline(own, shared) if shared else own
        self._fail_ns = self._hang_ns = math.inf
        self._started = False

    def _start(self, now_ns: int) -> None:
        """Start the time after which the device fails or hangs."""
        self._started = True
        if self._options.fail_at_s is not None:
            self._fail_ns = now_ns + self._options.fail_at_s * NS_PER_S
        if self._options.hang_at_s is not None:
            self._hang_ns = now_ns + self._options.hang_at_s * NS_PER_S

    def _failure(self) -> RuntimeError:
        after_s = self._options.fail_at_s
        return RuntimeError(f"{self._where}: asked to fail {after_s:g} s after the first batch")


def open_engine(spec: EngineSpec) -> SimulatedEngine:
    """Open a simulated device; ignores `model_path`.

    Raises:
        ConfigError: an option that does not exist or does not fit, or no curve or two.
    """
    options, curve = described(spec)
    for k in range(1, OPENING_STEPS + 1) if options.open_s else ():
        say_step(f"preparing {k} of {OPENING_STEPS}")
        time.sleep(options.open_s / OPENING_STEPS)
    return SimulatedEngine(spec, options, curve)


def described(spec: EngineSpec) -> tuple[Options, Curve]:
    """Return what the options say of the device, and its S(b) before `Options.slow`.

    Raises:
        ConfigError: as `open_engine`.
    """
    options = options_of(spec.options, spec.device)
    return options, _curve(options)


_thread = threading.local()


def sleep_until(when_ns: int, spin_ns: int) -> None:
    """Sleep until `when_ns` of time.monotonic_ns, the last `spin_ns` of it awake."""
    if not getattr(_thread, "is_precise", False):
        _thread.is_precise = True
        precise_timers()
    while (left_ns := when_ns - time.monotonic_ns()) > 0:
        # A sleep of 0 releases the interpreter lock for other threads, and returns at once.
        time.sleep(max(left_ns - spin_ns, 0) / NS_PER_S)


def options_of(options: Mapping[str, OptionValue], device: str) -> Options:
    """Return the options of this device, checked, as are those of other devices; opens nothing.

    Raises:
        ConfigError: one does not exist, or does not fit its type.
    """
    common: dict[str, OptionValue] = {}
    own: dict[str, dict[str, OptionValue]] = {device: {}}
    for key, value in options.items():
        name, at, other = key.partition("@")
        if at:
            own.setdefault(other, {})[name] = value
        else:
            common[name] = value
    read = {
        name: read_options({**common, **one}, Options, f"{WHERE}, device {name}")
        for name, one in own.items()
    }
    return read[device]


def _curve(options: Options) -> Curve:
    has_formula = options.base_ms is not None or options.per_sample_ms is not None
    given = [options.curve is not None, options.table is not None, has_formula]
    if sum(given) != 1:
        raise ConfigError(
            f"{WHERE}: {sum(given)} curves are given; expected one of the options curve (such as "
            "resnet50-t4), table (such as 1:0.5,26:4.94), or base_ms and per_sample_ms."
        )
    if options.curve is not None:
        return from_file(options.curve, options.curve_where)
    if options.table is not None:
        return table(options.table)
    return formula(options.base_ms or 0.0, options.per_sample_ms or 0.0)


def _tail(service_ns: list[float], options: Options, curve: Curve) -> Tail | None:
    """Return the longer batches, and make the others in `service_ns` shorter by as much."""
    every = options.tail_every
    if every is None:
        return None
    if not curve.tail_ms:
        raise ConfigError(
            f"{WHERE}: tail_every needs a curve whose file has the column p99_latency_ms, such as "
            "tft-fp16."
        )
    tail_ns = [0.0, *(curve.tail_ns(size) * options.slow for size in range(1, len(service_ns)))]
    for size in range(1, len(service_ns)):
        service_ns[size] = (every * service_ns[size] - tail_ns[size]) / (every - 1)
    if min(service_ns[1:]) <= 0:
        raise ConfigError(f"{WHERE}: tail_every is {every}; the curve's tail is too long for it.")
    return Tail(every, tail_ns)


def _timeline(
    service_ns: Sequence[float], options: Options, device: str, tail: Tail | None
) -> Timeline:
    jitter = Jitter(
        options.jitter, options.jitter_spread, options.outlier_share, options.outlier_factor
    )
    factors = jitter.factors(options.seed, *device.encode()) if jitter.acts else None
    copy_in_ns = options.copy_in_ms_per_sample * NS_PER_MS
    copy_out_ns = options.copy_out_ms_per_sample * NS_PER_MS
    turnaround_ns = options.turnaround_us * NS_PER_US
    return Timeline(service_ns, factors, copy_in_ns, copy_out_ns, tail, turnaround_ns)
