"""What the division of an order means; a compliance test alone has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data.benchmark import load_benchmark
from data.rounds import round_named
from sut.submission.order import Order

ROUND = round_named("v6.1")
CLOSED = Order(
    round=ROUND,
    division="closed",
    submitter="Acme",
    benchmark=load_benchmark("resnet50"),
    rules=ROUND.models["resnet"],
    system_name="host1",
    system_folder=Path("user_confs/host1"),
    system={"system_type": "edge"},
    scenarios=("Offline",),
    tree=Path("tree"),
    work=Path("tree-runs"),
)


def test_closed_has_compliance_tests_and_open_has_none() -> None:
    assert CLOSED.closed
    assert CLOSED.audits == ROUND.models["resnet"].audits != ()
    assert replace(CLOSED, division="open").audits == ()


@pytest.mark.parametrize(
    ("benchmark", "round_name", "model", "place"),
    [
        ("resnet50", "v6.1", "resnet", "resnet50"),
        ("yolo11l", "v6.1", "yolo-99", "yolo-99"),
        ("yolo11l", "v6.1", "yolo-95", "yolo-95"),
        ("retinanet", "v5.1", "retinanet", "retinanet"),
        ("ssd-resnet34", "v0.5", "ssd-large", "ssd-resnet34"),
    ],
)
def test_a_closed_result_lies_where_the_checkers_know_its_name(
    benchmark: str, round_name: str, model: str, place: str
) -> None:
    round_ = round_named(round_name)
    rules = round_.models[model]

    order = replace(CLOSED, round=round_, benchmark=load_benchmark(benchmark), rules=rules)

    assert order.place == place
    # The runs of both names of a benchmark are the same.
    assert order.folder("Offline").parent.name == benchmark


def test_an_open_result_keeps_the_benchmarks_own_name() -> None:
    yolo = load_benchmark("yolo11l")

    order = replace(CLOSED, benchmark=yolo, rules=ROUND.models["yolo-99"], division="open")

    assert order.place == "yolo11l"


def test_a_compliance_test_alone_is_not_of_the_closed_division() -> None:
    audit = replace(CLOSED, division=None)

    assert not audit.closed
    assert audit.audits == ()
    with pytest.raises(AssertionError, match="no place in a tree"):
        audit.submitter_in(Path("tree"))
