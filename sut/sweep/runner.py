"""Measures one point with the real program: a process of its own, watched from here.

The point's process sends and records. This one reads its trace meanwhile, says when the measurement
is enough, and makes the row. Knows processes and folders; chooses no point.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from scenarios.base import Expected
from sut.base.errors import SutError, WorkerError
from sut.base.signals import Stopped
from sut.load.loads import CLOSED
from sut.record.client_parts import client_parts
from sut.record.run_folder import BATCHES_FILE, LOG_FILE, SCHEDULE_FILE, TRACE_FILE
from sut.record.table import Row, place
from sut.record.trace import Window
from sut.record.trace_reader import TraceReader
from sut.run.live import LiveLine, Progress, WaitingLine
from sut.run.point import PointRequest
from sut.run.supervisor import Supervisor
from sut.serve.losses import Loss
from sut.sweep.figures import Sent, figures, latencies_ns
from sut.sweep.marks import lost, marks
from sut.sweep.watch import Watch, judged
from sut.telemetry.neighbours import Neighbours, disturbance
from sut.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sut.config.settings import Lent
    from sut.record.device_telemetry import DeviceTelemetry
    from sut.run.live import Screen
    from sut.serve.workers.keeper import Keeper
    from sut.sweep.steady import Rule
    from sut.sweep.task import Task

    Facts = Mapping[str, object]

MODULE = "sut.run.point"
POINTS = "points"
_LOOK_S = 0.05
# Warm-up runs a few batches of a few sizes. (To open an engine may take much longer.)
WARM_UP_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one point.

    Attributes:
        row: of the table.
        facts: of the first engine, and of its device; empty if none opened.
        seconds: from start to end, with opening and warm-up.
        code: exit code of the error that is the row's problem; 0 without one.
    """

    row: Row
    facts: dict[str, str]
    seconds: float
    code: int = 0


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a point's process left.

    Attributes:
        sent: what its load did.
        facts: of each engine.
        window: in which the rule was met; None: it was not.
        stopped_ns: when it was told to stop, or ended by itself.
        counts: see sut.serve.workers.executor.Executor.counts.
        losses: workers that it went on without.
        cores: see sut.base.threads.ThreadClock.
        others: what other processes did meanwhile, or an empty text.
    """

    sent: Sent
    facts: Sequence[Facts]
    window: Window | None
    stopped_ns: int
    counts: Mapping[str, float]
    losses: Sequence[Loss]
    cores: Mapping[str, float]
    others: str


@dataclass(frozen=True, slots=True)
class Runner:
    """Measures points, one after the other, each in a folder of its own.

    Attributes:
        folder: of the sweep.
        keeper: keeps the worker processes for the next point.
        rule: when a point is measured well enough.
        screen: where the live line goes; None: nowhere.
        warm_up_s: an engine that is not warm after so long hangs.
        drain_s: after the last request, how long to wait for answers.
        tolerate_loss: measure on with the workers that are left.
    """

    folder: Path
    keeper: Keeper
    rule: Rule
    screen: Screen | None
    warm_up_s: float = WARM_UP_LIMIT_S
    drain_s: float = 5.0
    tolerate_loss: bool = False

    def measure(self, task: Task) -> Measured:
        """Measure a point. One that fails is a row with a problem.

        Raises:
            Stopped: a signal came; this point is lost.
        """
        start_s = time.monotonic()
        out = new_folder(self.folder)
        name, code = out.relative_to(self.folder).as_posix(), 0
        try:
            row, facts = self._measured(task, out)
        except SutError as error:
            problem = f"{str(error).removesuffix('.')}. Its output: {name}/{LOG_FILE}."
            row, facts, code = Row(point=dict(task.point), problem=problem), {}, error.exit_code
        row = msgspec.structs.replace(row, folder=name)
        return Measured(row, facts, time.monotonic() - start_s, code)

    def latencies_ns(self, task: Task) -> list[int]:
        """Send a load that ends by itself; return the latency of each request, -1 without one.

        Raises:
            SutError: the point failed.
            Stopped: a signal came.
        """
        out = new_folder(self.folder)
        ran = self._run(task, out, Recorder(task.harness.backend, (), out))
        found: list[int] = latencies_ns(ran.sent).tolist()
        return found

    def _measured(self, task: Task, out: Path) -> tuple[Row, dict[str, str]]:
        recorder = Recorder(task.harness.backend, task.harness.local_devices, out)
        ran = self._run(task, out, recorder)
        row = self._row(task, ran, recorder)
        simulated = any(bool(engine["simulated"]) for engine in ran.facts)
        return msgspec.structs.replace(row, simulated=simulated), _plain(ran.facts[0])

    def _run(self, task: Task, out: Path, recorder: Recorder) -> _Ran:
        """Let the load of a point run to its end."""
        workers = task.harness.process_workers()
        neighbours = Neighbours(own_s=self.keeper.busy_s)
        with (
            recorder,
            (out / LOG_FILE).open("ab") as log,
            self.keeper.lend(workers, log) as lent,
            Supervisor(self._request(task, out, lent), MODULE) as process,
        ):
            recorder.follow([process.pid, *(worker.pid for worker in lent)])
            facts = self._open(process, task, recorder)
            window, stopped_ns = self._send(process, task, out)
            done = process.event("done")
        sent = _sent(task, out, time.monotonic_ns())
        sent.trace.save(out / BATCHES_FILE)
        (out / TRACE_FILE).unlink()
        others = disturbance(neighbours.cores())
        counts = msgspec.convert(done["counts"], dict[str, float])
        losses = msgspec.convert(done["losses"], list[Loss])
        cores = msgspec.convert(done["cores"], dict[str, float])
        return _Ran(sent, facts, window, stopped_ns, counts, losses, cores, others)

    def _open(self, process: Supervisor, task: Task, recorder: Recorder) -> Sequence[Facts]:
        """Wait until the engines are warm; return their facts."""
        line = self._line(f"{place(task.point)}: opening")
        _wait(process, "engines", line)
        facts: list[Facts] = process.event("engines")["facts"]  # type: ignore[assignment]  # JSON
        recorder.engines(facts, [device for _, device in task.harness.worker_devices()])
        _wait(process, "start", _within(line, self.warm_up_s))
        return facts

    def _send(self, process: Supervisor, task: Task, out: Path) -> tuple[Window | None, int]:
        """Let the load run until the rule is met; return its window then, and when it stopped."""
        is_open = task.load.kind not in CLOSED
        watch = Watch(
            TraceReader(out / TRACE_FILE),
            self.rule,
            task.load.request_batch,
            by_latency=is_open,
        )
        live = self._live(place(task.point), out)
        stopped_ns: list[int] = []

        def look() -> None:
            live()
            if not stopped_ns and watch.is_over():
                stopped_ns.append(time.monotonic_ns())
                process.send("stop")

        _wait(process, "done", look)
        return watch.window, stopped_ns[0] if stopped_ns else time.monotonic_ns()

    def _request(self, task: Task, out: Path, lent: Sequence[Lent]) -> PointRequest:
        return PointRequest(
            out_dir=str(out.absolute()),
            workload=task.workload,
            harness=task.harness,
            load=task.load,
            drain_s=self.drain_s,
            lent=tuple(lent),
            tolerate_loss=self.tolerate_loss,
        )

    def _line(self, label: str) -> Callable[[], None]:
        return _nothing if self.screen is None else WaitingLine(label, self.screen)

    def _live(self, label: str, out: Path) -> Callable[[], None]:
        if self.screen is None:
            return _nothing
        progress = Progress(TraceReader(out / TRACE_FILE))
        return LiveLine(label, progress, Expected(), self.screen)

    def _row(self, task: Task, ran: _Ran, recorder: Recorder) -> Row:
        """Return the row of a window, or without one of all that was sent up to a time."""
        sent, is_open = ran.sent, task.load.kind not in CLOSED
        start_ns, until_ns = None, ran.stopped_ns
        if ran.window is not None:
            start_ns, until_ns = ran.window.start_ns, ran.window.end_ns
        steady = judged(sent.trace, start_ns, until_ns, by_latency=is_open)
        if steady is None:
            window = _whole(sent, until_ns)
        else:
            window = Window(steady.start_ns, until_ns if is_open else steady.end_ns)
        found = {} if window is None else figures(sent, window)
        seen = recorder.finish(window, int(found.get("samples", 0)))
        if not found:
            return Row(point=dict(task.point), problem="no request was answered in time")
        if steady is not None:
            found["spread"] = steady.spread
        if bad := ran.counts.get("not_finite"):
            found["not_finite"] = bad
        if ran.losses:
            found["lost_workers"] = float(len(ran.losses))
        if (parts := client_parts(ran.counts)) is not None:
            found |= {f"client_{name}_ns": ns for name, ns in parts.parts()}
        return Row(
            point=dict(task.point),
            figures={**found, **ran.cores, **_devices(seen.telemetry)},
            windows=() if steady is None else steady.rates,
            marks=(
                *(lost(loss, sent.scheduled_ns[0]) for loss in ran.losses),
                *marks(found, steady, self.rule, ran.others),
                *seen.findings,
            ),
        )


def _sent(task: Task, out: Path, seen_ns: int) -> Sent:
    """Read what the point's process left."""
    is_open = task.load.kind not in CLOSED
    return Sent(
        trace=TraceReader(out / TRACE_FILE).read(),
        scheduled_ns=np.load(out / SCHEDULE_FILE),
        request_batch=task.load.request_batch,
        concurrency=None if is_open else task.load.concurrency,
        seen_ns=seen_ns,
    )


