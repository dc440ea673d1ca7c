"""SingleStream and MultiStream: the lowest latency of a query, in a small world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from backends.simulated.curve import formula
from sut.serve.service_times import Measured, Point
from sut.tuner import streams
from sut.tuner.asking import Unreachable
from sut.tuner.job import Job, Space, Variant
from sut.tuner.messages import Measure, Outcome, drive

if TYPE_CHECKING:
    from sut.tuner.messages import Answer, Ask, Reply, Trial

CURVE = formula(1.0, 0.25)
# What a kind of worker adds to a query, in ns.
HOP_NS = {"inline": 1e4, "thread": 1e5, "process": 3e5}


@dataclass
class Device:
    """One device that answers a query of some samples, batch after batch.

    Attributes:
        samples: of a query.
        asked: all that was asked.
    """

    samples: int
    asked: list[Ask] = field(default_factory=list)

    def __call__(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        if isinstance(ask, Measure):
            times_ns = {size: CURVE.service_ns(size) for size in ask.sizes}
            return Measured((("0", {b: Point(ns, ns, ns) for b, ns in times_ns.items()}),))
        return self._run(ask)

    def _run(self, trial: Trial) -> Outcome:
        batches = -(-self.samples // trial.candidate.max_batch_size)
        size = min(self.samples, trial.candidate.max_batch_size)
        metric = batches * CURVE.service_ns(size) + HOP_NS[trial.candidate.workers]
        return Outcome(True, metric, 100, {"p90": metric, "p99": metric}, None, {size: 100}, 1.0)


def tune(device: Device, job: Job) -> tuple[Answer, list[str]]:
    said: list[str] = []
    return drive(streams.search(job, {}, said.append), device), said


def test_a_single_stream_runs_batches_of_one_with_the_fastest_kind_of_worker() -> None:
    device = Device(samples=1)
    space = Space(workers=("thread", "inline", "process"), sizes=(1,))

    answer, _ = tune(device, Job("SingleStream", space=space, confirm_runs=2))

    assert (answer.candidate.max_batch_size, answer.candidate.workers) == (1, "inline")
    assert answer.is_valid
    assert len(answer.confirmed) == 2
    assert (answer.target_qps, answer.confidence) == (None, None)
    assert {run.metric for run in answer.confirmed} == {CURVE.service_ns(1) + HOP_NS["inline"]}
    assert any("The second best, batch 1" in note for note in answer.notes)


def test_a_multi_stream_tries_the_best_cuts_and_confirms_two_in_turns() -> None:
    device = Device(samples=8)
    job = Job("MultiStream", space=Space(workers=("process",), sizes=(1, 2, 4, 8)), confirm_runs=2)

    answer, said = tune(device, job)

    assert answer.candidate.max_batch_size == 8
    assert [p.candidate.max_batch_size for p in answer.predictions] == [8, 4, 3, 2, 1]
    trials = [ask for ask in device.asked if not isinstance(ask, Measure)]
    assert [t.candidate.max_batch_size for t in trials] == [8, 4, 3, 8, 4, 8, 4]
    assert [t.purpose for t in trials] == ["probe"] * 3 + ["confirm"] * 4
    assert "3 ms a query with batch 8" in said[0]


def test_several_engines_on_a_device_are_never_inline() -> None:
    device = Device(samples=1)
    variants = (Variant(2),)
    space = Space(variants=variants, workers=("inline", "thread"), sizes=(1,))

    answer, _ = tune(device, Job("SingleStream", space=space, confirm_runs=1))

    assert answer.candidate.workers == "thread"


def test_batches_that_were_not_measured_leave_nothing_to_choose() -> None:
    job = Job("SingleStream", space=Space(batches=(4,), sizes=(1, 4)))

    with pytest.raises(Unreachable, match="no batch size"):
        tune(Device(samples=1), job)
