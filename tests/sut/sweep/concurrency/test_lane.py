"""One engine kept busy: what is launched when, on engines written by hand."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from backends.base import EngineSpec, TensorSpec, open_engine
from sut.sweep.concurrency.lane import Lane
from tests.backends.host_engine import SHAPE, open_on_host, spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backends.base import Array, Arrays, Engine, OptionValue

INPUT = TensorSpec("image", (2,), "float32")
MS = 1_000_000


def opened(backend: str = "simulated", **options: float) -> Engine:
    spec = EngineSpec(backend, None, (INPUT,), None, 4, "0", options)
    engine = open_engine(spec)
    engine.bind({"image": np.zeros((8, 2), np.float32)})
    return engine


def test_the_next_batch_is_on_the_device_before_anybody_waits_for_this_one() -> None:
    engine = opened(base_ms=2.0)

    times = Lane(engine, 8, 2, 2).run(after_ms(20), threading.Event())

    free, launch, launched, wait, started, finished, done = times.T
    assert (launched[1:] <= wait[:-1]).all()
    assert (started[1:] >= finished[:-1]).all()
    assert (free[2:] == done[:-2]).all()
    for before, after in ((free, launch), (launch, launched), (finished, done), (wait, done)):
        assert (before <= after).all()


def test_a_lane_ends_when_it_is_told_to_and_leaves_nothing_in_flight() -> None:
    engine, stop = opened(base_ms=1.0), threading.Event()
    stop.set()

    times = Lane(engine, 8, 2, 3).run(2**62, stop)

    assert len(times) == 3
    engine.infer([0])  # every slot is free


def test_a_blocking_engine_has_one_batch_and_no_times_of_the_device() -> None:
    clock = count(0, MS).__next__

    lane = Lane(Blocking(), 8, 4, 2, clock)
    times = lane.run(10 * MS, threading.Event())

    assert lane.inflight == 1
    assert (times[:, 4:6] == 0).all()
    assert times[:, 6].tolist() == [2 * MS, 4 * MS, 6 * MS, 8 * MS, 10 * MS]


def test_batches_take_the_samples_in_turn() -> None:
    engine = Blocking()

    Lane(engine, 8, 3, 1, count(0, MS).__next__).run(8 * MS, threading.Event())

    assert engine.ran == [[0, 1, 2], [3, 4, 5], [0, 1, 2], [3, 4, 5]]


def test_the_cuda_worker_is_kept_busy_by_several_lanes_with_times_of_its_device() -> None:
    engines = [open_on_host(spec_of(slots=2)) for _ in range(2)]
    until_ns, stop = after_ms(30), threading.Event()
    found: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = {}

    def run(number: int) -> None:
        found[number] = Lane(engines[number], 8, 3, 2).run(until_ns, stop)

    for engine in engines:
        engine.bind({"x": np.ones((8, *SHAPE), np.float32)})
    threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.close()

    for times in found.values():
        _, launch, _, _, started, finished, done = times.T
        assert len(times) >= 2
        assert (started >= launch).all()
        assert (finished <= done).all()


class Blocking:
    """An engine that answers at once."""

    def __init__(self) -> None:
        self.inputs: tuple[TensorSpec, ...] = (INPUT,)
        self.outputs: tuple[TensorSpec, ...] = ()
        self.max_batch_size = 4
        self.sizes: tuple[int, ...] = ()
        self.facts: Mapping[str, OptionValue] = {}
        self.ran: list[list[int]] = []

    def bind(self, samples: Arrays) -> None:
        """Take anything."""

    def infer(self, rows: Sequence[int]) -> tuple[Array, ...]:
        self.ran.append(list(rows))
        return ()

    def infer_arrays(self, arrays: Arrays) -> tuple[Array, ...]:
        return ()

    def close(self) -> None:
        """Do nothing."""


def after_ms(ms: float) -> int:
    """Return the time so many ms from now."""
    return time.monotonic_ns() + int(ms * MS)
