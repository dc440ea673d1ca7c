"""Who may speak to a node."""

from __future__ import annotations

import io
import json
import stat
import sys
import threading
from argparse import Namespace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

import zmq

from sut.base.errors import ConfigError
from sut.serve.cluster.channel import REFUSED, Monitor
from sut.serve.cluster.node import Node
from sut.serve.cluster.security import (
    NODE,
    RUN,
    Keys,
    load_keys,
    make_keys,
    say,
    secure_client,
)
from sut.verbs import cluster_keys
from tests.sut.helpers.nodes import printed, running_node
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_node_goes_on_when_nobody_can_read_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stderr", gone)

    assert say("node alpha: works") is None  # type: ignore[func-returns-value]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both sides' keys."""
    made = tmp_path / "keys"
    make_keys(made)
    return made


def test_each_side_has_its_own_secret_and_the_public_key_of_the_other(folder: Path) -> None:
    node, run = load_keys(str(folder), NODE), load_keys(str(folder), RUN)

    assert node is not None
    assert run is not None
    assert (node.other, run.other) == (run.public, node.public)
    assert node.secret != run.secret
    for path in folder.glob("*.key_secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_folder_there_are_no_keys() -> None:
    assert load_keys(None, NODE) is None


def test_scripts_are_told_where_the_keys_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster_keys.main(Namespace(folder=tmp_path / "new", json=True), "") == 0

    paths = json.loads(capsys.readouterr().out)["keys"]
    assert sorted(paths) == sorted(map(str, (tmp_path / "new").iterdir()))


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = (folder / "node.key_secret").read_bytes()

    with pytest.raises(ConfigError, match="there are keys already"):
        make_keys(folder)

    assert (folder / "node.key_secret").read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (lambda path: path.unlink(), "is missing; expected a file of sut cluster keys"),
        (lambda path: path.write_text("no key"), "is no key"),
        (lambda path: path.chmod(0o640), "Run chmod 600"),
    ],
    ids=["missing", "no key", "readable"],
)
def test_a_secret_that_is_none_or_no_secret_is_refused(
    folder: Path, spoil: Callable[[Path], object], fragment: str
) -> None:
    spoil(folder / "node.key_secret")

    with pytest.raises(ConfigError, match=fragment):
        load_keys(str(folder), NODE)


def test_an_address_beyond_loopback_needs_keys() -> None:
    with pytest.raises(ConfigError, match="--keys is needed"):
        Node("alpha", "0.0.0.0:0")


def test_nodes_with_keys_end_and_leave_no_guard(folder: Path) -> None:
    for _ in range(20):  # of a socket that another thread closes, libzmq aborts the process
        with running_node(keys=folder):
            pass

    assert "guard" not in {thread.name for thread in threading.enumerate()}


def test_a_run_with_a_key_of_its_own_making_is_refused_in_a_line(
    folder: Path, tmp_path: Path
) -> None:
    public, secret = zmq.curve_keypair()
    with (
        printed(tmp_path) as said,
        running_node(keys=folder) as node,
        zmq.Context() as context,
    ):
        real = load_keys(str(folder), RUN)
        assert real is not None
        sock = context.socket(zmq.DEALER)
        secure_client(sock, Keys(public, secret, real.other))
        monitor = Monitor(sock, REFUSED)
        sock.connect(f"tcp://{node.address}")

        wait_until(lambda: any(monitor.events()), "the node refuses")
        monitor.close()
        sock.close(0)

        assert said() == "node alpha: refused a client at 127.0.0.1: its key is not the run's\n"
