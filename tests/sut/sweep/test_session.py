"""A sweep keeps what it measured, goes on after an interrupt, and tries again what failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import ConfigError, SutError
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_workload
from sut.load.loads import LoadSpec
from sut.record.journal import JOURNAL_FILE
from sut.record.table import Row
from sut.sweep.runner import Measured
from sut.sweep.session import Session
from sut.sweep.task import Task

SETTINGS = {"batches": "1,2,4"}


def tasks() -> list[Task]:
    plan = resolve(Arguments(benchmark="resnet50", scenario="Offline", backend="null"))
    workload = prepared_workload(plan.benchmark, "null", None, None)
    return [
        Task({"batch": size}, {}, plan, workload, LoadSpec("offline", size)) for size in (1, 2, 4)
    ]


class Device:
    """Measures at once; fails or is interrupted at a batch."""

    def __init__(self, fails_at: int = 0, stops_at: int = 0, code: int = 1) -> None:
        self.fails_at, self.stops_at, self.code = fails_at, stops_at, code
        self.asked: list[int] = []

    def __call__(self, task: Task) -> Measured:
        batch = task.load.request_batch
        if batch == self.stops_at:
            raise KeyboardInterrupt
        self.asked.append(batch)
        if self.fails_at in {batch, -1}:
            return Measured(Row(point={"batch": batch}, problem="it died"), {}, 1.0, self.code)
        latency = {"latency_p50_ns": 1e6, "latency_p99_ns": 2e6}
        return Measured(
            Row(point={"batch": batch}, figures={"samples_per_s": 10.0 * batch, **latency}),
            {"precision": "fp32"},
            1.0,
        )


def test_a_point_is_known_once_it_has_figures(tmp_path: Path) -> None:
    swept(tmp_path, Device(fails_at=2))

    said: list[str] = []
    session = Session(tmp_path, dict(SETTINGS), said.append)
    session.open()

    first, failed, last = (session.known(task) for task in tasks())
    assert first is not None
    assert first.row.figures["samples_per_s"] == 10
    assert failed is None
    assert last is not None


def swept(folder: Path, device: Device, settings: dict[str, object] | None = None) -> list[str]:
    """Sweep; return what was said."""
    said: list[str] = []
    session = Session(folder, settings or dict(SETTINGS), said.append)
    session.open()
    session.run(tasks(), device, lambda found: None)
    return said


def test_each_point_is_one_line_with_what_remains(tmp_path: Path) -> None:
    assert swept(tmp_path, Device()) == [
        "1/3  batch 1: 10 samples/s, p50 1, p99 2 ms [1.0 s, about 2 s left]",
        "2/3  batch 2: 20 samples/s, p50 1, p99 2 ms [1.0 s, about 1 s left]",
        "3/3  batch 4: 40 samples/s, p50 1, p99 2 ms [1.0 s]",
    ]


def test_an_interrupt_loses_the_point_that_runs_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, Device(stops_at=4))
    again = Device()

    said = swept(tmp_path, again)

    assert again.asked == [4]
    assert said[0] == f"continuing from {tmp_path}: 2 points are known"
    assert len((tmp_path / JOURNAL_FILE).read_text("utf-8").splitlines()) == 4


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    swept(tmp_path, Device())
    file = tmp_path / JOURNAL_FILE
    file.write_bytes(file.read_bytes()[:-20])
    again = Device()

    swept(tmp_path, again)

    assert again.asked == [4]


def test_a_point_that_fails_is_named_and_the_sweep_goes_on(tmp_path: Path) -> None:
    device = Device(fails_at=2)

    said = swept(tmp_path, device)

    assert device.asked == [1, 2, 4]
    assert said[1].startswith("2/3  batch 2: FAILED: it died")


def test_what_failed_is_tried_again_by_the_same_command(tmp_path: Path) -> None:
    swept(tmp_path, Device(fails_at=2))
    again = Device()

    swept(tmp_path, again)

    assert again.asked == [2]


def test_another_command_is_refused_and_names_what_differs(tmp_path: Path) -> None:
    swept(tmp_path, Device())

    with pytest.raises(ConfigError, match="holds a sweep with another batches"):
        swept(tmp_path, Device(), {"batches": "1,2"})


@pytest.mark.parametrize(("code", "error"), [(1, SutError), (2, ConfigError)])
def test_a_sweep_without_a_figure_is_an_error(
    code: int, error: type[SutError], tmp_path: Path
) -> None:
    with pytest.raises(error, match=r"no point could be measured: it died \(and 2 more") as caught:
        swept(tmp_path, Device(fails_at=-1, code=code))

    assert caught.value.exit_code == code
