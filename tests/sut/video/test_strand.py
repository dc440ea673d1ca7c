"""A strand keeps order and goes on after an error."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

from sut.video.flow.strand import Strand, Threads


def test_acts_of_a_strand_run_in_order_and_one_at_a_time() -> None:
    seen: list[int] = []
    inside = threading.Semaphore(1)
    overlaps: list[int] = []

    def act(number: int) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(number)
        seen.append(number)
        inside.release()

    with closing(Threads(4, "test")) as threads:
        strand = Strand(threads, lambda error: overlaps.append(-1))
        for number in range(200):
            strand.post(partial(act, number))
        over = threading.Event()
        strand.post(over.set)
        assert over.wait(10)

    assert seen == list(range(200))
    assert overlaps == []


def test_a_failed_act_is_reported_and_the_next_one_runs() -> None:
    failed: list[Exception] = []
    over = threading.Event()

    def fails() -> None:
        raise ValueError("no")

    with closing(Threads(1, "test")) as threads:
        strand = Strand(threads, failed.append)
        strand.post(fails)
        strand.post(over.set)
        assert over.wait(10)

    assert [str(error) for error in failed] == ["no"]


def test_acts_that_wait_when_the_threads_are_closed_are_not_run() -> None:
    begun, goes_on, ran = threading.Event(), threading.Event(), list[int]()
    threads = Threads(1, "test")
    last = threading.Event()

    def holds() -> None:
        begun.set()
        goes_on.wait(10)
        last.set()

    threads.submit(holds)
    threads.submit(partial(ran.append, 1))
    assert begun.wait(10)
    threads.close()
    goes_on.set()

    assert last.wait(10), "what runs is run to its end"
    assert ran == []
