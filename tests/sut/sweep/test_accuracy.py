"""Each setting's accuracy is measured once and stands in all its rows; none is a mark, not zero."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

import pytest

from sut.base.errors import DataError
from sut.base.signals import Stopped, exit_code
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_workload
from sut.load.loads import LoadSpec
from sut.record.result import Accuracy
from sut.record.table import Row
from sut.run.run import Interrupted
from sut.sweep.accuracy import WithAccuracy
from sut.sweep.runner import Measured
from sut.sweep.task import Task

if TYPE_CHECKING:
    from sut.config.plan import Plan

FOUND = Accuracy("top1", 0.9, None, 20, 18, (0.7, 0.97), None)


def tasks() -> list[Task]:
    plan = resolve(Arguments(benchmark="resnet50", scenario="Offline", backend="null"))
    workload = prepared_workload(plan.benchmark, "null", None, None)
    return [
        Task({"batch": size, "slots": slots}, {"slots": slots}, plan, workload, LoadSpec("offline"))
        for slots in (1, 2)
        for size in (1, 4)
    ]


def measure(task: Task) -> Measured:
    return Measured(Row(point=dict(task.point), figures={"samples_per_s": 10.0}), {}, 1.0)


def failing(task: Task) -> Measured:
    return Measured(Row(point=dict(task.point), problem="it died"), {}, 1.0)


def test_a_setting_is_judged_once_and_all_its_rows_say_so() -> None:
    asked: list[Plan] = []

    def judge(plan: Plan) -> Accuracy | None:
        asked.append(plan)
        return FOUND

    each = WithAccuracy(measure, judge)
    rows = [each(task).row for task in tasks()]

    assert len(asked) == 2
    for row in rows:
        assert (row.figures["accuracy"], row.figures["samples_per_s"]) == (0.9, 10.0)
        assert (row.figures["accuracy_low"], row.figures["accuracy_high"]) == (0.7, 0.97)
        assert not row.marks


def test_a_data_set_without_labels_or_a_failed_test_is_a_mark() -> None:
    def fails(_: Plan) -> NoReturn:
        raise DataError("labels.csv: 3 labels for 20 samples")

    without = WithAccuracy(measure, lambda _: None)(tasks()[0]).row
    failed = WithAccuracy(measure, fails)(tasks()[0]).row

    assert "no labels" in without.marks[0]
    assert "3 labels for 20 samples" in failed.marks[0]
    for row in (without, failed):
        assert "accuracy" not in row.figures
        assert row.figures["samples_per_s"] == 10.0


def test_a_point_that_failed_is_not_judged() -> None:
    def judge(_: Plan) -> NoReturn:
        raise AssertionError

    assert WithAccuracy(failing, judge)(tasks()[0]).row.problem == "it died"


def test_a_signal_ends_the_sweep() -> None:
    def judge(_: Plan) -> NoReturn:
        raise Interrupted(signal.SIGTERM, None)  # type: ignore[arg-type]  # nothing reads it

    with pytest.raises(Stopped) as caught:
        WithAccuracy(measure, judge)(tasks()[0])
    assert caught.value.exit_code == exit_code(signal.SIGTERM)
