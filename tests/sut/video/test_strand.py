"""A strand keeps order and goes on after an error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sut.video.flow.strand import Strand


def test_acts_of_a_strand_run_in_order_and_one_at_a_time() -> None:
    seen: list[int] = []
    inside = threading.Semaphore(1)
    overlaps: list[int] = []

    def act(number: int) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(number)
        seen.append(number)
        inside.release()

    with ThreadPoolExecutor(4) as pool:
        strand = Strand(pool, lambda error: overlaps.append(-1))
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

    with ThreadPoolExecutor(1) as pool:
        strand = Strand(pool, failed.append)
        strand.post(fails)
        strand.post(over.set)
        assert over.wait(10)

    assert [str(error) for error in failed] == ["no"]
