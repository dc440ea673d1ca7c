"""Measures the steps of a scaling, and has the queue model predict them from the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.record.run_folder import BATCHES_FILE
from sut.record.trace_reader import load
from sut.sweep.scaling.judge import Predicted
from sut.sweep.scaling.parts import FULL, LOAD, NODES, QPS, RATE, task_of
from sut.sweep.scaling.predict import predicted, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sut.config.workload import Workload
    from sut.sweep.runner import Measured, Runner
    from sut.sweep.scaling.parts import Part
    from sut.sweep.session import Session
    from sut.sweep.task import Task

    Found = list[tuple[Task, Measured]]

_DIGITS = 3  # of a rate: more are noise, and would not read well in a table


def measure(
    session: Session, runner: Runner, parts: Sequence[Part], workload: Workload, share: float
) -> Found:
    """Measure every slot full, then random arrivals at a share of what the first step did.

    Raises:
        SutError: no point could be measured.
        Stopped: a signal came.
    """

    def run(tasks: list[Task]) -> Found:
        return session.run(tasks, runner.measure, lambda _: None)

    found = run([
        task_of(part.full_plan, harness, workload, part.nodes, None)
        for part in parts
        for harness in part.full
    ])  # fmt: skip
    first = found[0][1].row.figures.get("samples_per_s")
    if first is None:
        return found
    of_node = float(f"{share * first / parts[0].nodes:.{_DIGITS}g}")
    return found + run([
        task_of(part.rate_plan, harness, workload, part.nodes, of_node * part.nodes)
        for part in parts
        for harness in part.rate
    ])  # fmt: skip


def predictions(
    folder: Path, parts: Sequence[Part], found: Sequence[tuple[Task, Measured]]
) -> dict[int, Predicted]:
    """Return what the queue model says of every step, from the batches of the first.

    Empty if the first step was not measured.
    """
    first = parts[0]
    rows = {
        (task.point[NODES], task.point[LOAD]): measured.row
        for task, measured in reversed(found)  # of a step with the wire and without: with it
    }
    rate, full = rows.get((first.nodes, RATE)), rows[first.nodes, FULL]
    if rate is None or rate.problem or full.problem:
        return {}
    batches = [load(folder / str(row.folder) / BATCHES_FILE).batches for row in (rate, full)]
    seen = shown(batches)
    return {
        part.nodes: Predicted(
            predicted(seen, part.full[0], None).throughput,
            predicted(seen, part.rate[0], float(rows[part.nodes, RATE].point[QPS])).latency_ns[
                "p99"
            ],
        )
        for part in parts
    }