def _whole(sent: Sent, stopped_ns: int) -> Window | None:
    """Return the window of a point with few batches: from its first answer, or its first request.

    A closed loop's first answer only starts the clock, as long as there is another.
    """
    ended = np.sort(sent.trace.batches["completed_ns"])
    ended = ended[ended <= stopped_ns]
    if sent.concurrency is None:
        return Window(int(sent.scheduled_ns[0]) - 1, stopped_ns) if len(ended) else None
    return Window(int(ended[0]), int(ended[-1])) if len(ended) > 1 else None


def _wait(process: Supervisor, event: str, each: Callable[[], None]) -> None:
    """Wait for an event.

    Raises:
        Stopped: a signal came.
    """

    def look() -> None:
        each()

    opens = event == "engines"
    if not (process.wait_to_open(event, look) if opens else process.wait_for(event, look, _LOOK_S)):
        assert process.interrupted is not None, "nothing else ends a point early"
        raise Stopped(process.interrupted)


def _within(each: Callable[[], None], limit_s: float) -> Callable[[], None]:
    """Return `each`, which raises WorkerError when it is called after so many s."""
    end_s = time.monotonic() + limit_s

    def look() -> None:
        each()
        if time.monotonic() > end_s:
            raise WorkerError(f"warm-up is not over after {limit_s:g} s: the engine hangs")

    return look


def _devices(telemetry: DeviceTelemetry | None) -> dict[str, float]:
    if telemetry is None:
        return {}
    found = {
        "power_w": telemetry.average_power_w,
        "energy_j_per_sample": telemetry.energy_per_sample_j,
        "energy_above_idle_j_per_sample": telemetry.energy_per_sample_above_idle_j,
        "memory_bytes": telemetry.most("memory_used_bytes"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _plain(facts: Facts) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items()}


def new_folder(folder: Path) -> Path:
    """Make the folder of the next point; return it."""
    points = folder / POINTS
    points.mkdir(exist_ok=True)
    numbers = [int(path.name) for path in points.iterdir() if path.name.isdecimal()]
    out = points / f"{max(numbers, default=0) + 1:03}"
    out.mkdir()
    return out


def _nothing() -> None:
    """Show nothing."""
