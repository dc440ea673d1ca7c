"""The dispatch policy on a virtual clock."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.record.trace import Close
from sut.serve.batcher import BatcherSettings
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.service_curve import ServiceCurve

if TYPE_CHECKING:
    from collections.abc import Iterable

MS = 1_000_000


def policy(cap: int = 8, delay_ns: int = 0, workers: int = 1, slots: int = 1) -> Policy:
    limits = [WorkerLimits(slots, cap) for _ in range(workers)]
    return Policy(BatcherSettings(cap, delay_ns), limits)


def test_a_batch_is_sent_only_while_a_slot_is_free() -> None:
    made = policy(cap=2)
    made.arrive(0, 4)

    first = made.next_batch(0)
    assert first is not None
    assert first.samples == 2
    assert not made.has_credit
    assert made.next_batch(0) is None

    made.finish(0, 5 * MS, 5 * MS)
    assert made.next_batch(5 * MS) is not None


def test_the_worker_that_is_predicted_to_answer_first_gets_the_batch() -> None:
    made = policy(cap=4, workers=2, slots=2)
    made.prime(0, {1: 10 * MS, 4: 10 * MS})
    made.prime(1, {1: 4 * MS, 4: 4 * MS})

    chosen = []
    for _ in range(3):
        made.arrive(0, 4)
        assignment = made.next_batch(0)
        assert assignment is not None
        chosen.append(assignment.worker)

    # The fast worker answers at 4 and 8 ms; a third batch would wait for a slot there.
    assert chosen == [1, 1, 0]


def test_a_slower_worker_gets_its_share_by_measurement() -> None:
    """Two devices, one twice as slow, always busy: batches are shared two to one."""
    made = policy(cap=4, workers=2)
    speed_ns = [2 * MS, 4 * MS]
    ends: list[tuple[int, int]] = []
    sent = [0, 0]
    now_ns = 0
    made.arrive(0, 4 * 300)
    while True:
        while (assignment := made.next_batch(now_ns)) is not None:
            sent[assignment.worker] += 1
            ends.append((now_ns + speed_ns[assignment.worker], assignment.worker))
        if not ends:
            break
        ends.sort()
        now_ns, worker = ends.pop(0)
        made.finish(worker, now_ns, speed_ns[worker])

    assert sum(sent) == 300
    assert abs(sent[0] - 200) <= 1


def test_no_time_is_named_while_only_a_free_slot_can_help() -> None:
    made = policy(cap=2, delay_ns=MS)
    made.arrive(0, 2)
    made.next_batch(0)
    made.arrive(0, 1)

    assert made.due_ns(0) is None


def test_the_due_time_is_that_of_the_oldest_sample() -> None:
    made = policy(cap=8, delay_ns=MS, slots=2)
    made.arrive(0, 8)
    made.next_batch(0)
    made.arrive(100, 1)
    made.arrive(200, 1)

    assert made.next_batch(300) is None
    assert made.due_ns(300) == 100 + MS


def test_a_curve_interpolates_between_measured_sizes() -> None:
    curve = ServiceCurve(16)
    curve.prime({1: 1 * MS, 9: 9 * MS})

    assert curve.predict_ns(5) == 5 * MS
    assert curve.predict_ns(1) == 1 * MS
    assert curve.predict_ns(16) == 16 * MS


def test_a_curve_follows_what_it_observes() -> None:
    curve = ServiceCurve(4)
    curve.prime({4: 4 * MS})
    for _ in range(100):
        curve.observe(4, 8 * MS)

    assert abs(curve.predict_ns(4) - 8 * MS) < 0.01 * MS


@given(
    queries=st.lists(
        st.tuples(st.integers(0, 3 * MS), st.integers(1, 20)), min_size=1, max_size=40
    ),
    speeds=st.lists(st.integers(MS // 10, 5 * MS), min_size=1, max_size=4),
    slots=st.integers(1, 3),
    cap=st.integers(1, 8),
    delay_ns=st.integers(0, 4 * MS),
)
def test_all_samples_are_served_within_caps_and_none_waits_beyond_the_delay_beside_a_free_slot(
    queries: list[tuple[int, int]], speeds: list[int], slots: int, cap: int, delay_ns: int
) -> None:
    made = policy(cap, delay_ns, len(speeds), slots)
    free_ns = [0] * len(speeds)
    ends: list[tuple[int, int]] = []
    arrivals = []
    at = 0
    for gap_ns, samples in queries:
        at += gap_ns
        arrivals.append((at, samples))
    total = sum(samples for _, samples in queries)
    served = arrived = 0
    now_ns = 0
    while ends or served < total:
        due_ns = made.due_ns(now_ns)
        times = [
            t for t in (due_ns, *(e[0] for e in ends), *(a[0] for a in arrivals)) if t is not None
        ]
        assert times, "samples wait and nothing will ever happen"
        now_ns = max(now_ns, min(times))
        while arrivals and arrivals[0][0] <= now_ns:
            made.arrive(*arrivals[0])
            arrived += arrivals.pop(0)[1]
        if not arrivals:
            made.flush()
        for end in sorted(e for e in ends if e[0] <= now_ns):
            ends.remove(end)
            made.finish(end[1], end[0], speeds[end[1]])
        while (assignment := made.next_batch(now_ns)) is not None:
            assert 1 <= assignment.samples <= cap
            served += assignment.samples
            worker = assignment.worker
            free_ns[worker] = max(free_ns[worker], now_ns) + speeds[worker]
            ends.append((free_ns[worker], worker))
            assert sum(1 for e in ends if e[1] == worker) <= slots
        if made.has_credit and served < arrived:
            due_ns = made.due_ns(now_ns)
            assert due_ns is not None
            assert due_ns <= now_ns + delay_ns + 20_000

    assert served == total


# Late closing


def late(cap: int = 8, workers: int = 1, slots: int = 2) -> Policy:
    made = Policy(BatcherSettings(cap, None), [WorkerLimits(slots, cap) for _ in range(workers)])
    for worker in range(workers):
        made.prime(worker, {1: 10 * MS, cap: 10 * MS})
    return made


def test_late_closing_sends_to_an_idle_device_at_once() -> None:
    made = late()
    made.arrive(3 * MS, 1)

    sent = made.next_batch(3 * MS)

    assert sent is not None
    assert (sent.samples, sent.why) == (1, Close.LATE)


def test_late_closing_waits_until_the_device_is_about_to_be_free() -> None:
    made = late()
    made.arrive(0, 1)
    assert made.next_batch(0) is not None
    made.arrive(1 * MS, 2)

    due_ns = made.due_ns(1 * MS)

    assert due_ns is not None
    assert 9 * MS < due_ns < 10 * MS
    assert made.next_batch(due_ns - 1) is None
    made.arrive(due_ns - 1, 3)
    sent = made.next_batch(due_ns)
    assert sent is not None
    assert sent.samples == 5


def test_late_closing_sends_a_full_batch_at_once() -> None:
    made = late(cap=4)
    made.arrive(0, 1)
    assert made.next_batch(0) is not None
    made.arrive(1 * MS, 4)

    sent = made.next_batch(1 * MS)

    assert sent is not None
    assert (sent.samples, sent.why) == (4, Close.FULL)


def test_late_closing_looks_again_earlier_when_a_batch_ends_early() -> None:
    made = late(slots=3)
    for _ in range(2):
        made.arrive(0, 8)
        assert made.next_batch(0) is not None
    made.arrive(1 * MS, 1)
    before_ns = made.due_ns(1 * MS)

    made.finish(0, 5 * MS, 5 * MS)

    after_ns = made.due_ns(5 * MS)
    assert before_ns is not None
    assert after_ns is not None
    assert after_ns < before_ns


def closings(hops_ns: Iterable[int], service_ns: int) -> tuple[list[int], list[int]]:
    """Close late on one device, with a hop to it for each batch.

    Returns:
        For each batch how long the device waited for it, and how long before the device was free it
        was closed.
    """
    made = late(cap=100)
    waited_ns: list[int] = []
    early_ns: list[int] = []
    now_ns = free_ns = 0
    running: list[int] = []
    for hop_ns in hops_ns:
        made.arrive(now_ns, 5)
        while made.next_batch(now_ns) is None:
            due_ns = made.due_ns(now_ns)
            if due_ns is None or (running and running[0] <= due_ns):
                now_ns = running.pop(0)
                made.finish(0, now_ns, service_ns)
            else:
                now_ns = due_ns
        early_ns.append(free_ns - now_ns)
        started_ns = max(now_ns + hop_ns, free_ns)
        waited_ns.append(started_ns - free_ns)
        free_ns = started_ns + service_ns
        running.append(free_ns)
    return waited_ns, early_ns


def test_the_lead_grows_until_the_device_waits_for_few_batches() -> None:
    """A hop of 1 ms to the device: batches closed later than that leave it idle."""
    waited_ns, _ = closings([1 * MS] * 400, 10 * MS)

    late_share = sum(gap > 20_000 for gap in waited_ns[-100:]) / 100
    assert sum(waited_ns[:5]) > MS
    assert late_share <= 0.1


def test_a_few_long_stalls_of_the_host_leave_the_lead_short() -> None:
    """One batch in thirty reaches its device 5 ms late; all others take 0.1 ms."""
    hops_ns = [5 * MS if number % 30 == 29 else 100_000 for number in range(900)]

    _, early_ns = closings(hops_ns, 3 * MS)

    assert statistics.median(early_ns[300:]) < 0.5 * MS


def test_without_a_delay_no_lead_is_learnt_and_none_is_waited_for() -> None:
    made = policy(cap=8, delay_ns=0, slots=2)
    made.prime(0, {8: 10 * MS})
    made.arrive(0, 1)
    assert made.next_batch(0) is not None
    made.arrive(1, 1)

    assert made.next_batch(1) is not None


# The ladder


def test_a_batch_takes_the_time_of_the_next_size_up() -> None:
    curve = ServiceCurve(8)

    curve.prime({2: 2.0 * MS, 8: 5.0 * MS}, (2, 8))

    assert [curve.predict_ns(n) / MS for n in range(1, 9)] == [2, 2, 5, 5, 5, 5, 5, 5]
    curve.observe(3, 6.0 * MS)  # as a batch of 8
    assert curve.predict_ns(5) == curve.predict_ns(8) > 5 * MS
    assert curve.predict_ns(1) == 2 * MS


def test_late_closing_leaves_what_would_only_be_padded() -> None:
    made = Policy(BatcherSettings(8, None), [WorkerLimits(2, 8)])
    made.prime(0, {4: 4 * MS, 8: 8 * MS}, (4, 8))
    made.arrive(0, 5)

    first = made.next_batch(0)

    assert first is not None
    assert first.samples == 4  # 5 samples in 8 ms are slower than 4 in 4 ms
    assert made.next_batch(0) is None  # the fifth waits until the device is about to be free
    assert made.next_batch(4 * MS) is not None


def test_a_batch_that_is_nearly_full_is_padded() -> None:
    made = Policy(BatcherSettings(8, None), [WorkerLimits(2, 8)])
    made.prime(0, {4: 4 * MS, 8: 5 * MS}, (4, 8))
    made.arrive(0, 7)

    assert made.next_batch(0).samples == 7  # type: ignore[union-attr]


def test_a_limit_lowers_the_largest_batch_of_one_worker() -> None:
    made = policy(cap=8, workers=2)
    made.prime(0, {1: MS, 8: MS})
    made.prime(1, {1: 2 * MS, 8: 2 * MS})
    made.limit(0, 4)
    made.arrive(0, 16)

    sizes = {}
    while (batch := made.next_batch(0)) is not None:
        sizes[batch.worker] = batch.samples

    assert sizes == {0: 4, 1: 8}


# Clients that come back


def closed_loop(clients: int, back_ns: int, slots: int = 2) -> tuple[float, set[Close]]:
    """Let clients ask again after each answer, on one device with S(b) = 10 + 0.4 b ms.

    Returns:
        The mean size of the last 50 batches of 150, and what closed them.
    """
    cap = 8
    made = Policy(BatcherSettings(cap, None), [WorkerLimits(slots, cap)])
    service_ns = [10 * MS + 2 * MS * size // 5 for size in range(cap + 1)]
    made.prime(0, dict(enumerate(service_ns)))
    arrivals = [(client * MS, 1) for client in range(clients)]
    ends: list[tuple[int, int]] = []  # finished_ns, samples
    closed: list[tuple[int, Close]] = []
    now_ns = 0
    while len(closed) < 150:
        due_ns = made.due_ns(now_ns)
        times = (due_ns, *(at_ns for at_ns, _ in (*ends, *arrivals)))
        now_ns = max(now_ns, min(at_ns for at_ns in times if at_ns is not None))
        while arrivals and arrivals[0][0] <= now_ns:
            made.arrive(*arrivals.pop(0))
        while ends and ends[0][0] <= now_ns:
            end_ns, samples = ends.pop(0)
            made.finish(0, end_ns, service_ns[samples])
            back = [(end_ns + back_ns + k * MS // 10, 1) for k in range(samples)]
            arrivals = sorted([*arrivals, *back])
        while (batch := made.next_batch(now_ns)) is not None:
            begin_ns = max([now_ns, *(end_ns for end_ns, _ in ends)])
            ends.append((begin_ns + service_ns[batch.samples], batch.samples))
            closed.append((batch.samples, batch.why))
    return statistics.mean(size for size, _ in closed[-50:]), {why for _, why in closed[-50:]}


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize(("clients", "size"), [(2, 2), (4, 4), (7, 7), (12, 8)])
def test_late_closing_waits_for_clients_that_come_back_at_once(
    clients: int, size: int, slots: int
) -> None:
    """Without it they would take turns in two groups, each of half of them."""
    mean, why = closed_loop(clients, MS // 2, slots=slots)

    assert mean == size
    assert Close.LATE not in why


@pytest.mark.parametrize(("clients", "back_ns"), [(15, MS), (4, 9 * MS), (1, MS)])
def test_late_closing_does_not_wait_where_it_does_not_pay(clients: int, back_ns: int) -> None:
    """15 clients make batches of 7 and 8, which are full enough; 9 ms are as long as a batch."""
    _, why = closed_loop(clients, back_ns)

    assert Close.CLIENTS not in why
