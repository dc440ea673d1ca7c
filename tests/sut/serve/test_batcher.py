"""The batcher as a state machine: the time is an argument, so nothing here waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.record.trace import Close
from sut.serve.batcher import Batcher, BatcherSettings

MS = 1_000_000


def make(cap: int = 4, delay_ns: int = 2 * MS) -> Batcher:
    return Batcher(BatcherSettings(cap, delay_ns))


def test_nothing_pending_closes_nothing() -> None:
    batcher = make()

    assert batcher.close(0, cap=4, idle=True) is None
    assert batcher.due_ns() is None


def test_a_full_batch_closes_at_once() -> None:
    batcher = make(cap=4)
    batcher.add(0, 4)

    assert batcher.close(0, cap=4, idle=False) is Close.FULL


def test_a_smaller_cap_of_the_worker_counts_as_full() -> None:
    batcher = make(cap=4)
    batcher.add(0, 2)

    assert batcher.close(0, cap=2, idle=False) is Close.FULL


def test_the_delay_counts_from_the_oldest_sample() -> None:
    batcher = make(delay_ns=2 * MS)
    batcher.add(0, 1)
    batcher.add(1 * MS, 1)

    assert batcher.close(2 * MS - 1, cap=4, idle=False) is None
    assert batcher.close(2 * MS, cap=4, idle=False) is Close.DELAY
    assert batcher.due_ns() == 2 * MS


def test_no_delay_sends_what_is_there() -> None:
    batcher = make(delay_ns=0)
    batcher.add(5, 1)

    assert batcher.close(5, cap=4, idle=False) is Close.DELAY


def test_a_flush_closes_a_partial_batch_until_the_next_query() -> None:
    batcher = make()
    batcher.add(0, 1)
    batcher.flush()

    assert batcher.close(0, cap=4, idle=False) is Close.FLUSH

    batcher.add(1, 1)
    assert batcher.close(1, cap=4, idle=False) is None


def test_an_idle_worker_gets_a_partial_batch_when_the_next_query_is_far_off() -> None:
    batcher = make(delay_ns=2 * MS)
    for arrival in range(0, 1_000 * MS, 10 * MS):  # one query every 10 ms
        batcher.add(arrival, 1)
        batcher.take(1)
    batcher.add(1_000 * MS, 1)

    assert batcher.close(1_000 * MS, cap=4, idle=True) is Close.IDLE
    assert batcher.close(1_000 * MS, cap=4, idle=False) is None


def test_an_idle_worker_waits_when_the_next_query_is_near() -> None:
    batcher = make(delay_ns=2 * MS)
    for arrival in range(0, 10 * MS, MS // 10):  # one query every 0.1 ms
        batcher.add(arrival, 1)
        batcher.take(1)
    batcher.add(10 * MS, 1)

    assert batcher.close(10 * MS, cap=4, idle=True) is None


def test_taking_part_of_a_query_keeps_its_arrival_for_the_rest() -> None:
    batcher = make(cap=4)
    batcher.add(7, 6)

    assert batcher.take(4) == 7
    assert batcher.pending == 2
    assert batcher.take(2) == 7


@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 5 * MS), st.integers(1, 9)), min_size=1, max_size=60
    ),
    cap=st.integers(1, 8),
    delay_ns=st.integers(0, 3 * MS),
)
def test_every_sample_leaves_once_in_order_and_none_is_held_beyond_the_delay(
    arrivals: list[tuple[int, int]], cap: int, delay_ns: int
) -> None:
    """A device that is always free: batches close by rule at arrivals and at due times only."""
    batcher = make(cap, delay_ns)
    sent: list[tuple[int, int, int]] = []  # oldest_ns, samples, at

    def send_due(now_ns: int) -> None:
        while batcher.close(now_ns, cap, idle=False) is not None:
            samples = min(batcher.pending, cap)
            sent.append((batcher.take(samples), samples, now_ns))

    now_ns = 0
    for gap_ns, samples in arrivals:
        arrival_ns = now_ns + gap_ns
        while (due_ns := batcher.due_ns()) is not None and due_ns <= arrival_ns:
            send_due(due_ns)
        now_ns = arrival_ns
        batcher.add(now_ns, samples)
        send_due(now_ns)
    batcher.flush()
    send_due(now_ns)

    assert sum(samples for _, samples, _ in sent) == sum(samples for _, samples in arrivals)
    assert batcher.pending == 0
    assert all(1 <= samples <= cap for _, samples, _ in sent)
    assert [oldest for oldest, _, _ in sent] == sorted(oldest for oldest, _, _ in sent)
    assert all(at - oldest <= delay_ns for oldest, _, at in sent)


@pytest.mark.parametrize("samples", [1, 3, 4, 5, 8])
def test_due_time_is_when_close_turns_true(samples: int) -> None:
    batcher = make(cap=100, delay_ns=2 * MS)
    batcher.add(0, samples)
    due_ns = batcher.due_ns()

    assert due_ns is not None
    assert batcher.close(due_ns - 1, cap=100, idle=False) is None
    assert batcher.close(due_ns, cap=100, idle=False) is not None
