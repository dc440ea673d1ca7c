"""What breaks in a cluster is noticed, named, and, where the load allows it, done without."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

from sut.base.standing import STOPPED
from sut.serve.cluster.channel import Poller
from sut.serve.cluster.receiver import ClusterReceiver
from sut.serve.cluster.watched import Watched
from sut.serve.samples import SampleSource
from tests.sut.helpers.machines import SUT, Node, children, cmdline
from tests.sut.helpers.nodes import Cluster, cluster_file, running_node
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sut.base.errors import SutError
    from sut.serve.cluster.link import NodeLink
    from sut.serve.dispatcher import Dispatcher
    from sut.serve.pool import BatchSystem

SAMPLES = 40


def opened(cluster: Cluster, *, tolerate_loss: bool = False) -> tuple[Dispatcher, BatchSystem]:
    """Open the system of a cluster; return its front, too."""
    system = cluster.system(tolerate_loss=tolerate_loss)
    system.open()
    system.load(SampleSource.of(cluster.request.workload, range(8)))
    system.warm_up(range(8), 1, 0.0)
    return system.front(), system


def test_a_load_that_tolerates_loss_goes_on_with_the_other_workers(tmp_path: Path) -> None:
    with running_node("beta") as beta:
        cluster = Cluster(cluster_file(tmp_path, beta, devices=("0", "1")), delay_us=5_000)
        front, system = opened(cluster, tolerate_loss=True)
        for sample in range(SAMPLES):
            front.issue_query([sample], [0])

        (worker,) = (pid for pid in children(os.getpid()) if "device 1" in cmdline(pid))
        os.kill(worker, signal.SIGKILL)
        cluster.wait(SAMPLES)
        system.counts()
        system.close()

    assert sorted(cluster.answered) == list(range(SAMPLES))
    assert cluster.failures == []
    (loss,) = cluster.losses
    assert loss.message.startswith("beta/device 1: its process ended with signal SIGKILL")
    assert loss.samples > 0


class Front:
    """Stands where the dispatcher is."""

    def __init__(self) -> None:
        self.failure: None = None
        self.said: list[str] = []

    def fail(self, message: str, traceback: str) -> None:
        self.said.append(message)


class BadLink:
    """A link with an error of its own."""

    def __init__(self) -> None:
        self.lost: list[SutError] = []

    def connect(self, context: object) -> None:
        raise ZeroDivisionError("a bug")

    def lose(self, error: SutError) -> None:
        self.lost.append(error)


def test_a_receiver_that_ends_by_an_error_of_its_own_ends_the_run() -> None:
    front, link = Front(), BadLink()
    links = cast("list[NodeLink]", [link])
    receiver = ClusterReceiver(links, Poller(), cast("Dispatcher", front))

    receiver.start()
    wait_until(lambda: bool(link.lost), "everything that waits is told")
    receiver.close()

    (said,) = front.said
    assert said.endswith("ended with ZeroDivisionError: a bug")
    assert said in str(link.lost[0])


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_that_stands_still_for_long_is_told_and_one_that_goes_on_is_not(
    sleeper: subprocess.Popen[bytes],
) -> None:
    ours, theirs = socket.socketpair()
    ended, end = os.pipe()
    watched = Watched([("device 0", "")], [sleeper.pid], [ours], ended, stopped_s=0.1)

    assert watched.wait() == []
    sleeper.send_signal(signal.SIGSTOP)
    wait_until(lambda: watched.wait() == [(0, STOPPED)], "it is told")
    sleeper.send_signal(signal.SIGCONT)
    wait_until(lambda: watched.wait() == [], "it goes on")
    theirs.close()
    assert watched.wait() == [(0, "")]
    watched.forget(0)
    os.write(end, b"x")
    assert watched.wait() == [(None, "")]
    for descriptor in (ended, end):
        os.close(descriptor)
    ours.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Node]:
    """The agent of a node, as a process."""
    words = ("cluster", "node", "--name", "alpha", "--listen", "127.0.0.1:0")
    node = Node("alpha", [*SUT, *words], tmp_path / "alpha.log")
    node.start()
    node.until_listening()
    yield node
    node.stop()


@pytest.mark.slow
def test_a_node_that_falls_silent_is_lost_and_named_although_its_worker_answers(
    agent: Node, tmp_path: Path
) -> None:
    cluster = Cluster(cluster_file(tmp_path, agent))
    front, system = opened(cluster)

    os.kill(agent.pid, signal.SIGSTOP)
    wait_until(lambda: bool(cluster.failures), "it is lost")
    front.issue_query([1], [0])
    cluster.wait(1)
    system.close()

    (failure,) = cluster.failures
    assert failure.message.startswith("node alpha at 127.0.0.1:")
    assert "nothing was heard of it for 1.5 s" in failure.message
    assert cluster.empty == [1]
