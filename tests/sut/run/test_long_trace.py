"""A run with more batches than its trace has room for: totals are of all, and it says so."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from sut.record.loadgen_logs import read_detail
from sut.record.trace_reader import TraceReader
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow

# Room for 4,096 batches and 16,384 queries.
COMMAND = (
    *("run", "-b", "efficientnet-lite0", "-s", "SingleStream", "--backend", "null"),
    *("--workers", "inline", "--trace-mb", 1, "--out", "out"),
)
RECORDED = 4_096


def is_thinned(out: Path) -> bool:
    return folders.batches_so_far(out) > 0 and TraceReader(out / "batches.trace").read().one_in > 1


def test_n9_totals_of_a_thinned_run_are_those_of_loadgen(program: Program, tmp_path: Path) -> None:
    many = ("--min-duration-s", 0.1, "--min-query-count", 3 * RECORDED)
    done = program.run(*COMMAND, *many, cwd=tmp_path)

    assert done.code == 0, done.err
    summary = folders.summary(tmp_path / "out")
    detail = read_detail(tmp_path / "out")
    queries, rate = detail["result_query_count"], detail["result_qps_with_loadgen_overhead"]
    assert isinstance(queries, int)
    assert isinstance(rate, int | float)
    assert queries > 2 * RECORDED
    assert (summary["samples"], summary["batches"]["count"]) == (queries, queries)
    assert summary["batches"]["mean_size"] == 1.0
    assert summary["duration_s"] == pytest.approx(queries / rate, rel=0.05)
    assert summary["trace"]["batches"] <= RECORDED
    assert summary["trace"]["one_in"] >= 2
    assert 0 < summary["trace"]["parts_from_samples"] <= RECORDED
    (said,) = (text for text in summary["findings"] if text.startswith("The trace has"))
    assert f"of {queries:,} batches" in said
    assert "The trace has" in done.out
    assert summary["parts_ns"]["total"]["p50"] == pytest.approx(
        summary["latency_ns"]["p50"], rel=0.5
    )
    with_trace = tmp_path / "out" / "batches.npz"
    assert with_trace.stat().st_size < 1_000_000


def test_n9_all_records_all(program: Program, tmp_path: Path) -> None:
    words = [word if word != 1 else "all" for word in COMMAND]

    many = ("--min-duration-s", 0.1, "--min-query-count", 2 * RECORDED)
    done = program.run(*words, *many, cwd=tmp_path)

    assert done.code == 0, done.err
    summary = folders.summary(tmp_path / "out")
    assert summary["trace"]["batches"] == summary["batches"]["count"] > RECORDED
    assert not [text for text in summary["findings"] if text.startswith("The trace has")]


def test_n9_an_interrupted_run_counts_what_it_did_not_record(
    program: Program, tmp_path: Path
) -> None:
    slow = ("--set", "delay_us=100", "--min-duration-s", 10)
    with program.start(*COMMAND, *slow, cwd=tmp_path) as running:
        wait_until(lambda: is_thinned(tmp_path / "out"), "it is full")
        running.send(signal.SIGINT)
        done = running.finish()

    assert done.code == 130
    summary = folders.summary(tmp_path / "out")
    assert summary["samples"] == summary["batches"]["count"] > RECORDED
    assert summary["trace"]["batches"] <= RECORDED


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_n9_an_odd_bound_is_refused(program: Program, tmp_path: Path, text: str) -> None:
    done = program.run(*COMMAND[:-4], "--trace-mb", text, cwd=tmp_path)

    assert done.code == 2
    assert "expected megabytes" in done.err
