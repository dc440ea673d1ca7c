"""A comparison of devices in its folder: rounds, rows that fail, the models of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.onnxruntime.precision import convert
from sut.base.errors import EngineError
from sut.config.arguments import Arguments
from sut.record.table import decode
from sut.sweep.devices.act import Answered
from sut.sweep.devices.bench import Once, options_of
from sut.sweep.devices.plan import Planner, Point
from sut.sweep.devices.session import Session
from sut.sweep.devices.timing import RULE, Median, Timed
from sut.sweep.devices.ways import Device, Way

if TYPE_CHECKING:
    from pathlib import Path

A, B = Device("A", "one"), Device("B", "other", facts={"driver": "2"})
CPU = Device("cpu", "x86")


class Played:
    """A bench whose device A fails and whose others take 2, 3 and 4 ms."""

    rule = RULE
    answers = 0

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def measure(self, point: Point, repeat: int) -> Once:
        self.asked.append((point.device.name, repeat))
        if point.device == A:
            return Once(None, "hung: device A: no answer", lost=point.batch == 8)
        ns = (2 + repeat) * 1e6
        middle = Median(ns, ns, ns)
        timed = Timed(middle, middle, ns, 0.0, 9.0, (), 60, 1, 0, 1, 60)
        return Once(Answered(timed, 1), facts={"simulated": "True", "provider": "none"})


@pytest.fixture
def planner() -> Planner:
    options: dict[str, float] = {"base_ms": 1.0}
    asked = Arguments("resnet50", "Offline", backend="simulated", backend_options=options)
    return Planner(asked, [A, B], ["fp32", "fp16"], [4])


def test_rounds_go_over_all_rows_and_what_failed_is_not_tried_again(
    planner: Planner, tmp_path: Path
) -> None:
    bench, said = Played(), list[str]()
    session = Session(tmp_path, "t", "sut devices", planner, bench, said.append)  # type: ignore[arg-type]  # played
    table = session.run(planner.points(), 3)

    assert bench.asked == [("A", 0), ("B", 0), ("B", 1), ("B", 2)]
    failed, refused, good, _ = table.rows
    assert failed.problem == "hung: device A: no answer"
    assert refused.problem is not None
    assert refused.problem.startswith("refused: backend simulated has no model")
    assert good.figures["compute_p50_ns"] == 3e6
    assert good.figures["repeats"] == 3
    assert table.environment["device B driver"] == "2"
    assert table.environment["device B engine provider"] == "none"
    assert decode((tmp_path / "table.json").read_bytes(), "here") == table
    assert len(said) == 4


def test_a_device_that_hung_is_asked_for_nothing_more(planner: Planner, tmp_path: Path) -> None:
    bench = Played()
    session = Session(tmp_path, "t", "sut devices", planner, bench, print)  # type: ignore[arg-type]  # played
    (first, _) = (point for point in planner.points() if point.device == A)
    points = [replace(first, batch=batch) for batch in (8, 16)]
    table = session.run([*points, *planner.points()[2:]], 1)

    assert bench.asked == [("A", 0), ("B", 0)]
    assert table.rows[0].problem == "hung: device A: no answer"
    assert table.rows[1].problem is not None
    assert table.rows[1].problem.startswith("not tried: the device was lost before, hung")
    assert table.rows[2].problem is None


def test_an_engine_that_prepares_sizes_prepares_the_one_of_its_row() -> None:
    row = Point(B, "torch", Way("fp32"), 8, {"tf32": False})

    assert options_of(row) == {"graph_sizes": 8, "tf32": False}
    assert options_of(replace(row, options={"graph_sizes": 16}))["graph_sizes"] == 16
    assert options_of(replace(row, backend="onnxruntime")) == {"tf32": False}


def test_a_model_in_another_precision_is_taken_as_it_is_or_refused(
    own_yaml: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.onnx"
    convert(own_yaml.parent / "model.onnx", half, "fp16")
    asked = Arguments(str(own_yaml), "Offline", model=half)
    planner = Planner(asked, [CPU], ["fp16", "fp32"], [1])
    fp16, fp32 = planner.points()

    model = planner.workload(fp16).model
    assert model is not None
    assert model.path == str(half)
    for _ in range(2):  # said again, not looked up again
        with pytest.raises(EngineError, match="is fp16; expected an fp32 model"):
            planner.workload(fp32)
    assert set(planner.identity()) == {"data", "model fp16"}
