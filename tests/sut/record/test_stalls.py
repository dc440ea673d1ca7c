"""Pauses of LoadGen's thread: chance makes none, and one that was made is found."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sut.record.stalls import find, finding
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.sut.helpers.program import Program

MS = 1_000_000
BOUND_NS = 15 * MS


def arrivals(rate: float, count: int, seed: int) -> NDArray[np.int64]:
    gaps_s = np.random.default_rng(seed).exponential(1 / rate, count)
    return (np.cumsum(gaps_s) * 1e9).astype(np.int64)


def held_up(arrival_ns: NDArray[np.int64], at: int, for_ns: int) -> NDArray[np.int64]:
    """Let all that is due in a pause arrive at its end, in one call."""
    start = arrival_ns[at]
    late = (arrival_ns > start) & (arrival_ns < start + for_ns)
    return np.unique(np.where(late, start + for_ns, arrival_ns))


@pytest.mark.parametrize("rate", [50.0, 20_000.0])
def test_chance_makes_no_stalls(rate: float) -> None:
    for seed in range(20):
        found = find(arrivals(rate, 20_000, seed), 20_000)

        assert found is not None
        assert found.count == 0
        assert finding(found, BOUND_NS) is None


def test_a_pause_is_found_with_its_length_and_place() -> None:
    queries = arrivals(10_000.0, 50_000, 1)
    paused = held_up(queries, 20_000, 9 * MS)

    found = find(paused, len(queries))

    assert found is not None
    assert found.count == 1
    assert found.longest_ns == pytest.approx(9 * MS, rel=0.01)
    assert found.at_s == pytest.approx((queries[20_000] - queries[0]) / 1e9)
    line = finding(found, BOUND_NS)
    assert line is not None
    assert "held up once" in line
    assert "up to 9 ms" in line
    assert "of a bound of 15 ms" in line


def test_a_pause_that_is_short_beside_the_bound_is_no_finding() -> None:
    queries = arrivals(10_000.0, 50_000, 1)

    found = find(held_up(queries, 20_000, 3 * MS), len(queries))

    assert found is not None
    assert found.count == 1
    assert finding(found, BOUND_NS) is None


def test_many_short_pauses_are_a_finding() -> None:
    queries = paused = arrivals(10_000.0, 50_000, 1)
    for at in range(0, 40_000, 1_000):
        paused = held_up(paused, at, 3 * MS)

    found = find(paused, len(queries))

    assert found is not None
    line = finding(found, BOUND_NS)
    assert line is not None
    assert "held up 40 times, 2." in line


def test_too_few_arrivals_tell_nothing() -> None:
    assert find(arrivals(100.0, 20, 1), 20) is None
    assert find(np.zeros(200, np.int64), 200) is None


def test_a_run_whose_machine_took_its_cores_away_says_so(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("run", "-b", own_yaml, "-s", "Server", "--backend", "null", "--out", out)
    load = ("--target-qps", 2000, "--target-latency-ms", 50, "--min-duration-s", 1.5)
    with program.start(*words, *load, cwd=tmp_path) as running:
        wait_until(lambda: folders.batches_so_far(out) > 100, "batches are answered")
        trial = running.process_of("sut.run.trial")
        os.kill(trial, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(trial, signal.SIGCONT)
        done = running.finish(20.0)

    summary = folders.summary(out)
    assert summary["issue_stalls"]["longest_ns"] >= 250 * MS
    (line,) = (line for line in summary["findings"] if "held up" in line)
    assert f"Server: {line}" in done.out
    assert "of a bound of 50 ms" in line
    tail = summary["tail"]
    assert tail["issue_ns"] > 0.5 * tail["latency_ns"] > 50 * MS
    assert tail["after_stalls"] > 0.5
    (line,) = (line for line in done.out.splitlines() if line.startswith("Server: p99 is "))
    assert " before LoadGen's thread issued it" in line
    assert line.endswith("right after LoadGen's own thread was held up")
