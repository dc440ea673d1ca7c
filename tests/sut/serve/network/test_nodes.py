"""Samples that travel to nodes over loopback: real agents, real engines, a real wire."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

import zmq

from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import prepared_samples, resolve_workload
from sut.config.settings import TrialRequest
from sut.serve.cluster import wire
from sut.serve.dispatcher import Outlets
from sut.serve.network.channel import PieceChannel, Travelling
from sut.serve.network.messages import SAMPLE, pack_sample
from sut.serve.network.system import NetworkSystem
from sut.serve.pool import open_system
from sut.serve.samples import SampleSource
from tests.sut.helpers import own
from tests.sut.helpers.nodes import cluster_file, printed, running_node, worker_processes
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sut.config.arguments import Travel
    from sut.serve.cluster.node import Node
    from sut.serve.dispatcher import Failure
    from sut.serve.responses import Responses


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Node, Node]]:
    """Two nodes; their processes stay from test to test."""
    with running_node("alpha") as alpha, running_node("beta") as beta:
        yield alpha, beta


class Run:
    """A run whose samples travel, and what came back."""

    def __init__(self, yaml: Path, cluster: Path, travel: Travel = "raw") -> None:
        plan = resolve(
            Arguments(str(yaml), "Server", cluster=cluster, network=travel, max_batch_size=4)
        )
        workload = resolve_workload(plan.benchmark, plan.harness.backend, None)
        samples = prepared_samples(plan.benchmark, None)
        self.workload = workload.with_samples(samples, images=travel == "jpeg")
        request = TrialRequest(
            scenario="Server",
            accuracy=False,
            out_dir=str(cluster.parent),
            load=plan.arguments.load,
            workload=workload,
            harness=plan.harness,
        )
        self.records: dict[int, bytes] = {}
        self.empty: list[int] = []
        self.failures: list[Failure] = []
        self._changed = threading.Condition()
        outlets = Outlets(self._complete, self, self.failures.append)
        made = open_system(request, outlets)
        assert isinstance(made, NetworkSystem)
        self.system = made

    def __enter__(self) -> Self:
        """Open, load and warm up; leaving it frees the nodes, whatever the test found."""
        every = range(own.COUNT)
        self.facts = self.system.open()
        self.system.load(SampleSource.of(self.workload, every))
        self.system.warm_up(every, 1, 0.0)
        self.front = self.system.front()
        return self

    def __exit__(self, *_: object) -> None:
        self.system.close()

    def ask(self, queries: Sequence[Sequence[int]]) -> list[int]:
        """Issue queries of data set indices; return the class of each sample, in order."""
        first = len(self.records)
        for query in queries:
            ids = list(range(first, first + len(query)))
            self.front.issue_query(ids, list(query))
            first += len(query)
        self.front.flush_queries()
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.records) + len(self.empty) >= first, 20)
        return [int(np.frombuffer(self.records[k], np.float32)[0]) for k in range(first)]

    def query(self, arrival_ns: int, samples: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def _complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        with self._changed:
            if responses is None:
                self.empty += ids
            else:
                records = np.split(responses.block, len(ids))
                found = zip(ids, records, strict=True)
                self.records |= {number: record.tobytes() for number, record in found}
            self._changed.notify_all()


@pytest.mark.parametrize("travel", ["lossless", "jpeg"])
def test_samples_that_were_packed_get_the_answers_of_samples_that_are_there(
    travel: Travel, own_yaml: Path, nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    with Run(own_yaml, cluster_file(tmp_path, nodes[0], devices=("cpu",)), travel) as run:
        found = run.ask([list(range(own.COUNT))])

    assert found == list(own.answers(own_yaml.parent).values())
    assert run.failures == []


def test_samples_that_travel_get_the_same_answers_from_what_loadgen_sees_as_one_sut(
    own_yaml: Path, nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    expected = list(own.answers(own_yaml.parent).values())
    with Run(own_yaml, cluster_file(tmp_path, *nodes, devices=("cpu",))) as run:
        name = run.system.sut_name()
        found = run.ask([[k] for k in range(own.COUNT)] + [list(range(own.COUNT))])
        counts = run.system.counts()

    assert name == "Multi-Node SUT: Network SUT alpha, Network SUT beta"
    assert found == expected * 2
    assert run.failures == []
    assert [engine["node"] for engine in run.facts] == ["alpha", "beta"]
    assert counts["qdl_messages"] == counts["node_samples"] == 2 * own.COUNT
    assert counts["node_batches"] < counts["node_samples"]  # made at the nodes, of the large query


def test_noise_beside_the_samples_is_refused_in_a_line_each_and_the_run_goes_on(
    own_yaml: Path, nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    with (
        printed(tmp_path) as told,
        Run(own_yaml, cluster_file(tmp_path, nodes[0], devices=("cpu",))) as run,
    ):
        (node,) = run.system._nodes
        assert isinstance(node._channel, PieceChannel)
        endpoint = node._channel._sock.getsockopt_string(zmq.LAST_ENDPOINT)
        session = node._session
        heads = [b"", b"\x10", b"\x10" * 37, pack_sample(session, 5, 0), wire._HEAD.pack(0, 7)]
        with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
            sock.connect(endpoint)
            for head in heads:
                sock.send_multipart((head, b"noise"))
        from_the_run = [
            (pack_sample(session, 6, 0), Travelling.of((memoryview(b"too short"),))),
            (
                pack_sample(session, 7, own.COUNT),
                Travelling.of((memoryview(bytes(3 * own.SIZE**2 * 4)),)),
            ),
        ]
        for head, sample in from_the_run:
            node._channel.send_sample(head, sample)
        refusals = len(heads) + 2
        wait_until(lambda: told().count("refused a message") >= refusals, "all are refused")
        found = run.ask([[k] for k in range(own.COUNT)])

    assert told().count("refused a message") == refusals
    assert found == list(own.answers(own_yaml.parent).values())


def test_a_sample_that_cannot_be_unpacked_ends_the_run_and_names_its_node(
    own_yaml: Path, nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    with Run(own_yaml, cluster_file(tmp_path, nodes[0], devices=("cpu",)), "lossless") as run:
        (node,) = run.system._nodes
        assert isinstance(node._channel, PieceChannel)
        head = pack_sample(node._session, 9, 0, kind=SAMPLE)
        spoiled = Travelling.of((memoryview(b"not deflated"),))
        node._channel.send_sample(head, spoiled)
        wait_until(lambda: bool(run.failures), "the run fails")

    assert run.failures[0].message.startswith("alpha: a sample that came cannot be read: error:")


def test_a_node_that_is_killed_ends_the_run_and_no_sample_stays_open(
    own_yaml: Path, nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    with Run(own_yaml, cluster_file(tmp_path, *nodes, devices=("cpu",))) as run:
        for process in worker_processes("sut.serve.received.child"):
            with contextlib.suppress(ProcessLookupError):  # of the test before, and ending
                os.kill(process, signal.SIGKILL)
        started_s = time.monotonic()
        run.front.issue_query(list(range(40)), [0] * 40)
        with run._changed:
            assert run._changed.wait_for(lambda: len(run.records) + len(run.empty) >= 40, 20)
        took_s = time.monotonic() - started_s

    assert run.failures
    assert re.match(r"(node )?(alpha|beta)\b.*", run.failures[0].message)
    assert took_s < 2
