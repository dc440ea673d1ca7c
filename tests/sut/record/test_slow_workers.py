"""A worker that is slower than its equals is named, and nobody else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.record.slow_workers import Worker, findings
from sut.record.trace import EMPTY, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000
T4S = [Worker(f"{node}/device 0", "T4") for node in ("alpha", "beta", "gamma")]


def trace(*batches: tuple[int, int, float, int]) -> Trace:
    """Return a trace of so many batches each: worker, size, ms, and how many."""
    rows = [
        (worker, size, int(ms * MS)) for worker, size, ms, count in batches for _ in range(count)
    ]
    worker, samples, ns = np.array(rows, np.int64).reshape(-1, 3).T
    start = np.arange(len(rows)) * 100 * MS
    times = {
        "worker": worker,
        "samples": samples,
        "closed_ns": start,
        "started_ns": start,
        "finished_ns": start + ns,
        "completed_ns": start + ns,
    }
    return replace(EMPTY, batches={**EMPTY.batches, **times})


def test_the_slow_one_of_equal_devices_is_named_with_its_factor() -> None:
    (said,) = findings(trace((0, 8, 2, 30), (1, 8, 5, 30), (2, 8, 2.1, 30)), T4S)

    assert said.startswith("beta/device 0 took 2.4 times as long")
    assert "alpha" not in said
    assert "gamma" not in said


def test_batches_are_compared_with_those_of_the_same_size() -> None:
    """Beta had the large batches, and was no slower."""
    equal = trace((0, 4, 1, 30), (1, 32, 8, 30), (1, 4, 1, 30), (2, 32, 8, 30))
    slow = trace((0, 4, 1, 30), (1, 32, 8, 30), (1, 4, 2, 30), (2, 32, 4, 30))

    assert findings(equal, T4S) == ()
    assert findings(slow, T4S)[0].startswith("beta/device 0 took 2.0 times")


@pytest.mark.parametrize(
    "made",
    [
        trace(),
        trace((0, 8, 2, 30)),
        trace((0, 8, 2, 30), (1, 8, 2.3, 30)),  # as equal devices differ
        trace((0, 8, 0.05, 30), (1, 8, 0.12, 30)),  # the host's doing
        trace((0, 8, 2, 30), (1, 8, 9, 10)),  # too few
        trace((0, 8, 2, 30), (1, 8, 2, 25), (1, 8, 90, 5)),  # a few stalls
    ],
)
def test_nobody_is_named_without_need(made: Trace) -> None:
    assert findings(made, T4S) == ()


def test_other_kinds_of_devices_are_not_compared() -> None:
    mixed = [Worker("alpha/device 0", "A100"), Worker("beta/device 0", "A30")]

    assert findings(trace((0, 8, 2, 30), (1, 8, 5, 30)), mixed) == ()


def away(made: Trace, ms: Sequence[float]) -> Trace:
    """Return a trace whose batches take so many ms to each worker, and as many back."""
    way_ns = np.array([int(each * MS) for each in ms])[made.batches["worker"]]
    b = made.batches
    moved = {
        "closed_ns": b["started_ns"] - way_ns,
        "completed_ns": b["finished_ns"] + way_ns,
    }
    return replace(made, batches={**b, **moved})


def test_the_worker_that_is_further_away_is_named_with_both_times() -> None:
    equal = trace((0, 8, 2, 30), (1, 8, 2, 30), (2, 8, 2, 30))

    (said,) = findings(away(equal, [0.2, 5, 0.3]), T4S)

    assert "beta/device 0 for 10.0 ms instead of 0.5 ms" in said
    assert findings(away(equal, [0.2, 0.6, 0.3]), T4S) == ()
    assert findings(away(equal, [5, 6, 7]), T4S) == ()


def test_batches_that_wait_behind_another_do_not_count_as_far_away() -> None:
    equal = trace((0, 8, 2, 30), (1, 8, 2, 30), (2, 8, 2, 30))
    closed_ns = equal.batches["closed_ns"].copy()
    behind = equal.batches["worker"] == 1
    closed_ns[behind] -= 101 * MS  # while the batch before it ran

    waiting = replace(equal, batches={**equal.batches, "closed_ns": closed_ns})

    assert findings(away(equal, [0.2, 0.2, 0.2]), T4S) == ()
    assert findings(waiting, T4S) == ()
