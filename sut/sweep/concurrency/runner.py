"""Measures one point: its processes start behind a barrier, and what becomes of them is a row.

A process that dies, hangs or runs out of memory costs its point one line. Knows processes and
folders; chooses no point.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from backends.device_memory import has_own_memory
from sut.base import environment
from sut.base.errors import SutError
from sut.base.scheduling import Scheduled
from sut.record.run_folder import LOG_FILE
from sut.record.table import Row
from sut.record.trace import Window
from sut.sweep.concurrency import mps
from sut.sweep.concurrency.act import TIMES_FILE, Answer
from sut.sweep.concurrency.devices import device_figures
from sut.sweep.concurrency.figures import Ran, figures, marks, quantiles, window_rates
from sut.sweep.concurrency.memory import Memory
from sut.sweep.concurrency.profiler import explanation, second_phase
from sut.sweep.runner import Measured, new_folder
from sut.sweep.tries.group import Times, TryGroup
from sut.sweep.tries.outcome import Kind, worst
from sut.telemetry.neighbours import Neighbours, disturbance
from sut.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sut.run.supervisor import Supervisor
    from sut.sweep.concurrency.grid import Crowd
    from sut.sweep.concurrency.profiler import Profiler
    from sut.sweep.tries.attempt import TryRequest
    from sut.sweep.tries.limit import Limit
    from sut.sweep.tries.outcome import Outcome
    from sut.sweep.tries.warm import WarmStart

SPANS_FILE, EXPLANATION_FILE = "spans.json", "explanation.txt"
_SIMULATED = "simulated"
# Beyond the phases of a point, its processes hang.
_GRACE_S = 20.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What the processes of a point left.

    Attributes:
        ran: their batches.
        answers: of each process.
        facts: of the first engine.
    """

    ran: Ran
    answers: Sequence[Answer]
    facts: dict[str, str]


