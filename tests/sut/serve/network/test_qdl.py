"""The Query Dispatch Library without a network: which answers count, and whose memory stays."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

from sut.serve.dispatcher import Outlets
from sut.serve.network.policy import NodePolicy
from sut.serve.network.qdl import Library, NetworkNode, QueryDispatchLibrary
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.serve.batch import Batch


class Run:
    """A QDL with nodes of two rooms each that only keep what they are sent."""

    def __init__(self, nodes: int) -> None:
        self.completed: list[tuple[list[int], bytes | None]] = []
        self.recorded: list[int] = []
        self.sent: list[Batch] = []
        self.front = QueryDispatchLibrary(
            NodePolicy([2] * nodes), Outlets(self._complete, self, lambda _: None)
        )
        self._nodes = nodes

    def __enter__(self) -> Self:
        """Start."""
        self.front.start([self] * self._nodes)
        return self

    def __exit__(self, *_: object) -> None:
        self.front.close()

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker."""
        self.sent.append(batch)

    def query(self, arrival_ns: int, samples: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See sut.serve.dispatcher.Recorder."""
        self.recorded.append(number)

    def _complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        block = None if responses is None else responses.block.tobytes()
        self.completed.append((list(ids), block))


def test_one_answer_completes_its_samples_at_once_and_sends_as_many() -> None:
    with Run(nodes=1) as run:
        run.front.issue_query([10, 11, 12, 13, 14], [0, 1, 2, 3, 4])
        first = run.sent[::-1]

        run.front.answered(first, Responses.of(np.frombuffer(b"ba", np.uint8)))

    assert run.completed == [([11, 10], b"ba")]
    assert run.recorded == [1, 0]
    assert [batch.ids for batch in run.sent] == [[10], [11], [12], [13]]
    assert run.front.completed == (2, 2)


@pytest.mark.parametrize(
    "answers",
    [
        Responses.of(np.frombuffer(b"0123", np.uint8)),
        Responses.of([np.frombuffer(record, np.uint8) for record in (b"0", b"--", b"2", b"")]),
    ],
    ids=["equal", "unequal"],
)
def test_a_late_answer_beside_others_counts_for_none_but_theirs(answers: Responses) -> None:
    with Run(nodes=2) as run:
        run.front.issue_query([20, 21, 22, 23], [0, 0, 0, 0])
        run.front.fail("node 1 is lost", "")
        run.front.give_up(1)

        run.front.answered(run.sent, answers)
        run.front.answered(run.sent, answers)

    assert [batch.worker for batch in run.sent] == [0, 1, 0, 1]
    assert run.completed == [([21], None), ([23], None), ([20, 22], b"02")]
    assert sorted(run.recorded) == [0, 1, 2, 3]


@pytest.mark.parametrize("owes", [False, True])
def test_samples_stay_in_memory_while_a_node_owes_an_answer(*, owes: bool) -> None:
    node = NetworkNode("alpha", 0, Run(nodes=1).front, 1.0)
    if owes:
        node.ask_name()
    before = Library({0: (memoryview(b"sample"),)}, None)
    before_there = weakref.ref(before)
    node.use(before)

    node.use(Library({}, None))
    del before
    gc.collect()

    assert (before_there() is not None) == owes
