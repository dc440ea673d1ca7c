"""Devices on nodes in the tuner: the wire in the model, in the settings to try, and in a trial."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.simulated.curve import formula
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.serve.queue_wire import MEASURED_SIDE
from sut.serve.service_times import Measured, Point
from sut.tuner import space
from sut.tuner.job import Bound, Candidate, Job, Space, Variant
from sut.tuner.learnt import Learnt
from sut.tuner.messages import Trial
from sut.tuner.model import Effort, Model
from sut.tuner.nodes import MeasuredNodes
from sut.tuner.trial_runner import plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.plan import Plan

MS = 1e6
CURVE = formula(2.0, 0.5)  # a batch of 4 takes 4 ms
POINTS = {size: Point(CURVE.service_ns(size), 0.0, 0.0) for size in (1, 2, 4, 8)}
HERE = Measured((("alpha/0", POINTS), ("alpha/1", POINTS), ("beta/0", POINTS)))
BOUND = Bound("p99", 100 * MS, 0.99)
JOB = Job("Server", (BOUND,), Space(workers=("remote",)))
BRIEF = Effort(2_000, (1,), 1e-3)
CANDIDATE = Candidate(4, 0, 3, "remote")


def model(**ways_ns: float) -> Model:
    return Model({Variant(): replace(HERE, ways_ns=ways_ns)}, (BOUND,))


def p99_ms(asked: Model) -> float:
    return asked.percentile_ns(CANDIDATE, 100.0, Learnt(), BRIEF) / MS


def test_a_prediction_has_the_wire_of_each_node_in_it() -> None:
    here, near, far = model(), model(alpha=0.1 * MS, beta=0.1 * MS), model(alpha=5 * MS, beta=0.0)

    assert p99_ms(near) - p99_ms(here) == pytest.approx(0.35, abs=0.15)  # and LoadGen's side
    assert p99_ms(far) - p99_ms(here) == pytest.approx(10.0, abs=0.6)


def test_each_worker_is_on_the_node_of_its_device() -> None:
    nodes = MeasuredNodes.of(replace(HERE, ways_ns={"alpha": 1 * MS, "beta": 2 * MS}))

    assert nodes is not None
    assert nodes.node_of == (0, 0, 1)
    assert nodes.costs_ns(2)[0] == 2 * MS + MEASURED_SIDE.send_ns
    assert MeasuredNodes.of(HERE) is None


def test_a_far_device_gets_more_batches_in_flight() -> None:
    here, far = model(), model(alpha=0.1 * MS, beta=6 * MS)

    usual = space.with_batch(JOB, here, Variant(), 4)
    more = space.with_batch(JOB, far, Variant(), 4)

    assert more.slots - usual.slots == 3  # 12 ms there and back, 4 ms a batch
    assert [c.slots for c in space.slots(JOB, far, more)] == [4, 5, 7]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "cluster.yaml"
    file.write_text('nodes: [{name: alpha, address: "127.0.0.1:7700", devices: [cpu]}]', "utf-8")
    return resolve(Arguments("efficientnet-lite0", "Server", cluster=file))


def test_on_nodes_only_remote_workers_are_tried_and_cores_are_not_split(plan: Plan) -> None:
    found = space.space_of(plan)

    assert found.workers == ("remote",)
    assert found.variants == (Variant(1),)
    assert max(found.sizes) == 64  # as on a CPU of this machine


def test_a_confirmation_has_new_worker_processes_on_its_nodes_and_a_probe_has_not(
    plan: Plan,
) -> None:
    probe, confirm = (
        plan_of(Trial(purpose, CANDIDATE, 1.0, 10.0), plan).harness
        for purpose in ("probe", "confirm")
    )

    assert (probe.workers, confirm.workers) == ("remote", "remote")
    assert probe.remote is not None
    assert confirm.remote is not None
    assert (probe.remote.fresh, confirm.remote.fresh) == (False, True)
    assert probe.remote.nodes == plan.harness.remote.nodes if plan.harness.remote else False
