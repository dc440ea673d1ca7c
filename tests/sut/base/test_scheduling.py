"""What the scheduler did, from files as Linux shows them, and the rule of half of the cores."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from sut.base.scheduling import Scheduled, crowded, scheduled

if TYPE_CHECKING:
    from pathlib import Path


def thread(root: Path, number: int, **files: str) -> None:
    folder = root / f"proc/7/task/{number}"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, "ascii")


STATUS = "Name:\tpython\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n"
SCHED = "python (7, #threads: 2)\n---\nse.nr_migrations                     :          {}\n"


def test_the_counts_of_all_threads_are_added(tmp_path: Path) -> None:
    thread(tmp_path, 7, schedstat="100 20 3\n", status=STATUS.format(5, 6), sched=SCHED.format(2))
    thread(tmp_path, 8, schedstat="50 30 1\n", status=STATUS.format(1, 1), sched=SCHED.format(4))

    assert scheduled(7, tmp_path) == Scheduled(150, 50, 6, 7, 6)


def test_what_a_kernel_does_not_tell_is_unknown_and_not_zero(tmp_path: Path) -> None:
    thread(tmp_path, 7, status=STATUS.format(5, 6))

    found = scheduled(7, tmp_path)

    assert (found.voluntary, found.waited_ns, found.migrations) == (5, None, None)
    assert found.since(Scheduled(voluntary=2)).voluntary == 3
    assert found.since(Scheduled(voluntary=2)).involuntary is None
    assert scheduled(9, tmp_path) == Scheduled()


def test_a_thread_that_waits_switches_of_its_own_will() -> None:
    before, never = scheduled(), threading.Event()

    for _ in range(20):
        never.wait(0.001)

    assert (scheduled().since(before).voluntary or 0) >= 20


@pytest.mark.parametrize(
    ("workers", "cores", "is_crowded"), [(1, 1, False), (2, 2, True), (4, 8, False), (5, 8, True)]
)
def test_more_workers_than_half_of_the_cores_are_too_many(
    workers: int, cores: int, is_crowded: bool
) -> None:
    assert (crowded(workers, cores) is not None) is is_crowded


def test_the_cores_are_those_that_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        message = crowded(2)
    finally:
        os.sched_setaffinity(0, allowed)

    assert message is not None
    assert "2 workers on 1 usable core:" in message
