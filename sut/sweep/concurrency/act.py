"""What each process of a point does: warm up, wait at the barrier, keep its engines busy.

An act of sut.sweep.tries.attempt. It leaves the times of its batches in its folder.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from backends.base import MemoryEngine, open_engine
from sut.base.errors import EngineError
from sut.base.process import collector_off
from sut.base.resident import resident
from sut.base.scheduling import scheduled
from sut.serve.samples import SampleReader, SampleSource
from sut.sweep.concurrency.lane import Lane

if TYPE_CHECKING:
    from backends.base import Engine
    from sut.sweep.tries.attempt import Attempt

MODULE = "sut.sweep.concurrency.act"
TIMES_FILE = "times.npz"
NS_PER_S = 1e9
# Samples that each engine has; batches take them in turn.
_MOST_SAMPLES = 64
_STEADY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process is asked for; see sut.sweep.concurrency.grid.

    Attributes:
        batch: samples.
        engines: in this process, each with a thread of its own.
        inflight: batches on the device at once, of each engine.
        needs_slots: an engine that takes fewer is refused.
        warm_s: for each engine, before the barrier, at most.
        ramp_s: from the barrier to the window, and after the window.
        window_s: that is measured.
    """

    batch: int
    engines: int
    inflight: int
    needs_slots: bool
    warm_s: float
    ramp_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process says of itself.

    Attributes:
        window_ns: (start, end) of the window, the same for all processes of a point.
        inflight: batches on the device at once, of each engine.
        scheduled: see sut.base.scheduling.Scheduled, within the window.
        mapped_bytes: of files, which processes share.
        private_bytes: the peak of what no other process shares.
    """

    window_ns: tuple[int, int]
    inflight: int
    scheduled: dict[str, int | None]
    mapped_bytes: int
    private_bytes: int


def act(attempt: Attempt) -> dict[str, object]:
    """Run the process's part of a point; return an Answer."""
    asked = msgspec.convert(attempt.request.arguments, Asked)
    others = [open_engine(attempt.spec) for _ in range(asked.engines - 1)]
    engines = [attempt.engine, *others]
    reader = SampleReader()
    lanes = [_lane(attempt, engine, asked, reader) for engine in engines]
    if asked.needs_slots and lanes[0].inflight < asked.inflight:
        raise EngineError(
            f"backend {attempt.request.backend} takes {lanes[0].inflight} batches at once, not "
            f"{asked.inflight}: it has no streams to share. Use processes or threads."
        )
    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(lambda lane: _warm_up(lane, asked.warm_s, attempt.stopping), lanes))
        collector_off()
        start_ns = attempt.at_barrier() + int(asked.ramp_s * NS_PER_S)
        end_ns = start_ns + int(asked.window_s * NS_PER_S)
        until_ns = end_ns + int(asked.ramp_s * NS_PER_S)
        running = [pool.submit(lane.run, until_ns, attempt.stopping) for lane in lanes]
        # This thread looks at the scheduler's counts, so that no lane has to.
        _sleep_until(start_ns, attempt.stopping)
        before = scheduled()
        _sleep_until(end_ns, attempt.stopping)
        counts = scheduled().since(before)
        times = [one.result() for one in running]
    np.savez(Path(attempt.request.out_dir) / TIMES_FILE, *times)
    memory = resident()
    assert memory is not None, "this process lives"
    for engine in others:
        engine.close()
    answer = Answer(
        (start_ns, end_ns), lanes[0].inflight, asdict(counts), memory.mapped, memory.private_peak
    )
    return asdict(answer)


def _lane(attempt: Attempt, engine: Engine, asked: Asked, reader: SampleReader) -> Lane:
    """Bind samples to an engine; return its lane."""
    workload = attempt.request.workload
    assert workload.samples is not None, "samples are prepared before a point is measured"
    count = min(workload.samples.count, max(_MOST_SAMPLES, asked.batch))
    memory = engine.memory if isinstance(engine, MemoryEngine) else None
    samples = reader.read(SampleSource.of(workload, range(count)), memory)
    engine.bind(samples.arrays)
    return Lane(engine, count, asked.batch, asked.inflight)


def _warm_up(lane: Lane, limit_s: float, stopping: threading.Event) -> None:
    """Run until two windows of a fourth of the limit take the same time a batch, or until then."""
    before, part_ns = 0.0, int(limit_s / 4 * NS_PER_S)
    for _ in range(4):
        times = lane.run(time.monotonic_ns() + part_ns, stopping)
        each = float(times[-1, -1] - times[0, 0]) / len(times)
        if abs(each - before) <= _STEADY_SHARE * each:
            return
        before = each


def _sleep_until(when_ns: int, stopping: threading.Event) -> None:
    stopping.wait(max(0.0, (when_ns - time.monotonic_ns()) / NS_PER_S))
