"""Timing of batches: the device's time, not the host's around a launch, and no first ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.base import TensorSpec
from sut.sweep.devices.timing import RULE, median, time_batches
from sut.sweep.steady import Rule
from tests.backends.host_engine import SHAPE, open_on_host, spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Arrays, OptionValue

US, MS, S = 1_000, 1_000_000, 1_000_000_000


@dataclass
class Machine:
    """A clock that only work moves."""

    now_ns: int = S

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class FakeGpu:
    """An asynchronous device: a launch returns at once, and the work is done later.

    Attributes:
        clock: of the host.
        compute_ns: of a batch, once the device is warm.
        slots: batches in flight.
        cold_ns: what the first launch takes on the host: a driver starts and loads its kernels.
        warm_up: batches that take five times as long.
        noise: standard deviation of a batch's time, as a share.
    """

    clock: Machine
    compute_ns: int = 4 * MS
    slots: int = 1
    cold_ns: int = 2 * S
    warm_up: int = 20
    noise: float = 0.01
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    max_batch_size: int = 8
    sizes: tuple[int, ...] = ()
    facts: Mapping[str, OptionValue] = field(default_factory=dict)
    launched: int = 0
    free_ns: int = 0
    flying: dict[int, tuple[int, int]] = field(default_factory=dict)
    rows_seen: set[int] = field(default_factory=set)

    def launch(self, slot: int, rows: Sequence[int]) -> None:
        assert slot not in self.flying
        self.rows_seen.update(rows)
        self.clock.now_ns += self.cold_ns if self.launched == 0 else 20 * US
        random = np.random.default_rng(self.launched)
        factor = (5 if self.launched < self.warm_up else 1) * (1 + self.noise * random.normal())
        started_ns = max(self.clock.now_ns, self.free_ns)
        self.free_ns = started_ns + int(self.compute_ns * factor)
        self.flying[slot] = (started_ns, self.free_ns)
        self.launched += 1

    def wait(self, slot: int) -> tuple[tuple[Array, ...], tuple[int, int]]:
        times = self.flying.pop(slot)
        # The host is woken 300 us late: its own clock is not the device's.
        self.clock.now_ns = max(self.clock.now_ns, times[1] + 300 * US)
        return (), times

    def bind(self, samples: Arrays) -> None:
        raise NotImplementedError

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        raise NotImplementedError

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        raise NotImplementedError

    def launch_arrays(self, slot: int, arrays: Arrays) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@dataclass
class FakeCpu:
    """An engine that returns with the answers."""

    clock: Machine
    took_ns: Sequence[int]
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    max_batch_size: int = 8
    sizes: tuple[int, ...] = ()
    facts: Mapping[str, OptionValue] = field(default_factory=dict)
    calls: int = 0

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        assert rows
        self.clock.now_ns += self.took_ns[min(self.calls, len(self.took_ns) - 1)]
        self.calls += 1
        return ()

    def bind(self, samples: Arrays) -> None:
        raise NotImplementedError

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def naive_ns(gpu: FakeGpu, repeats: int) -> float:
    """Return the mean time of a forward pass as one reads the clock before and after it."""
    start_ns = gpu.clock()
    for _ in range(repeats):
        gpu.launch(gpu.launched, [0])
    return (gpu.clock() - start_ns) / repeats


def test_a_clock_around_the_launch_errs_tenfold_and_ours_does_not() -> None:
    gpu = FakeGpu(Machine())
    first = naive_ns(gpu, 1)
    later = naive_ns(gpu, 10)

    found = time_batches(FakeGpu(clock := Machine()), 8, 1, RULE, clock)

    assert first > 10 * gpu.compute_ns  # what the driver takes to start
    assert later < gpu.compute_ns / 10  # what it takes to ask
    assert found.compute.value == pytest.approx(gpu.compute_ns, rel=0.01)
    assert 0 < found.compute.high - found.compute.low < 0.02 * gpu.compute_ns
    assert found.enqueue_ns == pytest.approx(later)


def test_the_interval_holds_the_true_median_about_nineteen_times_of_twenty() -> None:
    inside = 0
    for seed in range(100):
        values = np.random.default_rng(seed).normal(1_000.0, 100.0, 400)
        found = median([int(value) for value in values])
        inside += found.low <= 1_000 <= found.high

    assert 88 <= inside <= 99


def test_slow_batches_of_the_warm_up_are_dropped() -> None:
    gpu = FakeGpu(clock := Machine(), compute_ns=MS, warm_up=60)
    found = time_batches(gpu, 8, 1, RULE, clock)

    assert found.dropped >= 60
    assert found.compute.value == pytest.approx(MS, rel=0.01)


def test_latency_has_the_way_to_the_host_and_compute_has_not() -> None:
    found = time_batches(FakeGpu(clock := Machine(), noise=0.0), 8, 1, RULE, clock)

    assert found.compute.value == 4 * MS
    assert found.latency.value == 4 * MS + 320 * US


def test_throughput_is_that_of_full_slots() -> None:
    one = time_batches(FakeGpu(clock := Machine(), noise=0.0), 8, 4, RULE, clock)
    two = time_batches(FakeGpu(clock := Machine(), noise=0.0, slots=2), 8, 4, RULE, clock)

    assert one.samples_per_s == pytest.approx(4 / 4.32e-3, rel=0.01)
    assert two.samples_per_s == pytest.approx(4 / 4e-3, rel=0.01)
    assert two.samples == pytest.approx(two.samples_per_s * (two.end_ns - two.start_ns) / S)


def test_batches_take_all_samples_in_turn() -> None:
    gpu = FakeGpu(clock := Machine())
    time_batches(gpu, 5, 3, RULE, clock)

    assert gpu.rows_seen == set(range(5))


def test_an_engine_that_returns_with_the_answers_is_timed_by_the_host() -> None:
    found = time_batches(FakeCpu(clock := Machine(), [S, *[2 * MS] * 10]), 8, 2, RULE, clock)

    assert found.compute.value == found.latency.value == 2 * MS
    assert found.enqueue_ns == 0.0
    assert found.samples_per_s == pytest.approx(1_000)
    assert found.doubts == ()


def test_a_device_that_never_settles_is_doubtful() -> None:
    slower = [MS + k * 20 * US for k in range(3_000)]
    found = time_batches(FakeCpu(clock := Machine(), slower), 8, 1, RULE, clock)

    assert "changed by" in found.doubts[0]


def test_a_batch_that_takes_longer_than_the_limit_has_a_time_and_a_doubt() -> None:
    rule = Rule(limit_s=1.0, requests=0)
    found = time_batches(FakeCpu(clock := Machine(), [3 * S]), 8, 1, rule, clock)

    assert found.compute.value == 3 * S
    assert "too few batches" in found.doubts[0]


def test_the_real_worker_of_a_gpu_is_timed_by_the_stamps_of_its_device() -> None:
    """With the host as its device: slots, stamps and graphs are those of a GPU."""
    rule = Rule(requests=0, latency_spread=0.5, spread=0.5, least_s=0.02, limit_s=0.1)
    engine = open_on_host(spec_of(slots=2))
    engine.bind({"x": np.ones((10, *SHAPE), np.float32)})
    try:
        found = time_batches(engine, 10, 4, rule)
    finally:
        engine.close()

    assert 0 < found.compute.value < found.latency.value
    assert found.enqueue_ns > 0
    assert found.samples_per_s > 0
    assert found.end_ns > found.start_ns
