"""A worker that is slower than its equals is named, and nobody else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sut.record.slow_workers import Worker, finding
from sut.record.trace import EMPTY, Trace

MS = 1_000_000
T4S = [Worker(f"{node}/device 0", "T4") for node in ("alpha", "beta", "gamma")]


def trace(*batches: tuple[int, int, float, int]) -> Trace:
    """Return a trace of so many batches each: worker, size, ms, and how many."""
    rows = [
        (worker, size, int(ms * MS)) for worker, size, ms, count in batches for _ in range(count)
    ]
    worker, samples, ns = np.array(rows, np.int64).reshape(-1, 3).T
    start = np.arange(len(rows)) * 100 * MS
    times = {"worker": worker, "samples": samples, "started_ns": start, "finished_ns": start + ns}
    return replace(EMPTY, batches={**EMPTY.batches, **times})


def test_the_slow_one_of_equal_devices_is_named_with_its_factor() -> None:
    said = finding(trace((0, 8, 2, 30), (1, 8, 5, 30), (2, 8, 2.1, 30)), T4S)

    assert said is not None
    assert said.startswith("beta/device 0 took 2.4 times as long")
    assert "alpha" not in said
    assert "gamma" not in said


def test_batches_are_compared_with_those_of_the_same_size() -> None:
    """Beta had the large batches, and was no slower."""
    equal = trace((0, 4, 1, 30), (1, 32, 8, 30), (1, 4, 1, 30), (2, 32, 8, 30))
    slow = trace((0, 4, 1, 30), (1, 32, 8, 30), (1, 4, 2, 30), (2, 32, 4, 30))

    assert finding(equal, T4S) is None
    assert (finding(slow, T4S) or "").startswith("beta/device 0 took 2.0 times")


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
    assert finding(made, T4S) is None


def test_other_kinds_of_devices_are_not_compared() -> None:
    mixed = [Worker("alpha/device 0", "A100"), Worker("beta/device 0", "A30")]

    assert finding(trace((0, 8, 2, 30), (1, 8, 5, 30)), mixed) is None
