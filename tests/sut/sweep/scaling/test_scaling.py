"""How far a cluster scales: its parts, what each step shows, what is predicted from one node."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

from sut.cli import main
from sut.config.cluster import NodeSpec, Remote
from sut.config.settings import HarnessSettings
from sut.record.table import Row
from sut.serve.queue_wire import Side
from sut.sweep.scaling.judge import Predicted, Step, steps
from sut.sweep.scaling.parts import check_steps, default_steps, here, part
from sut.sweep.scaling.predict import predicted, shown
from tests.sut.helpers.nodes import cluster_file, running_node

MS = 1_000_000
LOCAL = HarnessSettings(
    backend="simulated",
    workers="process",
    devices=("0", "1", "2"),
    instances=1,
    max_batch_size=8,
    max_queue_delay_us=0,
    slots=2,
)
NODES = tuple(NodeSpec(name, f"127.0.0.1:{770 + k}", ("0",)) for k, name in enumerate("abc"))
REMOTE = replace(
    LOCAL,
    workers="remote",
    devices=("a/0", "b/0", "c/0"),
    remote=Remote(NODES, None, "resnet50", ""),
    backend_options={"base_ms": 2.0, "slow@0": 3.0, "slow@1": 9.0},
)


# Parts


def test_the_steps_double_up_to_all_nodes() -> None:
    assert [default_steps(most) for most in (1, 2, 6, 8)] == [
        [1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8],
    ]  # fmt: skip


def test_more_nodes_than_there_are_is_refused() -> None:
    with pytest.raises(Exception, match="4 nodes; there are 3"):
        check_steps([1, 4], 3)


def test_a_part_of_a_cluster_has_the_devices_of_its_nodes() -> None:
    first = part(REMOTE, 2)

    assert first.devices == ("a/0", "b/0")
    assert first.remote is not None
    assert [node.name for node in first.remote.nodes] == ["a", "b"]
    assert part(LOCAL, 1).devices == ("0",)


def test_without_the_wire_a_device_keeps_its_own_options() -> None:
    local = here(part(REMOTE, 2))

    assert local is not None
    assert (local.workers, local.remote) == ("process", None)
    assert len(dict(local.worker_devices())) == 2  # no two workers have one name
    assert local.backend_options == {"base_ms": 2.0, "slow@a/0": 3.0, "slow@b/0": 3.0}


def test_devices_that_are_elsewhere_are_not_measured_here() -> None:
    assert here(replace(REMOTE, backend="onnxruntime")) is None
    assert here(LOCAL) is None


# Steps


def row(nodes: int, load: str, place: str, **figures: float) -> Row:
    point: dict[str, int | float | str] = {"nodes": nodes, "load": load, "place": place}
    return Row(point=point | ({"qps": 50.0} if load == "rate" else {}), figures=figures)


def judged(*rows: Row, gbit: float | None = None) -> list[Step]:
    workers = {int(r.point["nodes"]): 2 * int(r.point["nodes"]) for r in rows}
    return steps(rows, workers, {1: Predicted(90.0, 3 * MS)}, 1000, gbit)


def test_a_step_is_compared_with_one_node_and_with_none() -> None:
    one, two = judged(
        row(1, "full", "nodes", samples_per_s=100.0),
        row(2, "full", "nodes", samples_per_s=190.0, busy=0.5, process_cores=0.95),
        row(2, "full", "here", samples_per_s=200.0),
        row(2, "rate", "nodes", latency_p99_ns=5.0 * MS),
        row(2, "rate", "here", latency_p99_ns=4.0 * MS),
    )

    assert (one.linear, one.predicted_rate, one.stop) == (1.0, 90.0, "")
    assert (two.linear, two.local, two.added_ns) == (0.95, 0.95, MS)
    assert two.predicted_p99_ns is None
    assert two.stop == "the interpreter here 95%"


def test_a_network_that_carries_no_more_is_named() -> None:
    full = row(1, "full", "here", samples_per_s=1.2e6, busy=0.4)

    assert judged(full)[0].stop == "nothing is full (the devices 40%)"
    assert judged(full, gbit=10)[0].stop == "the network 96%"


def test_a_point_that_failed_leaves_its_figures_out_and_says_why() -> None:
    failed = Row(point=dict(row(1, "full", "nodes").point), problem="node a is lost")

    (step,) = judged(failed)

    assert (step.rate, step.linear) == (None, None)
    assert step.marks == ("full: node a is lost",)


# Predictions


def batches(size: int, service_ns: int, gap_ns: int, hops_ns: tuple[int, int]) -> dict[str, object]:
    """Return batches of one worker, each on an idle device."""
    closed = np.arange(200, dtype=np.int64) * gap_ns
    started = closed + hops_ns[0]
    finished = started + service_ns
    return {
        "samples": np.full(200, size),
        "worker": np.zeros(200, np.int64),
        "closed_ns": closed,
        "started_ns": started,
        "finished_ns": finished,
        "completed_ns": finished + hops_ns[1],
    }


def test_many_nodes_are_predicted_from_the_batches_of_one() -> None:
    side = Side(send_ns=20e3, answer_ns=30e3)
    runs = [batches(1, MS, 9 * MS, (100_000, 200_000)), batches(8, 2 * MS, 9 * MS, (0, 0))]

    seen = shown(runs, side)  # type: ignore[arg-type]  # arrays

    assert (seen.curve.service_ns(1), seen.curve.service_ns(8)) == (MS, 2 * MS)
    # What LoadGen's process takes is in the hops of one node, and counts once.
    assert (seen.host.hop_in_ns, seen.host.hop_out_ns) == (80_000, 170_000)
    full = predicted(seen, LOCAL, None)
    assert full.throughput == pytest.approx(3 * 8 / 2e-3, rel=0.02)
    assert predicted(seen, LOCAL, 1000.0).latency_ns["p50"] < 3 * MS


def test_the_process_of_loadgen_limits_what_is_predicted() -> None:
    slow = Side(send_ns=500e3, answer_ns=500e3)
    runs = [batches(8, 2 * MS, 9 * MS, (500_000, 500_000))]

    full = predicted(shown(runs, slow), LOCAL, None)  # type: ignore[arg-type]  # arrays

    assert full.throughput == pytest.approx(8 / 1e-3, rel=0.02)


# The verb

SCALING = ["cluster", "scaling", "-b", "resnet50", "--backend", "simulated", "--devices", "0,1"]


def test_devices_are_measured_and_predicted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    window = ["--turn-overs", "5", "--least-s", "0.1", "--limit-s", "3", "--least-requests", "50"]
    out = ["--out", str(tmp_path / "scaling"), "--set", "base_ms=4", "--set", "per_sample_ms=0.1"]

    code = main([*SCALING, "--steps", "1", "--max-batch-size", "4", *out, *window, "--json"])

    told = capsys.readouterr()
    (step,) = json.loads(told.out)["steps"]
    assert code == 0
    assert 0 < step["rate"] < 1.05 * 4 / 4.4e-3  # other processes may slow it
    assert step["predicted_rate"] == pytest.approx(4 / 4.4e-3, rel=0.2)
    assert step["predicted_p99_ns"] > 4.4e6
    assert step["shares"].keys() >= {"the devices", "the interpreter here"}
    assert "| 1 | 1 |" in (tmp_path / "scaling" / "scaling.md").read_text()


def test_two_nodes_are_measured_with_and_without_the_wire(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    window = ["--turn-overs", "5", "--least-s", "0.1", "--limit-s", "0.5", "--least-requests", "50"]
    words = ["cluster", "scaling", "-b", "resnet50", "--backend", "simulated", "--steps", "2"]
    device = ["--set", "base_ms=4", "--set", "per_sample_ms=0.1", "--max-batch-size", "4"]

    with running_node("alpha") as alpha, running_node("beta") as beta:
        out = ["--cluster", str(cluster_file(tmp_path, alpha, beta)), "--out", str(tmp_path / "s")]
        code = main([*words, *device, *out, *window, "--json"])

    (step,) = json.loads(capfd.readouterr().out)["steps"]
    assert code == 0
    assert (step["nodes"], step["workers"]) == (2, 2)
    full = 2 * 4 / 4.4e-3
    assert 0 < step["rate"] < 1.05 * full  # other processes may slow it
    assert 0.4 * full < step["predicted_rate"] < 1.05 * full
    assert step["local"] > 0
    assert step["p99_ns"] > 4.1e6
    assert step["added_ns"] < step["p99_ns"]  # the same load was measured without the wire
    assert step["shares"].keys() >= {"the devices", "ZeroMQ's thread here"}
    assert "| 2 | 2 |" in (tmp_path / "s" / "scaling.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--steps", "3"], "there are 2"),
        (["--share", "1.5"], "between 0 and 1"),
        (["--cluster", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], fragment: str
) -> None:
    folder = tmp_path / "scaling"
    code = main([*SCALING, *words, "--out", str(folder)])

    err = capsys.readouterr().err
    assert code == 2
    assert fragment in err
    assert err.count("\n") == 1
    assert not folder.exists()
