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


def test_a_compliance_test_alone_is_not_of_the_closed_division() -> None:
    audit = replace(CLOSED, division=None)

    assert not audit.closed
    assert audit.audits == ()
    with pytest.raises(AssertionError, match="no place in a tree"):
        audit.submitter_in(Path("tree"))
