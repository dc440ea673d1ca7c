"""A closed loop: as many requests in flight as clients, at any time, whatever batches come back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sut.load.closed_loop import ClosedLoop
from tests.sut.load.fronts import AtOnce, NoTrace, Steps


def started(clients: int, request_batch: int, samples: int = 5) -> tuple[ClosedLoop, Steps]:
    load, front = ClosedLoop(clients, request_batch, samples, NoTrace()), Steps()
    load.run(front)
    return load, front


def test_every_client_sends_one_request_at_the_start() -> None:
    _, front = started(clients=3, request_batch=2)

    assert front.queries == [6]
    assert front.indices == [0, 1, 2, 3, 4, 0]


def test_a_whole_request_is_followed_by_the_next_at_once() -> None:
    load, front = started(clients=3, request_batch=1)

    front.answer(load, 2, at_ns=7)

    assert front.queries == [3, 2]
    assert load.scheduled_ns()[3:].tolist() == [7, 7]


def test_a_request_that_a_batch_cuts_is_followed_when_its_rest_is_there() -> None:
    load, front = started(clients=2, request_batch=4)

    front.answer(load, 3, at_ns=1)
    assert front.queries == [8]
    front.answer(load, 2, at_ns=2)

    assert front.queries == [8, 4]
    assert load.scheduled_ns()[2:].tolist() == [2]


@given(
    clients=st.integers(1, 5),
    request_batch=st.integers(1, 7),
    cuts=st.lists(st.integers(1, 12), max_size=30),
)
def test_what_is_in_flight_never_changes_by_a_whole_request(
    clients: int, request_batch: int, cuts: list[int]
) -> None:
    load, front = started(clients, request_batch)
    for at_ns, cut in enumerate(cuts):
        front.answer(load, min(cut, front.waiting), at_ns)

        missing = clients * request_batch - front.waiting
        assert missing == front.answered % request_batch


def test_a_request_whose_parts_come_back_in_the_wrong_order_is_followed_once() -> None:
    load, front = started(clients=1, request_batch=4)

    load.batch(1, 3, 1, 0, 0, 5, 5, 5, 5, 5)
    assert front.queries == [4]
    load.batch(0, 0, 3, 0, 0, 6, 6, 6, 6, 6)

    assert front.queries == [4, 4]
    assert load.scheduled_ns()[1:].tolist() == [6]


def test_after_a_stop_nothing_follows_and_the_last_answer_ends_the_wait() -> None:
    load, front = started(clients=2, request_batch=1)
    load.stop()

    front.answer(load, 1, at_ns=1)
    assert not load.wait(0)
    front.answer(load, 1, at_ns=2)

    assert load.wait(0)
    assert front.queries == [2]


def test_a_system_that_answers_on_the_asking_thread_does_not_go_deeper_and_deeper() -> None:
    front = AtOnce(load_ends_after=5_000)
    load = front.load = ClosedLoop(1, 1, 10, NoTrace())

    load.run(front)

    assert load.wait(0)
    assert len(load.scheduled_ns()) == 5_001
