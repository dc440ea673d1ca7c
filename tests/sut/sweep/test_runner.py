"""A point that does not go on is a row with a problem, and the next one is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_workload
from sut.load.loads import LoadSpec
from sut.serve.workers.keeper import Keeper
from sut.sweep.runner import Runner
from sut.sweep.steady import Rule
from sut.sweep.task import Task


def task(**options: float) -> Task:
    arguments = Arguments(
        benchmark="resnet50",
        scenario="Server",
        backend="simulated",
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
