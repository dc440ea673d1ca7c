"""A run on nodes over loopback: real agents, real worker processes, the null backend."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

import zmq

from sut import __version__
from sut.base.errors import ConfigError, WorkerError
from sut.config.workload import Model
from sut.serve.cluster import messages, wire
from sut.serve.cluster.security import make_keys
from sut.serve.cluster.session import Offer
from sut.serve.samples import SampleSource
from tests.sut.helpers.nodes import Cluster, cluster_file, printed, running_node, worker_processes
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.serve.cluster.node import Node
    from sut.serve.pool import BatchSystem

LIMIT_MS = 10_000


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both sides' keys are."""
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def node(keys: Path) -> Iterator[Node]:
    """A node; its worker process stays from test to test."""
    with running_node(keys=keys) as started:
        yield started


@pytest.fixture
def cluster(node: Node, keys: Path, tmp_path: Path) -> Cluster:
    """The null backend on the node."""
    return Cluster(cluster_file(tmp_path, node, keys=keys))


def opened(cluster: Cluster) -> BatchSystem:
    system = cluster.system()
    system.open()
    system.load(SampleSource.of(cluster.request.workload, range(8)))
    system.warm_up(range(8), 1, 0.0)
    return system


def ask(address: str, data: bytes) -> messages.FromNode:
    """Send a message to an agent without a key; return what comes back."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.linger = 0
        sock.connect(f"tcp://{address}")
        sock.send(data)
        assert sock.poll(LIMIT_MS), "no answer"
        answer: messages.FromNode = wire.unpack(sock.recv(), messages.FROM_NODE)
        return answer


def test_a_node_answers_every_sample_once_and_takes_the_next_run(cluster: Cluster) -> None:
    ids = list(range(1, 101))
    processes = []

    for _ in range(2):
        system = opened(cluster)
        front = system.front()
        for sample in ids:
            front.issue_query([sample], [sample % 8])
        front.flush_queries()
        cluster.wait(len(ids))
        counts = system.counts()
        processes.append(worker_processes())
        system.close()

        assert sorted(cluster.answered) == ids
        assert counts["not_finite"] == 0
        cluster.answered.clear()
    assert cluster.failures == []
    assert processes[0] == processes[1] != []


def test_a_run_that_asks_for_new_worker_processes_gets_them(cluster: Cluster) -> None:
    processes = []

    for fresh in (False, True):
        harness = cluster.request.harness
        assert harness.remote is not None
        asked = replace(harness, remote=replace(harness.remote, fresh=fresh))
        cluster.request = replace(cluster.request, harness=asked)
        system = opened(cluster)
        processes.append(worker_processes())
        system.close()

    assert len(processes[0]) == len(processes[1]) == 1
    assert processes[0] != processes[1]


def test_the_times_of_a_batch_lie_between_its_closing_and_its_completion(cluster: Cluster) -> None:
    system = opened(cluster)
    system.front().issue_query([1], [0])
    cluster.wait(1)
    wait_until(lambda: bool(cluster.times), "the times are recorded")
    system.close()

    *_, closed_ns, started_ns, finished_ns, completed_ns = cluster.times[0]
    assert closed_ns <= started_ns <= finished_ns <= completed_ns


def test_strangers_and_noise_are_refused_in_a_line_each_and_the_run_goes_on(
    cluster: Cluster, node: Node, tmp_path: Path
) -> None:
    host, _, port = node.address.rpartition(":")

    with printed(tmp_path) as said:
        system = opened(cluster)
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        wait_until(lambda: said().count("refused a client") == 1, "noise is refused")
        with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
            sock.linger = 0
            sock.connect(f"tcp://{node.address}")  # without a key
            sock.send(wire.pack(0, messages.Hello(messages.PROTOCOL, __version__, "a stranger")))
            wait_until(lambda: said().count("refused a client") == 2, "a stranger is refused")
        system.front().issue_query([1], [0])
        cluster.wait(1)
        system.close()

    assert cluster.answered == [1]
    assert cluster.failures == []


@pytest.fixture(scope="module")
def open_node() -> Iterator[Node]:
    """A node without keys, on one core and one port for workers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    core = min(os.sched_getaffinity(0))
    offer = Offer(devices=("0", "1"), affinity={"0": str(core)}, ports=range(port, port + 1))
    with running_node("beta", offer=offer) as started:
        yield started


def test_a_thousand_malformed_messages_are_refused_in_a_line_each_and_the_run_goes_on(
    open_node: Node, tmp_path: Path
) -> None:
    cluster = Cluster(cluster_file(tmp_path, open_node))
    bye = wire.pack(1, messages.Bye(spoiled=True))

    with printed(tmp_path) as said:
        system = opened(cluster)
        front = system.front()
        with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
            sock.connect(f"tcp://{open_node.address}")
            for number in range(1000):
                sock.send(bye[: number % 16] + os.urandom(number % 7))
                front.issue_query([number + 1], [number % 8])
            cluster.wait(1000)
            wait_until(
                lambda: said().count("node beta: refused a message: ") == 1000, "all are refused"
            )
        system.close()

    assert len(cluster.answered) == 1000
    assert cluster.failures == []


def test_a_worker_refuses_what_is_not_its_runs_in_a_line_each_and_answers_its_run(
    open_node: Node, tmp_path: Path
) -> None:
    cluster = Cluster(cluster_file(tmp_path, open_node))
    noise = [b"", b"\xff", wire.pack_batch(1, 1, [0]), wire.pack(1, messages.Open())]

    with printed(tmp_path) as said:
        system = opened(cluster)
        with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
            sock.connect(f"tcp://127.0.0.1:{open_node.offer.ports[0]}")
            for data in noise:
                sock.send(data)
            wait_until(
                lambda: said().count("device 0: refused a message: ") == len(noise),
                "the worker refuses them",
            )
        system.front().issue_query([1], [0])
        cluster.wait(1)
        system.close()

        assert said().count("session 0000000000000001 is not open here") == 2
    assert cluster.answered == [1]


