"""Measures points, each try in a process of its own, so that what one device does stops no other.

Knows processes and folders; judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from backends.base import PREPARES_SIZES
from sut.base.errors import SutError
from sut.record.run_folder import LOG_FILE
from sut.record.trace import Window
from sut.sweep.devices.act import MODULE, Answered, Errand
from sut.sweep.tries.attempt import TryRequest
from sut.sweep.tries.group import Times, TryGroup
from sut.sweep.tries.limit import MachineLimit
from sut.sweep.tries.outcome import Kind
from sut.telemetry.gpu_memory import is_gone
from sut.telemetry.neighbours import Neighbours
from sut.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from backends.base import OptionValue
    from sut.config.workload import Workload
    from sut.record.device_telemetry import DeviceTelemetry
    from sut.sweep.devices.plan import Point
    from sut.sweep.devices.starts import Starts
    from sut.sweep.steady import Rule

TRIES = "points"
# A GPU without weights to fetch and plans to build opens in a minute, one with them in ten.
_OPEN_S = 600.0
# Beside the timing: samples to read, answers to give, a second session for the layers.
_REST_S = 120.0
_LOADED_BATCHES = 4
_SLOTS = 2
# A device that did this once would cost ten minutes a row.
_LOST = frozenset({Kind.HUNG, Kind.VANISHED})


@dataclass(frozen=True, slots=True)
class Once:
    """What came of one try.

    Attributes:
        answered: None: it failed.
        problem: why; empty: it did not.
        lost: the device hung or vanished, and is asked for nothing more.
        facts: of the engine.
        telemetry: of the device meanwhile; None: nobody can ask it.
        findings: what makes it doubtful.
        others_cores: that other processes used meanwhile; None: not known.
        folder: of the try, relative to the comparison's.
        rows: indices of the samples that were answered, in the order of the records.
    """

    answered: Answered | None
    problem: str = ""
    lost: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    telemetry: DeviceTelemetry | None = None
    findings: tuple[str, ...] = ()
    others_cores: float | None = None
    folder: str = ""
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """Runs tries in folders of their own.

    Attributes:
        folder: of the comparison.
        workload: of a point.
        rule: how long batches are timed.
        answers: samples whose answers are judged; 0: none.
        starts: launches the processes.
        layers: whether to ask which layers ran.
    """

    folder: Path
    workload: Callable[[Point], Workload]
    rule: Rule
    answers: int
    starts: Starts
    layers: bool = True

    def measure(self, point: Point, repeat: int) -> Once:
        """Time a point; the first time it also answers, and shows its layers.

        Raises:
            Stopped: a signal came.
        """
        out = self._new_folder()
        name = out.relative_to(self.folder).as_posix()
        try:
            workload = self.workload(point)
        except SutError as error:
            return Once(None, str(error).removesuffix("."), folder=name)
        answered = spread(workload, self.answers) if repeat == 0 else ()
        # Enough batches that they are not all in a cache.
        others = spread(workload, max(_LOADED_BATCHES * point.batch, 1))
        rows = tuple(dict.fromkeys((*answered, *others)))
        errand = Errand(point.batch, rows, self.rule, len(answered), self.layers and repeat == 0)
        request = TryRequest(
            out_dir=str(out.absolute()),
            workload=workload,
            backend=point.backend,
            max_batch_size=point.batch,
            act=MODULE,
            arguments=msgspec.to_builtins(errand),
            device=point.device.name,
            options=options_of(point),
            slots=1 if point.device.is_cpu else _SLOTS,
        )
        return self._run(point, request, out, name, answered)

    def _run(
        self, point: Point, request: TryRequest, out: Path, name: str, rows: tuple[int, ...]
    ) -> Once:
        (out / LOG_FILE).touch()
        times = Times(_OPEN_S, 2 * self.rule.limit_s + _REST_S)
        neighbours = Neighbours(own_s=self.starts.busy_s)
        launch = self.starts.of(request)
        with (
            Recorder(point.backend, (point.device.name,), out) as recorder,
            TryGroup([request], MachineLimit(), times, is_gone, launch) as group,
        ):
            recorder.follow(group.pids)
            group.start()
            (outcome,) = group.outcomes()
            if not outcome.figures:
                problem = f"{outcome.kind}: {outcome.message.removesuffix('.')}"
                told = f"{problem}. Its output: {name}/{LOG_FILE}"
                return Once(None, told, lost=outcome.kind in _LOST, folder=name)
            answered = msgspec.convert(outcome.figures, Answered)
            timed = answered.timed
            seen = recorder.finish(Window(timed.start_ns, timed.end_ns), timed.samples)
        return Once(
            answered=answered,
            facts=outcome.facts,
            telemetry=seen.telemetry,
            findings=seen.findings,
            others_cores=neighbours.cores(),
            folder=name,
            rows=rows,
        )

    def _new_folder(self) -> Path:
        tries = self.folder / TRIES
        tries.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name) for path in tries.iterdir() if path.name.isdecimal()]
        out = tries / f"{max(numbers, default=0) + 1:03}"
        out.mkdir()
        return out


def options_of(point: Point) -> dict[str, OptionValue]:
    """Return the options of a point's engine: one that prepares its batch sizes prepares this one.

    With TensorRT every batch size so has a plan of its own.
    """
    prepared = {"graph_sizes": point.batch} if point.backend in PREPARES_SIZES else {}
    return {**prepared, **point.options}


def spread(workload: Workload, count: int) -> tuple[int, ...]:
    """Return indices of so many evenly spread samples, or of all if there are fewer."""
    samples = workload.samples
    assert samples is not None, "prepared before"
    chosen = np.linspace(0, samples.count - 1, min(count, samples.count)).astype(int)
    return tuple(np.unique(chosen).tolist())
