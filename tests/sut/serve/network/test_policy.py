"""The Query Dispatch Library sends each sample by itself, to the node that should answer first."""

from __future__ import annotations

import pytest

from sut.serve.network.policy import NodePolicy


def sent(policy: NodePolicy) -> list[int]:
    nodes = []
    while (assignment := policy.next_batch(0)) is not None:
        assert assignment.samples == 1
        nodes.append(assignment.worker)
    return nodes


def test_a_query_of_many_samples_is_sent_sample_by_sample() -> None:
    policy = NodePolicy([8])

    policy.arrive(0, 3)
    policy.arrive(5, 1)

    assert sent(policy) == [0, 0, 0, 0]


def test_each_sample_keeps_the_arrival_of_its_query() -> None:
    policy = NodePolicy([8])

    policy.arrive(3, 2)
    policy.arrive(7, 1)
    found = [policy.next_batch(9) for _ in range(3)]

    assert [assignment and assignment.oldest_ns for assignment in found] == [3, 3, 7]


def test_samples_go_round_equal_nodes() -> None:
    policy = NodePolicy([4, 4, 4])

    policy.arrive(0, 6)

    assert sent(policy) == [0, 1, 2, 0, 1, 2]


def test_a_node_that_is_twice_as_fast_gets_twice_as_many() -> None:
    policy = NodePolicy([100, 100])
    policy.measured(0, 1000.0)
    policy.measured(1, 2000.0)

    policy.arrive(0, 30)
    nodes = sent(policy)

    assert (nodes.count(0), nodes.count(1)) == (20, 10)


def test_no_node_gets_more_than_it_has_room_for() -> None:
    policy = NodePolicy([2, 1])

    policy.arrive(0, 9)
    first = sent(policy)
    policy.finish(1, 10, 5.0)

    assert sorted(first) == [0, 0, 1]
    assert sent(policy) == [1]
    assert not policy.has_credit


def test_a_lost_node_gets_nothing_and_its_samples_go_elsewhere() -> None:
    policy = NodePolicy([2, 2])
    policy.arrive(0, 3)
    sent(policy)

    assert policy.lose(0)
    assert not policy.lose(0)
    again = [policy.next_again(0, 1) for _ in range(2)]

    assert again == [(1, 1), None]
    policy.finish(0, 5, 1.0)  # an answer that was on its way
    assert not policy.has_credit
    policy.lose(1)
    assert not policy.has_workers


@pytest.mark.parametrize(("samples", "drained"), [(0, True), (3, False)])
def test_a_series_is_drained_when_it_is_flushed_and_sent(samples: int, drained: bool) -> None:
    policy = NodePolicy([2])
    if samples:
        policy.arrive(0, samples)

    assert not policy.is_drained
    policy.flush()

    assert policy.is_drained == drained
