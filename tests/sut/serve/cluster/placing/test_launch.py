"""The state of a cluster in its folder, and the verbs where no cluster is up; without Ray."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from sut.cli import main
from sut.config.cluster import read_cluster, read_cluster_file
from sut.config.placing import RaySpec, is_loopback_host, state_folder
from sut.serve.cluster.placing import launch
from sut.serve.cluster.placing.environment import of_head, of_machine
from sut.serve.cluster.placing.machines import join_words
from sut.serve.cluster.placing.state import (
    NodeState,
    State,
    boot_id,
    clear,
    is_held,
    read_state,
    write_placed,
    write_state,
)
from sut.serve.cluster.placing.warden import FOLDER
from sut.verbs.cluster_text import show

if TYPE_CHECKING:
    from pathlib import Path

FILE = "nodes: [{name: alpha, devices: [cpu]}, {name: beta, devices: [cpu]}]\nray: {}\n"
NODES = (
    NodeState("alpha", ("cpu",), address="127.0.0.1:5"),
    NodeState("beta", ("cpu",), address="127.0.0.1:6"),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def state_of(session: int, folder: str = "/none") -> State:
    return State("up", 1, session, boot_id(), own_ray=True, nodes=NODES, folder=folder)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_state(tmp_path, state_of(7))

    assert read_state(tmp_path) == state_of(7)
    assert read_state(tmp_path / "none") is None


def test_a_run_finds_the_nodes_that_the_head_has_written(file: Path) -> None:
    write_placed(state_folder(file), NODES, "/keys")

    cluster = read_cluster(file)

    assert [(n.name, n.address, n.devices) for n in cluster.nodes] == [
        ("alpha", "127.0.0.1:5", ("cpu",)),
        ("beta", "127.0.0.1:6", ("cpu",)),
    ]
    assert cluster.keys == "/keys"


def test_a_folder_is_held_as_long_as_its_warden_lives(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "none")
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert is_held(tmp_path)

    os.close(handle)

    assert not is_held(tmp_path)


def test_what_a_killed_warden_and_head_left_is_killed(tmp_path: Path) -> None:
    script = "import os, time; os.fork() and os._exit(0); time.sleep(60)"
    leader = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    leader.wait()
    rays = tmp_path / "rays"
    rays.mkdir()
    folder = tmp_path / "state"
    write_state(folder, state_of(leader.pid, str(rays)))

    assert clear(folder) == 1

    assert leader.stdout is not None
    assert leader.stdout.read() == b""  # nobody holds the other end
    leader.stdout.close()
    assert not folder.exists()
    assert not rays.exists()


def test_a_session_of_another_boot_or_with_a_leader_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        write_state(tmp_path / "a", state_of(other.pid))
        write_state(tmp_path / "b", msgspec.structs.replace(state_of(other.pid), boot="another"))

        assert (clear(tmp_path / "a"), clear(tmp_path / "b")) == (0, 0)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("down",), 0, "it was not up"),
        (("status",), 1, "it is not up."),
        (("down", "--json"), 0, "[]"),
    ],
)
def test_a_cluster_that_is_not_up_is_said_so(
    file: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    assert main(["cluster", words[0], str(file), *words[1:]]) == code

    assert said in capsys.readouterr().out


@pytest.mark.parametrize("action", ["status", "down"])
def test_a_slip_in_the_name_of_the_file_is_no_cluster_that_is_not_up(
    file: Path, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    assert main(["cluster", action, f"{file}x"]) == 2

    assert "cluster.yamlx: no such file" in capsys.readouterr().err


def test_why_a_head_ended_is_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = msgspec.structs.replace(state_of(1), phase="failed", message="Ray has ended.")
    write_state(state_folder(file), ended)

    assert main(["cluster", "status", str(file)]) == 1

    assert "its head has ended: Ray has ended." in capsys.readouterr().out
    assert launch.status(file) is None


def test_a_node_that_others_go_before_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    behind = NodeState("beta", ("cpu",), phase="up", niceness=15)
    state = msgspec.structs.replace(state_of(1), nodes=(NODES[0], behind))

    show(state, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("node ") and ":" in line] == [
        "node beta: other processes go first (niceness 15). Start Ray there with "
        "RAY_worker_niceness=0."
    ]


def test_nodes_without_ray_are_not_brought_up(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("nodes: [{name: a, address: '127.0.0.1:5', devices: [cpu]}]", encoding="utf-8")

    assert main(["cluster", "up", str(file)]) == 2

    assert "no section ray" in capsys.readouterr().err
    assert not state_folder(file).exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_the_extra_is_named_where_ray_is_missing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cluster", "up", str(file)]) == 2

    assert "needs ray. Install it: pip install -e '.[cluster]'" in capsys.readouterr().err


def test_ray_stays_on_loopback_and_asks_for_a_token_where_we_start_it() -> None:
    own, there = of_head(RaySpec()), of_head(RaySpec(address="127.0.0.1:6379"))
    beyond = of_head(RaySpec(listen="10.0.0.1"))

    assert own["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert (own["RAY_AUTH_MODE"], len(own["RAY_AUTH_TOKEN"])) == ("token", 64)
    assert own["RAY_AUTH_TOKEN"] != of_head(RaySpec())["RAY_AUTH_TOKEN"]
    assert there["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert "RAY_AUTH_TOKEN" not in there
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in beyond
    assert of_machine(beyond)["RAY_AUTH_TOKEN"] == beyond["RAY_AUTH_TOKEN"]
    hosts = ("::1", "[::1]", "localhost", "10.0.0.1", "host")
    assert [is_loopback_host(host) for host in hosts] == [True, True, True, False, False]


def test_a_machine_joins_with_its_own_address_and_resources(file: Path) -> None:
    file.write_text(
        FILE.replace(
            "{}",
            "{listen: 10.0.0.1, machines: [{name: second, address: 10.0.0.2, "
            "reach: [ssh, user@second], resources: {t4: 2}}]}",
        ),
        encoding="utf-8",
    )
    spec = read_cluster_file(file).ray
    assert spec is not None

    words = join_words(spec.machines[0], "/there/python", "10.0.0.1:6379")

    assert words[:5] == ("/there/python", "-m", "ray.scripts.scripts", "start", "--block")
    for option, value in (
        ("--address", "10.0.0.1:6379"),
        ("--node-ip-address", "10.0.0.2"),
        ("--resources", '{"t4": 2}'),
        ("--temp-dir", FOLDER),
    ):
        assert words[words.index(option) + 1] == value