@dataclass(slots=True)
class Runner:
    """Measures points, one after the other, each in a folder of its own.

    Attributes:
        folder: of the grid.
        limit: makes the limit of memory of a point.
        warm: starts the processes.
        open_s: engines that are not open and warm after so long hang.
        profiler: of the second phase; None: there is none.
        memory: what points took so far, and which ones cannot fit.
        is_gone: see TryGroup.
    """

    folder: Path
    limit: Callable[[], Limit]
    warm: WarmStart
    open_s: float = 300.0
    profiler: Profiler | None = None
    memory: Memory = field(default_factory=Memory)
    is_gone: Callable[[str], str | None] = lambda device: None

    def measure(self, crowd: Crowd) -> Measured:
        """Measure a point. One that fails is a row with a problem.

        Raises:
            Stopped: a signal came; this point is lost.
        """
        start_s = time.monotonic()
        refused = self.memory.refusal(crowd)
        if refused is not None:
            return Measured(Row(point=dict(crowd.point), problem=refused), {}, 0.0)
        out = new_folder(self.folder)
        name, code = out.relative_to(self.folder).as_posix(), 0
        try:
            row, facts = self._measured(crowd, out)
        except SutError as error:
            row, facts, code = _failed(crowd, str(error), name), {}, error.exit_code
        row = msgspec.structs.replace(row, folder=name)
        self.memory.learn(crowd, row)
        return Measured(row, facts, time.monotonic() - start_s, code)

    def _measured(self, crowd: Crowd, out: Path) -> tuple[Row, dict[str, str]]:
        neighbours = Neighbours(own_s=self.warm.busy_s)
        with Recorder(crowd.harness.backend, [crowd.device], out) as recorder:
            found = self._run(crowd, out, lambda group: recorder.follow(group.pids))
            values = figures(found.ran)
            window = Window(*found.ran.window_ns)
            seen = recorder.finish(window, round(values.get("samples", 0.0)))
        others = disturbance(neighbours.cores())
        if not values:
            text = "a process completed less than two batches in the window; raise --seconds"
            return Row(point=dict(crowd.point), problem=text), found.facts
        (out / SPANS_FILE).write_text(json.dumps(quantiles(found.ran)), "utf-8")
        values |= device_figures(found.ran, values["samples"], found.facts, seen.telemetry)
        on_host = not has_own_memory(crowd.harness.backend, crowd.device)
        if on_host and "memory_bytes" not in values:  # no simulated device told it
            values |= _resident(found.answers)
        values["inflight"] = float(found.answers[0].inflight)
        doubts = marks(values, crowd.workers, environment.cores())
        if (profiler := self.profiler) is not None:
            second, why_none = second_phase(
                values["samples_per_s"], lambda: self._profiled(crowd, out, profiler)
            )
            values |= second
            doubts += why_none
        row = Row(
            point=dict(crowd.point),
            figures=values,
            windows=tuple(map(float, window_rates(found.ran))),
            marks=(*doubts, *([f"{others}."] if others else []), *seen.findings),
            simulated=found.facts.get("simulated") == "True",
        )
        return row, found.facts

    def _profiled(self, crowd: Crowd, out: Path, profiler: Profiler) -> Ran:
        """Run the same once more under the profiler, and keep what it says."""
        folder = out / "profiled"
        folder.mkdir()
        found = self._run(crowd, folder, lambda group: None, profiler)
        if lines := explanation(folder / "process-0"):
            (out / EXPLANATION_FILE).write_text("\n".join(lines) + "\n", "utf-8")
        return found.ran

    def _run(
        self,
        crowd: Crowd,
        out: Path,
        follow: Callable[[TryGroup], None],
        profiler: Profiler | None = None,
    ) -> Answered:
        """Let the processes of a point run to their end.

        Raises:
            SutError: what became of them otherwise.
            Stopped: a signal came.
        """
        options: dict[str, str | int | float | bool] = {}
        if crowd.harness.backend == _SIMULATED:
            options["shared"] = str((out / "device").absolute())
        requests = crowd.requests(out, options)
        for request in requests:
            Path(request.out_dir).mkdir()
        times = Times(self.open_s, crowd.phases.running_s + _GRACE_S)
        with ExitStack() as stack:
            variables: Mapping[str, str] = {}
            if crowd.device.isdecimal() and crowd.harness.backend != _SIMULATED:
                with_mps = crowd.share == "mps"
                variables = stack.enter_context(mps.environment(with_mps=with_mps))
            limit = self.limit()
            stack.callback(limit.close)

            def launch(request: TryRequest, before: Sequence[str]) -> Supervisor:
                watched = [] if profiler is None else profiler.before(request.out_dir)
                return self.warm.launch(request, [*before, *watched], variables)

            group = stack.enter_context(TryGroup(requests, limit, times, self.is_gone, launch))
            follow(group)
            group.start()
            outcomes = group.outcomes()
        return answered(crowd, requests, outcomes)


def answered(crowd: Crowd, requests: Sequence[TryRequest], outcomes: Sequence[Outcome]) -> Answered:
    """Read what the processes left.

    Raises:
        SutError: one of them has no answer.
    """
    first = worst(list(outcomes))
    if first.kind is not Kind.OK:
        which = outcomes.index(first)
        many = f"process {which + 1} of {len(outcomes)}: " if len(outcomes) > 1 else ""
        raise SutError(f"{many}{first.kind}: {first.message}")
    answers = [msgspec.convert(outcome.figures, Answer) for outcome in outcomes]
    lanes = []
    for request in requests:
        path = Path(request.out_dir) / TIMES_FILE
        with np.load(path) as file:
            lanes += [file[name] for name in file.files]
        path.unlink()  # its distributions are kept
    counts = [Scheduled(**answer.scheduled) for answer in answers]
    first_answer = answers[0]
    ran = Ran(
        crowd.load.request_batch, first_answer.window_ns, lanes, counts, first_answer.inflight
    )
    return Answered(ran, answers, outcomes[0].facts)


def _failed(crowd: Crowd, text: str, name: str) -> Row:
    problem = f"{text.removesuffix('.')}. Its output: {name}/process-*/{LOG_FILE}."
    return Row(point=dict(crowd.point), problem=problem)


def _resident(answers: Sequence[Answer]) -> dict[str, float]:
    """Return what the processes have in RAM together; they share the files that are mapped."""
    shared = max(answer.mapped_bytes for answer in answers)
    private = sum(answer.private_bytes for answer in answers)
    return {"memory_bytes": float(shared + private), "shared_bytes": float(shared)}
