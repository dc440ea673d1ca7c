"""The verbs on a Ray that they start on loopback; only where the extra `cluster` is installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sut.config.cluster import read_cluster
from sut.config.placing import state_folder
from sut.serve.cluster.placing import launch
from sut.serve.cluster.placing.state import State, is_held, read_state
from tests.sut.helpers.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]
NODES = "nodes: [{name: alpha, devices: ['0']}, {name: beta, devices: ['0']}]\n"
PATIENCE_S = 60.0


def written(folder: Path, ray: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(NODES + f"ray: {ray}", encoding="utf-8")
    return path


def sut(*words: str) -> tuple[int, str]:
    """Run a command in a process of its own; return its exit code and its errors."""
    done = subprocess.run(
        [sys.executable, "-m", "sut", "cluster", *words],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.returncode, done.stderr


def is_there(pid: int) -> bool:
    """Say whether a process runs; one that ended may wait for process 1 to take note of it."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def state_of(file: Path) -> State:
    state = launch.status(file)
    assert state is not None
    return state


def test_nodes_come_up_come_back_and_go(tmp_path: Path) -> None:
    file = written(tmp_path, "{resource: t4, resources: {t4: 2}}")
    assert sut("up", str(file)) == (0, "")
    try:
        first = state_of(file)
        assert sut("up", str(file))[0] == 2  # it is up
        placed = {node.name: node.address for node in read_cluster(file).nodes}
        assert placed == {node.name: node.address for node in first.nodes}

        os.kill(first.nodes[1].pid, signal.SIGKILL)
        wait_until(lambda: state_of(file).nodes[1].restarts == 1, "beta's end is seen", PATIENCE_S)
        wait_until(lambda: state_of(file).nodes[1].phase == "up", "beta is back", PATIENCE_S)
        second = state_of(file)
        assert second.nodes[0] == first.nodes[0]
        assert "SIGKILL" in second.nodes[1].why
        assert read_cluster(file).nodes[1].address == second.nodes[1].address
    finally:
        assert sut("down", str(file)) == (0, "")

    left = [pid for pid in (second.warden, *(n.pid for n in second.nodes)) if is_there(pid)]
    assert left == []
    assert not state_folder(file).exists()
    assert not Path(second.folder).exists()


def test_nothing_is_left_of_a_head_that_was_killed(tmp_path: Path) -> None:
    file = written(tmp_path, "{resource: t4, resources: {t4: 2}}")
    assert sut("up", str(file)) == (0, "")
    state = state_of(file)

    os.kill(state.session, signal.SIGKILL)

    wait_until(lambda: not is_held(state_folder(file)), "the warden has ended", PATIENCE_S)
    assert not any(is_there(node.pid) for node in state.nodes)
    assert not Path(state.folder).exists()
    assert sut("status", str(file))[0] == 1
    assert sut("down", str(file)) == (0, "")
    assert read_state(state_folder(file)) is None


def test_what_no_machine_has_is_said_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "{resource: t4}")

    code, said = sut("up", str(file))

    assert code == 2
    assert said == "sut: node alpha takes 1 t4, and no machine has that: 127.0.0.1 has 0 t4.\n"
    assert not state_folder(file).exists()
