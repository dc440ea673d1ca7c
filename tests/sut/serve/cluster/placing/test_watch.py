"""The watch over nodes, with places that the tests speak for and a clock that they hand in."""

from __future__ import annotations

from sut.serve.cluster.placing.state import NodeState
from sut.serve.cluster.placing.watch import PAUSE_S, Ended, Listening, Watch

UP = Listening("127.0.0.1:5", 17, "127.0.0.1")


class FakePlace:
    """Reports what the test puts there."""

    def __init__(self) -> None:
        self.starts = 0
        self.next: Listening | Ended | None = None

    def start(self) -> None:
        self.starts += 1

    def report(self) -> Listening | Ended | None:
        said, self.next = self.next, None
        return said


def watched(restarts: int) -> tuple[Watch, FakePlace, FakePlace]:
    alpha, beta = FakePlace(), FakePlace()
    nodes = {"alpha": (NodeState("alpha", ("0",)), alpha), "beta": (NodeState("beta", ()), beta)}
    watch = Watch(nodes, restarts)
    watch.start()
    return watch, alpha, beta


def test_nodes_are_up_when_each_has_said_where_it_listens() -> None:
    watch, alpha, beta = watched(restarts=1)

    alpha.next = UP
    seen = [(watch.look(0.0), watch.all_up)]
    beta.next = UP
    seen += [(watch.look(0.1), watch.all_up), (watch.look(0.2), watch.all_up)]

    assert seen == [(True, False), (True, True), (False, True)]
    assert [(node.name, node.address, node.pid) for node in watch.states] == [
        ("alpha", "127.0.0.1:5", 17),
        ("beta", "127.0.0.1:5", 17),
    ]


def test_a_lost_node_starts_again_after_a_pause_and_is_counted() -> None:
    watch, alpha, beta = watched(restarts=3)
    alpha.next = beta.next = UP
    watch.look(0.0)

    alpha.next = Ended("it ended with signal SIGKILL")
    watch.look(10.0)
    watch.look(10.0 + PAUSE_S / 2)
    assert (alpha.starts, watch.states[0].phase) == (1, "starting")
    watch.look(10.0 + PAUSE_S)
    assert (alpha.starts, beta.starts) == (2, 1)
    alpha.next = Listening("127.0.0.1:6", 18, "127.0.0.1")
    watch.look(11.5)

    state = watch.states[0]
    assert (state.phase, state.restarts, state.address) == ("up", 1, "127.0.0.1:6")
    assert state.why == "it ended with signal SIGKILL"


def test_a_node_that_ends_too_often_is_lost_and_stays_so() -> None:
    watch, alpha, _ = watched(restarts=1)

    alpha.next = Ended("no such device", "10.0.0.2")
    watch.look(0.0)
    watch.look(PAUSE_S)
    alpha.next = Ended("no such device", "10.0.0.2")
    watch.look(2.0)
    watch.look(100.0)

    state = watch.states[0]
    assert (state.phase, state.restarts, state.host) == ("lost", 1, "10.0.0.2")
    assert alpha.starts == 2
