"""Clients that come back are told from queries that do not wait for answers."""

from __future__ import annotations

import random

import pytest

from sut.serve.returning import Returning

MS = 1_000_000


def answered(made: Returning, clients: int, batches: int, back_ns: int = MS) -> int:
    """Answer all clients in one batch of 10 ms, again and again; return the time of the last."""
    now_ns = 0
    made.arrive(now_ns, clients)
    for _ in range(batches):
        now_ns += 10 * MS
        made.leave(now_ns, clients)
        for client in range(clients):
            made.arrive(now_ns + back_ns + client * MS // 10, 1)
    return now_ns


def test_clients_are_known_after_some_batches_and_not_before() -> None:
    made = Returning()

    now_ns = answered(made, 4, 4)

    assert made.expected(now_ns, 4, now_ns) is None
    made = Returning()
    now_ns = answered(made, 4, 20)
    expected = made.expected(now_ns, 4, now_ns)
    assert expected is not None
    assert expected.samples == 4


def test_the_time_of_return_is_learnt_for_the_first_and_for_all() -> None:
    made = Returning()
    now_ns = answered(made, 4, 60)

    expected = made.expected(now_ns, 4, now_ns)

    assert expected is not None
    assert expected.usual_ns(1) - now_ns == pytest.approx(1.0 * MS, rel=0.02)
    assert expected.usual_ns(4) - now_ns == pytest.approx(1.3 * MS, rel=0.02)
    assert expected.usual_ns(4) < expected.latest_ns < now_ns + 2 * MS


def test_nobody_is_expected_when_all_are_here_or_after_the_latest_time() -> None:
    made = Returning()
    now_ns = answered(made, 4, 60)

    assert made.expected(now_ns, 0, 0) is None  # four are here, none is about to be answered
    made.leave(now_ns + 10 * MS, 4)
    assert made.expected(now_ns + 11 * MS, 0, 0) is not None
    assert made.expected(now_ns + 15 * MS, 0, 0) is None


def test_who_was_missed_twice_must_show_again() -> None:
    made = Returning()
    now_ns = answered(made, 4, 60)

    made.missed()
    assert made.expected(now_ns, 4, now_ns) is not None
    made.missed()
    assert made.expected(now_ns, 4, now_ns) is None


def test_a_client_that_goes_is_forgotten() -> None:
    made = Returning()
    now_ns = answered(made, 4, 60)

    for _ in range(30):
        now_ns += 10 * MS
        made.leave(now_ns, 3 if _ else 4)
        made.arrive(now_ns + MS, 3)

    expected = made.expected(now_ns + 2 * MS, 3, now_ns + 2 * MS)
    assert expected is not None
    assert expected.samples == 3


def test_queries_that_come_by_themselves_are_no_clients() -> None:
    noise, made = random.Random(1), Returning()
    here = known = 0
    for batch in range(2000):
        here += (came := noise.randrange(1, 6))
        made.arrive(batch * 10 * MS, came)
        made.leave(batch * 10 * MS + MS, here)
        known += made.expected(batch * 10 * MS + MS, 1, 0) is not None
        here = 0

    assert known == 0
