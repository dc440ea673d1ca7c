"""The most samples at a fixed interval: the search, the percentile, and the program."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.tuner.max_streams import Tried, find_edge, percentile_ns

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Program


@given(st.integers(0, 1500), st.integers(1, 1999))
def test_both_sides_of_the_edge_are_measured_within_a_per_cent(edge: int, start: int) -> None:
    found = find_edge(lambda n: Tried(n, float(n), n <= edge), start)

    if edge == 0:
        assert found.best is None
        assert found.failing is not None
        assert found.failing.streams == 1
        return
    assert found.best is not None
    assert found.failing is not None
    assert found.best.streams <= edge < found.failing.streams
    assert found.failing.streams - found.best.streams <= max(1, 0.01 * found.best.streams)


def test_no_number_is_measured_twice() -> None:
    found = find_edge(lambda n: Tried(n, float(n), n <= 700), 100)

    numbers = [tried.streams for tried in found.tried]
    assert len(set(numbers)) == len(numbers)


def test_the_percentile_counts_missing_answers_as_never() -> None:
    assert percentile_ns([3, 1, 2], 1.0) == 3
    assert percentile_ns([3, 1, 2, 4], 0.5) == 3
    assert percentile_ns([1, -1], 1.0) == math.inf


@pytest.mark.slow
def test_the_program_finds_what_the_devices_can_do(program: Program, tmp_path: Path) -> None:
    """Two devices with S(b) = 5 + b / 2 ms: 40 samples each take the 25 ms that are allowed."""
    done = program.run(
        *("max-streams", "-b", "resnet50", "--backend", "simulated", "--devices", "0,1"),
        *("--workers", "thread", "--set", "base_ms=5", "--set", "per_sample_ms=0.5"),
        *("--interval-ms", 30, "--bound-ms", 25, "--percentile", 80, "--seconds", 0.5),
        *("--start", 72, "--json", "--out", tmp_path / "out"),
    )

    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert 50 <= summary["max_streams"] <= 80
    assert summary["failing_streams"] > summary["max_streams"]
    assert "not a LoadGen result" in summary["generator"]
    assert summary["simulated"] is True