def test_another_version_is_refused_with_both(open_node: Node) -> None:
    hello = messages.Hello(messages.PROTOCOL, "0.0.9", "an old run")

    answer = ask(open_node.address, wire.pack(0, hello))

    assert isinstance(answer, messages.Refused)
    assert f"node beta: has version {__version__}" in answer.text
    assert "expected 0.0.9" in answer.text


def test_a_node_that_works_for_another_run_says_for_which(open_node: Node, tmp_path: Path) -> None:
    system = opened(Cluster(cluster_file(tmp_path, open_node)))
    hello = messages.Hello(messages.PROTOCOL, __version__, "a second run")

    answer = ask(open_node.address, wire.pack(0, hello))
    system.close()

    assert isinstance(answer, messages.Refused)
    assert answer.is_busy
    assert f"process {os.getpid()}" in answer.text


def test_a_run_that_is_gone_without_a_word_leaves_its_node_to_the_next(open_node: Node) -> None:
    hello = wire.pack(0, messages.Hello(messages.PROTOCOL, __version__, "a run that dies"))

    def is_welcome() -> bool:
        return isinstance(ask(open_node.address, hello), messages.Welcome)

    wait_until(is_welcome, "the node is free of the test before")
    waited_s = wait_until(is_welcome, "the node is free")

    assert waited_s < LIMIT_MS / 1e3


@pytest.mark.parametrize(
    ("definition", "benchmark", "fragment"),
    [
        ("0" * 64, "resnet50", "node beta: the definition of benchmark resnet50 is "),
        ("", "no-such", "no-such"),
    ],
)
def test_a_node_that_has_another_benchmark_is_refused(
    open_node: Node, tmp_path: Path, definition: str, benchmark: str, fragment: str
) -> None:
    cluster = Cluster(cluster_file(tmp_path, open_node))
    harness = cluster.request.harness
    assert harness.remote is not None
    remote = replace(harness.remote, definition=definition, benchmark=benchmark)
    cluster.request = replace(cluster.request, harness=replace(harness, remote=remote))
    system = cluster.system()

    with pytest.raises(ConfigError, match=fragment):
        system.open()
    system.close()


def test_a_node_that_has_another_model_is_refused_with_both_hashes(
    open_node: Node, tmp_path: Path
) -> None:
    cluster = Cluster(cluster_file(tmp_path, open_node))
    model = Model("model.onnx", "a" * 64, "a file")
    workload = replace(cluster.request.workload, model=model)
    cluster.request = replace(cluster.request, workload=workload)
    system = cluster.system()

    with pytest.raises(
        ConfigError, match="node beta: the model is none; expected model aaaaaaaaaaaa"
    ):
        system.open()
    system.close()


def test_a_node_that_has_other_samples_is_refused(open_node: Node, tmp_path: Path) -> None:
    cluster = Cluster(cluster_file(tmp_path, open_node))
    system = cluster.system()
    system.open()
    source = SampleSource.of(cluster.request.workload, range(8))

    with pytest.raises(ConfigError, match="node beta: the number of samples is 1024; expected 7"):
        system.load(replace(source, count=7))
    with pytest.raises(ConfigError, match="node beta: the samples' hash is none; expected beef"):
        system.load(replace(source, digest="beef"))
    system.close()


def test_a_file_that_calls_a_node_otherwise_is_refused(open_node: Node, tmp_path: Path) -> None:
    path = cluster_file(tmp_path, open_node)
    path.write_text(path.read_text("utf-8").replace("beta", "gamma"), "utf-8")
    system = Cluster(path).system()

    with pytest.raises(ConfigError, match="its name is beta; expected gamma"):
        system.open()
    system.close()


def test_a_killed_worker_is_named_with_its_signal_and_no_sample_stays_open(
    open_node: Node, tmp_path: Path
) -> None:
    cluster = Cluster(cluster_file(tmp_path, open_node), delay_us=5_000)
    system = opened(cluster)
    front, processes = system.front(), worker_processes()
    cores = [os.sched_getaffinity(process) for process in processes]
    for sample in range(1, 401):
        front.issue_query([sample], [0])

    started_s = time.monotonic()
    for process in processes:
        os.kill(process, signal.SIGKILL)
    cluster.wait(400)
    took_s = time.monotonic() - started_s
    system.close()

    (failure,) = cluster.failures
    assert failure.message.startswith("beta/device 0: its process ended with signal SIGKILL")
    assert took_s < 2.0
    assert {min(os.sched_getaffinity(0))} in cores


def test_a_device_that_a_node_does_not_offer_is_refused(open_node: Node, tmp_path: Path) -> None:
    system = Cluster(cluster_file(tmp_path, open_node, devices=("7",))).system()

    with pytest.raises(ConfigError, match="node beta: has no device 7; expected one of 0, 1"):
        system.open()
    system.close()


def test_more_workers_than_ports_are_refused(open_node: Node, tmp_path: Path) -> None:
    system = Cluster(cluster_file(tmp_path, open_node, devices=("0", "1"))).system()

    with pytest.raises(ConfigError, match="--worker-ports: none of"):
        system.open()
    system.close()


def test_nobody_listens_is_said_with_the_command_that_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    path = tmp_path / "cluster.yaml"
    path.write_text(f'nodes: [{{name: alpha, address: "{address}", devices: ["0"]}}]', "utf-8")
    system = Cluster(path).system()

    with pytest.raises(WorkerError, match=f"sut cluster node --name alpha --listen {address}"):
        system.open()
    system.close()
