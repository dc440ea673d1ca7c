"""`sut tune --cluster` with real nodes, simulated devices and the real LoadGen."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

from sut.config.arguments import Arguments
from sut.config.plan import resolve
from tests.sut.helpers.nodes import cluster_file, running_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sut.helpers.program import Done, Program

pytestmark = pytest.mark.slow

SYSTEM = """\
description: simulated devices
backend: simulated
devices: ["0"]
harness: {backend_options: {base_ms: 0.5, per_sample_ms: 0.25, slots: 2}}
"""
QUICK = ("--batches", 8, "--slots", 2, "--quiet-s", 0, "--probe-s", 0.2, "--confirm-s", 0.3)


@dataclass(frozen=True)
class Tuned:
    """An Offline tuning on two nodes.

    Attributes:
        folder: of the system, of the cluster file, and of the tuning.
        done: how it ended.
        second: ends the second node.
    """

    folder: Path
    done: Done
    second: ExitStack

    @property
    def journal(self) -> list[Any]:
        """Return its questions and answers; the first line is that of its settings."""
        lines = (self.folder / "out" / "journal.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


def tune(program: Program, folder: Path) -> Done:
    return program.run(
        *("tune", "-b", "resnet50", "-s", "Offline", "--system", folder, "--out", folder / "out"),
        *("--cluster", folder / "cluster.yaml", "--subject-to", "p99<=25ms", "--confirm-runs", 1),
        *QUICK,
        limit_s=60,
    )


@pytest.fixture(scope="module")
def tuned(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "system.yaml").write_text(SYSTEM, "utf-8")
    with running_node("alpha") as alpha, ExitStack() as second:
        cluster_file(folder, alpha, second.enter_context(running_node("beta")))
        yield Tuned(folder, tune(program, folder), second)


def test_s_of_b_is_measured_on_each_node_with_its_wire(tuned: Tuned) -> None:
    _, measured, *_ = tuned.journal

    found = measured["reply"]
    (first, points), (second, _) = found["workers"]
    assert (first, second) == ("alpha/0", "beta/0")
    assert points["8"]["median_ns"] == pytest.approx(2.5e6, rel=0.3)
    assert points["8"]["alone_ns"]["p99"] >= 2.4e6
    assert found["is_async"] is True
    assert set(found["ways_ns"]) == {"alpha", "beta"}
    assert all(1e3 < way_ns < 50e6 for way_ns in found["ways_ns"].values())


def test_what_was_found_on_nodes_is_used_by_a_run_on_them(tuned: Tuned) -> None:
    folder = tuned.folder

    plan = resolve(
        Arguments("resnet50", "Offline", system=str(folder), cluster=folder / "cluster.yaml")
    )

    assert tuned.done.code == 0, tuned.done.out + tuned.done.err
    assert "remote workers" in tuned.done.out
    assert plan.tuned.harness.max_batch_size == plan.harness.max_batch_size == 8
    assert plan.notes() == []
    assert "cluster: cluster.yaml" in (folder / "tuned.yaml").read_text("utf-8")


def test_a_lost_node_ends_the_tuning_and_what_was_measured_is_kept(
    tuned: Tuned, program: Program
) -> None:
    journal = tuned.folder / "out" / "journal.jsonl"
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:2]), "utf-8")  # as if it had ended after S(b)
    tuned.second.close()

    lost = tune(program, tuned.folder)

    assert lost.code == 1
    assert "continuing from" in lost.out
    assert "a probe run failed" in lost.err
    assert "node beta at" in lost.err
    assert len(tuned.journal) == 2
