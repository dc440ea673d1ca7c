"""The process of one point of a sweep: opens the engines, sends a load of our own, and ends.

sut.run.supervisor starts it as `python -m sut.run.point REQUEST.json`; see sut.run.child. It only
sends and records. Whoever reads the trace decides how long it goes on, and says so with a line on
standard input. Knows no figure.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sut.base.errors import EXIT_FAILED, EXIT_SIGTERM
from sut.base.process import collector_off
from sut.base.steps import heard_by
from sut.base.threads import ThreadClock
from sut.config.settings import HarnessSettings, Lent, Limits  # msgspec reads the annotations
from sut.config.workload import Workload
from sut.load.loads import CLOSED, LoadSpec, load_of
from sut.record.run_folder import SCHEDULE_FILE, TRACE_FILE
from sut.record.trace import TraceWriter
from sut.run import child
from sut.serve.dispatcher import Failure, Outlets
from sut.serve.pool import open_system
from sut.serve.samples import SampleSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from sut.load.loads import Load
    from sut.run.child import Parent
    from sut.serve.losses import Loss
    from sut.serve.pool import Front, System
    from sut.serve.responses import Responses


@dataclass(frozen=True, slots=True)
class PointRequest:
    """What one point measures, as its process receives it.

    Attributes:
        out_dir: its folder; exists.
        workload: the model and its prepared samples.
        harness: how batches are made.
        load: what is sent.
        warm_up_s: seconds at most for each batch size.
        drain_s: after the stop, how long to wait for answers.
        limits: when a point that does not go on is ended.
        lent: kept worker processes, one a worker; empty: the process starts its own.
        tolerate_loss: go on without a worker that is lost.
    """

    out_dir: str
    workload: Workload
    harness: HarnessSettings
    load: LoadSpec
    warm_up_s: float = 0.5
    drain_s: float = 5.0
    limits: Limits = field(default_factory=Limits)
    lent: tuple[Lent, ...] = ()
    tolerate_loss: bool = False


class Point:
    """One point, from its request to the last answer."""

    def __init__(self, request: PointRequest, parent: Parent) -> None:
        self._request = request
        self._parent = parent
        self._failures: list[Failure] = []
        self._losses: list[Loss] = []
        self._ended = threading.Event()  # it is to stop, all is sent, or a batch failed

    def run(self) -> int:
        """Measure; return the exit code of the process."""
        request, parent = self._request, self._parent
        folder = Path(request.out_dir)
        load = self._load(TraceWriter(folder / TRACE_FILE))
        on_loss = self._go_on_without if request.tolerate_loss else None
        system = self._open(Outlets(_answered, load, self._fail, on_loss))
        parent.watch(self._hear)
        hang_s = self._warm_up(system)
        front = system.front()
        collector_off()
        clock = ThreadClock()
        parent.tell("start")

        def send() -> None:
            load.run(front)
            if request.load.kind not in CLOSED:
                self._ended.set()

        # Not on the main thread, which must look whether the engines go on.
        threading.Thread(target=send, name="load", daemon=True).start()
        while not self._ended.wait(child.LOOK_S):
            self._look(front, hang_s)
        load.stop()
        cores = clock.cores()
        if self._failures:
            return self._failed()
        answered = self._drain(load, front, hang_s)
        if self._failures:
            return self._failed()
        np.save(folder / SCHEDULE_FILE, load.scheduled_ns())
        counts = system.counts() if answered else {}
        parent.tell("done", answered=answered, counts=counts, losses=self._losses, cores=cores)
        if answered:
            system.close()
        return 0

    def _load(self, trace: TraceWriter) -> Load:
        workload = self._request.workload
        return load_of(self._request.load, self._samples(workload), trace)

    @staticmethod
    def _samples(workload: Workload) -> int:
        assert workload.samples is not None, "samples are prepared before they are sent"
        return min(workload.samples.count, workload.performance_sample_count)

    def _open(self, outlets: Outlets) -> System:
        request, parent = self._request, self._parent
        load = request.load
        waits = load.kind in CLOSED and load.concurrency == 1
        system = open_system(request, outlets, request.limits, request.lent, closed_loop=waits)
        with heard_by(lambda text: parent.tell("opening", step=text)):
            facts = system.open()
        parent.tell("engines", facts=facts)
        return system

    def _warm_up(self, system: System) -> float:
        """Load the samples and run some; return after how many s a batch hangs."""
        request = self._request
        samples = range(self._samples(request.workload))
        system.load(SampleSource.of(request.workload, samples))
        measured = system.warm_up(samples, request.load.request_batch, request.warm_up_s)
        self._parent.tell("warm", capacity=measured)
        return child.hang_limit_s(measured, request.harness, request.limits.hang_s)

    def _drain(self, load: Load, front: Front, hang_s: float) -> bool:
        """Wait for the answers that are missing; False: some did not come in time."""
        looks = max(1, round(self._request.drain_s / child.LOOK_S))
        for _ in range(looks):
            if load.wait(child.LOOK_S):
                return True
            self._look(front, hang_s)
            if self._failures:
                return False
        return False

    def _hear(self, line: bytes) -> None:
        """Stop: the parent has nothing else to say."""
        self._ended.set()

    def _look(self, front: Front, hang_s: float) -> None:
        if (text := child.hang(front, hang_s)) is not None:
            self._fail(Failure(text, ""))

    def _fail(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._ended.set()

    def _go_on_without(self, loss: Loss) -> None:
        child.log(loss.message)
        self._losses.append(loss)

    def _failed(self) -> int:
        first = self._failures[0]
        child.log(first.traceback)
        self._parent.tell("failed", message=first.message, text=first.traceback)
        return EXIT_FAILED


def _answered(ids: Sequence[int], responses: Responses | None) -> None:
    """Take answers: the load sees them in the record of their batch, which follows at once."""


def act(text: bytes, parent: Parent) -> int:
    """Measure the point of a request; return the exit code."""
    point = Point(msgspec.json.decode(text, type=PointRequest), parent)
    signal.signal(signal.SIGTERM, _end_now)
    return point.run()


def _end_now(signum: int, frame: FrameType | None) -> None:
    """Exit: the trace is already in its file."""
    os._exit(EXIT_SIGTERM)


if __name__ == "__main__":
    # Batches of a queue that grew may still be running.
    child.end(child.main(act))
