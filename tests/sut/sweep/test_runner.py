"""A point that does not go on is a row with a problem, and the next one is measured."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_workload
from sut.load.loads import LoadSpec
from sut.record.run_folder import TRACE_FILE
from sut.record.trace_reader import TraceReader
from sut.serve.workers.keeper import Keeper
from sut.sweep.runner import Runner
from sut.sweep.steady import Rule
from sut.sweep.task import Task
from tests.sut.helpers.waiting import wait_until


def task(devices: tuple[str, ...] | None = None, **options: float) -> Task:
    arguments = Arguments(
        benchmark="resnet50",
        scenario="Server",
        backend="simulated",
        devices=devices,
        workers="process" if devices else None,
        backend_options={"base_ms": 1, **options},
    )
    plan = resolve(arguments)
    workload = prepared_workload(plan.benchmark, "simulated", None, None)
    return Task({"concurrency": 2}, {}, plan, workload, LoadSpec("closed", concurrency=2))


@pytest.mark.slow
def test_an_engine_that_hangs_in_warm_up_does_not_hold_up_the_sweep(tmp_path: Path) -> None:
    rule = Rule(least_s=0, spread=1, turn_overs=5)
    with Keeper() as keeper:
        hangs = Runner(tmp_path, keeper, rule, None, warm_up_s=0.3).measure(task(hang_at_s=0))

    assert hangs.row.problem is not None
    assert "warm-up is not over after 0.3 s: the engine hangs" in hangs.row.problem
    assert hangs.row.problem.endswith("Its output: points/001/run.log.")
    assert hangs.seconds < 10


def kill_when_busy(folder: Path, worker: str) -> None:
    """Kill the process of a worker once the load of the first point runs."""
    trace = folder / "points" / "001" / TRACE_FILE
    wait_until(
        lambda: trace.exists() and len(TraceReader(trace).read().batches["samples"]) > 0,
        "batches are answered",
    )
    for task_folder in Path("/proc/self/task").iterdir():
        for child in (task_folder / "children").read_text("ascii").split():
            if worker.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                os.kill(int(child), signal.SIGKILL)


@pytest.mark.slow
def test_a_point_that_tolerates_loss_goes_on_without_a_killed_worker_and_says_so(
    tmp_path: Path,
) -> None:
    rule = Rule(least_s=0.6, spread=1, turn_overs=5)
    killer = threading.Thread(target=kill_when_busy, args=(tmp_path, "device 1"))
    killer.start()
    with Keeper() as keeper:
        runner = Runner(tmp_path, keeper, rule, None, tolerate_loss=True)
        row = runner.measure(task(("0", "1"))).row
    killer.join()

    assert row.problem is None
    assert row.figures["lost_workers"] == 1
    assert row.figures["samples_per_s"] > 0
    (mark,) = (mark for mark in row.marks if mark.startswith("lost worker"))
    assert "device 1: its process ended" in mark
    assert "fewer workers than the setting has" in mark
