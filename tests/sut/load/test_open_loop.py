"""An open loop: each request at its time, and a late one keeps the time at which it was due."""

from __future__ import annotations

import time

import numpy as np

from sut.load.open_loop import OpenLoop
from tests.sut.load.fronts import AtOnce, NoTrace, Steps


def test_requests_that_are_due_together_go_in_one_call_and_keep_their_times() -> None:
    front = AtOnce(load_ends_after=-1)
    times = np.array([0, 1, 2, 100_000_000], np.int64)
    load = front.load = OpenLoop(iter([times]), 2, 10, NoTrace())

    load.run(front)

    assert front.queries == [6, 2]
    assert np.diff(load.scheduled_ns()).tolist() == [1, 1, 99_999_998]
    assert load.wait(0)


def test_no_request_is_sent_before_it_is_due() -> None:
    front = Steps()
    load = OpenLoop(iter([np.array([2_000_000], np.int64)]), 1, 10, NoTrace())

    load.run(front)

    assert time.monotonic_ns() >= load.scheduled_ns()[0]
    assert not load.wait(0)  # one is not answered
    front.answer(load, 1, at_ns=1)
    assert load.wait(0)


def test_a_stop_ends_a_schedule_without_end() -> None:
    front = AtOnce(load_ends_after=3)
    endless = (np.array([k], np.int64) for k in range(1_000_000))
    load = front.load = OpenLoop(endless, 1, 10, NoTrace())

    load.run(front)

    assert load.wait(0)
    assert 4 <= len(load.scheduled_ns()) < 10
