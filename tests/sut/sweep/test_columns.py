"""Tables as text: our columns, and the fifteen of NVIDIA's study."""

from __future__ import annotations

import csv

import pytest

from sut.record.table import Row, Table
from sut.sweep import columns

# features of the study: the header above every one of its tables.
STUDY = [
    "Batch",
    "Concurrency",
    "Inferences/Second",
    "Client Send (ms)",
    "Network+Server Send/Recv (ms)",
    "Server Queue (ms)",
    "Server Compute Input (ms)",
    "Server Compute Infer (ms)",
    "Server Compute Output (ms)",
    "Client Recv (ms)",
    "p50 latency (ms)",
    "p90 latency (ms)",
    "p95 latency (ms)",
    "p99 latency (ms)",
    "avg latency (ms)",
]
FIGURES = {
    "samples_per_s": 6483.21,
    "latency_mean_ns": 4.936e6,
    **{f"latency_{p}_ns": 4.9e6 for p in ("p50", "p90", "p95", "p99", "p999")},
    "issue_ns": 0.02e6,
    "queue_ns": 0.1e6,
    "dispatch_ns": 0.03e6,
    "compute_ns": 4.7e6,
    "completion_ns": 0.086e6,
}


def table(*rows: Row) -> Table:
    block = {"Backend": "torch", "Dataset": "a, b"}
    return Table(title="", source="sut sweep", load="offline", configuration=block, rows=rows)


def test_the_studys_columns_have_its_names_and_our_parts() -> None:
    found = table(Row(point={"batch": 32}, figures=FIGURES))

    assert columns.header(found, "triton") == STUDY
    (line,) = columns.lines(found, "triton")
    assert line == [
        "32",
        "1",
        "6483.2",
        "0.020",
        "0.000",
        "0.100",
        "0.030",
        "4.700",
        "0.086",
        "0.000",
        "4.900",
        "4.900",
        "4.900",
        "4.900",
        "4.936",
    ]
    assert sum(map(float, line[3:10])) == pytest.approx(float(line[-1]))


def test_a_closed_loop_has_its_concurrency_and_request_batch_there() -> None:
    found = table(Row(point={"request_batch": 16, "concurrency": 8}, figures=FIGURES))

    assert columns.lines(found, "triton")[0][:2] == ["16", "8"]


def test_batches_in_flight_on_several_engines_are_the_concurrency_there() -> None:
    found = table(Row(point={"batch": 32}, figures={**FIGURES, "in_flight": 4.0}))

    assert columns.lines(found, "triton")[0][:2] == ["32", "4"]


def test_a_mark_is_explained_and_a_failed_point_is_left_out_by_name() -> None:
    found = table(
        Row(point={"batch": 1}, figures=FIGURES, marks=("not steady",)),
        Row(point={"batch": 2}, figures=FIGURES, marks=("not steady", "late")),
        Row(point={"batch": 4}, problem="it died"),
    )

    lines = columns.lines(found, "own")

    assert [line[-1] for line in lines] == ["1", "1 2"]
    assert columns.notes(found) == [
        "1. batch 1; batch 2: not steady",
        "2. batch 2: late",
        "Left out: batch 4: it died",
    ]


def test_a_column_without_a_figure_is_left_out() -> None:
    titles = columns.header(table(Row(point={"batch": 1}, figures=FIGURES)), "own")

    assert "p99 ms" in titles
    assert "W" not in titles


def test_csv_has_the_block_above_it_and_every_figure_in_it() -> None:
    found = table(
        Row(point={"batch": 1}, figures={**FIGURES, "made_up": 1.0}),
        Row(point={"batch": 4}, problem='it "died", twice'),
    )

    text = columns.as_csv(*columns.full(found), found.configuration)

    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments == ["# Backend: torch", "# Dataset: a, b"]
    good, bad = csv.DictReader(line for line in text.splitlines() if line not in comments)
    assert {name: float(good[name]) for name in FIGURES} == FIGURES
    assert good["made_up"] == "1"
    assert (bad["batch"], bad["samples_per_s"], bad["problem"]) == ("4", "", 'it "died", twice')
