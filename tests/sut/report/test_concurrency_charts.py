"""The charts of a concurrency grid, from rows written by hand."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import DataError
from sut.record.table import Row, Table
from sut.report.concurrency_charts import pictures
from sut.report.folder import Sweep
from sut.report.sweep import section

if TYPE_CHECKING:
    from pathlib import Path

    from sut.record.table import Value


def grid(folder: Path, *, with_files: bool = True, **figures: float) -> Sweep:
    """Two precisions x two counts of processes x two batches; half the rate with fp32."""
    rows: list[Row] = []
    for precision in ("fp16", "fp32"):
        for processes in (1, 2):
            for batch in (1, 4):
                name = f"points/{len(rows)}"
                rate = 100.0 * batch / (2 if precision == "fp32" else 1)
                point: dict[str, Value] = {
                    "precision": precision,
                    "processes": processes,
                    "batch": batch,
                }
                each = {"samples_per_s": rate, "per_process_mean": rate / processes}
                found = {**each, "latency_p99_ns": 1e6 * processes, "duration_s": 2.0, **figures}
                rows.append(Row(point=point, figures=found, folder=name))
                if with_files:
                    left(folder / name, sm=40.0 if precision == "fp16" else 80.0)
    table = Table(
        title="shared", source="sut concurrency", load="offline",
        configuration={"Backend": "torch"}, rows=tuple(rows),
    )  # fmt: skip
    return Sweep(folder, table)


def left(folder: Path, sm: float) -> None:
    """What a point leaves: quantiles of its spans, and readings, one before its window."""
    folder.mkdir(parents=True)
    spans = {"latency_ns": [1e6 * k for k in range(101)], "sync_ns": [2e6] * 101}
    (folder / "spans.json").write_text(json.dumps(spans), "utf-8")
    lines = [f"{k / 10},0,{sm + k}" for k in range(-1, 6)]
    text = "\n".join(["time_s,device,sm_percent", *lines])
    (folder / "telemetry.csv").write_text(text, "utf-8")


def titles(sweep: Sweep) -> list[str]:
    return [re.findall(r'class="title">([^<]*)', picture)[0] for picture, _ in pictures(sweep)]


def test_what_was_measured_is_drawn_by_processes_and_by_batch(tmp_path: Path) -> None:
    found = titles(grid(tmp_path, run_queue_ns=5e3))

    assert found[:3] == [
        "Throughput by processes", "Throughput of each process by batch", "Waiting for a core",
    ]  # fmt: skip
    assert not {"Power by processes", "Energy of a sample"} & set(found)


def test_distributions_are_by_precision_and_by_processes(tmp_path: Path) -> None:
    found = titles(grid(tmp_path))

    by_precision = "by precision, processes 2, batch 4"
    for name in ("Latency of a batch", "Wait for the device", "Multiprocessors at work"):
        assert f"{name} {by_precision}" in found
        assert f"{name} by processes, precision fp16, batch 4" in found
    assert not any("tensor" in title.lower() for title in found)


def test_readings_before_the_window_are_left_out_of_a_distribution(tmp_path: Path) -> None:
    sweep = grid(tmp_path)

    (chart,) = [p for p, _ in pictures(sweep) if "Multiprocessors at work by precision" in p]

    assert "precision fp16: 6 points" in chart
    assert "at 40 to 1 at 45" in chart


def test_rows_without_their_folders_have_no_distributions(tmp_path: Path) -> None:
    assert not any(" by precision" in title for title in titles(grid(tmp_path, with_files=False)))


def test_a_broken_file_of_spans_is_refused_by_name(tmp_path: Path) -> None:
    sweep = grid(tmp_path)
    (tmp_path / "points/7/spans.json").write_text("[1", "utf-8")

    with pytest.raises(DataError, match=r"points/7/spans\.json"):
        pictures(sweep)


def test_the_page_of_a_grid_shows_how_the_processes_share(tmp_path: Path) -> None:
    blocks = dict(section(grid(tmp_path), [], are_asked=False).blocks)

    assert "Throughput by processes" in blocks["How the processes share"]
    assert "samples/s a process" in blocks["Rows"]
