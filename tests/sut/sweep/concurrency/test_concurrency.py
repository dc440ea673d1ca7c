"""`sut concurrency` from outside, on a simulated device: a good point, and one that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from sut.base.errors import EXIT_BAD_INPUT, EXIT_INVALID, EXIT_VALID
from sut.record.table import Table, decode
from tests.sut.helpers.program import Done, run_here

# Four batches ahead: the device has work for 80 ms, whatever keeps the processes from a core.
DEVICE = ("-b", "resnet50", "--backend", "simulated", "--set", "base_ms=20", "--batches", 4)
POWER = ("--set", "power_w=70", "--set", "idle_w=10")
SHORT = ("--seconds", 0.8, "--ramp-s", 0.1, "--warm-s", 0)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Table]:
    out = tmp_path_factory.mktemp("grid") / "out"
    fails = ("--processes", 2, "--vary", "fail_at_s=100,0.01")
    done = run_here("concurrency", *DEVICE, *POWER, *SHORT, *fails, "--out", out)
    return done, decode((out / "table.json").read_bytes(), "table.json")


@pytest.mark.slow
def test_each_process_gets_its_part_of_the_device(grid: tuple[Done, Table]) -> None:
    figures = grid[1].rows[0].figures

    assert figures["samples_per_s"] == pytest.approx(200, rel=0.03)
    assert figures["per_process_mean"] == pytest.approx(100, rel=0.03)
    assert figures["fairness"] > 0.99
    assert abs(figures["parts_off"]) < 0.02
    # Two processes with two batches each: a batch waits for the three before it.
    assert figures["latency_p50_ns"] == pytest.approx(80e6, rel=0.1)


@pytest.mark.slow
def test_a_point_has_power_spans_and_the_scheduler_s_counts(grid: tuple[Done, Table]) -> None:
    row = grid[1].rows[0]

    assert row.simulated
    assert row.figures["energy_j_per_sample"] == pytest.approx(70 / 200, rel=0.05)
    assert {"ec_ns", "sync_ns", "wake_up_ns", "voluntary_switches"} <= row.figures.keys()
    assert grid[1].configuration["Share"] == "processes"
    assert grid[1].configuration["Start of a process"] == "anew"
    assert grid[1].source == "sut concurrency"


@pytest.mark.slow
def test_a_process_that_fails_costs_its_point_one_line(grid: tuple[Done, Table]) -> None:
    done, table = grid

    assert done.code == EXIT_INVALID
    assert table.rows[0].problem is None
    problem = table.rows[1].problem or ""
    assert "process 1 of 2: failed: device" in problem
    assert "asked to fail" in problem
    assert "\n" not in problem


def test_a_dry_run_lists_the_points_and_needs_no_model(tmp_path: Path) -> None:
    axes = ("--processes", "1,2,4,8", "--batches", "1,4,16", "--precision", "fp16,fp32")
    what = ("-b", "resnet50", "--backend", "torch", "--devices", 0)

    done = run_here("concurrency", *what, *axes, "--dry-run", "--out", tmp_path / "out")

    assert done.code == EXIT_VALID
    assert "precision fp16, processes 8, batch 16: about" in done.out
    assert "24 points, about" in done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--share", "treads"), 'Did you mean "threads"'),
        (("--processes", "0"), "--processes 0"),
        (("--inflight", 0), "--inflight is 0"),
        (("--seconds", 0), "--seconds is 0"),
        (("--memory-limit", "much"), '--memory-limit: "much"'),
        (("--profiler", "perf"), "--profiler belongs to --explain"),
        (("--explain", "--profiler", "no-such-one"), '"no-such-one" is not installed'),
        (("--devices", "0,1"), "expected the one that is shared"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    tmp_path: Path, words: tuple[object, ...], text: str
) -> None:
    done = run_here("concurrency", *DEVICE, *words, "--out", tmp_path / "out")

    assert done.code == EXIT_BAD_INPUT
    assert text in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
