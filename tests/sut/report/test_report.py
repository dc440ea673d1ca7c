"""`sut report`: each kind of folder is recognized, and its page says what matters."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec import structs

from sut.record.client_parts import ClientParts
from sut.record.table import Row
from tests.sut.helpers.program import run_here
from tests.sut.report.made import (
    MS,
    result,
    row,
    run_folder,
    story,
    table,
    table_folder,
    trace,
    tuning_folder,
)
from tests.sut.submission.helpers.good_tree import make_tree
from tests.sut.sweep import study

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sut.helpers.program import Done


def page_of(*words: object) -> str:
    """Return the text of a page, without its tags; it must be well and need no other file."""
    done = run_here("report", *words)
    assert done.code == 0, done.err
    page = (done.out.removeprefix("Report: ")).strip()
    with open(page, encoding="utf-8") as file:
        text = file.read()
    assert not re.search(r"<script|<link|<img|src=|href=\"[^#]|url\(|@import", text)
    return text


def shown(text: str) -> str:
    """Return what a page shows: without tags, one space between words."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text.partition("</style>")[2])).split())


def titles(text: str) -> list[str]:
    return re.findall(r'<p class="title">(.*?)</p>', text)


def test_a_run_has_its_verdict_its_reasons_and_what_p99_is_made_of(tmp_path: Path) -> None:
    text = page_of(run_folder(tmp_path / "run"))

    assert (tmp_path / "run" / "report.html").exists()
    said = shown(text)
    assert "INVALID" in said
    assert "Early stopping not met" in said, "the reason"
    assert "p99 is 4.00 ms: 2.50 compute" in said
    assert "compute 2.500 62%" in said
    assert "completed rate 293.34 samples/s" in said
    assert "Started 2026-11-28 22:12 UTC" in said
    assert "Simulated devices" in said
    assert "Synthetic data" in said
    assert "sut run -b resnet50" in said, "the command"
    assert "max_batch_size 8 command line" in said
    assert "cpu a <fast> one memory 1 GiB engine a 1" in said
    assert titles(text) == [
        "Distribution of latencies",
        "Batches by size",
        "Samples waiting for a batch",
        "Batches and throughput over time",
        "Power over time",
    ]
    assert "bound 15 ms" in text


def test_a_run_without_a_trace_or_a_configuration_is_shown_as_far_as_it_goes(
    tmp_path: Path,
) -> None:
    folder = run_folder(tmp_path / "run", tail=None, metric=None, latency_ns=None, parts_ns=None)
    for name in ("batches.npz", "config.yaml", "environment.json", "telemetry.csv"):
        (folder / name).unlink()

    text = page_of(folder)

    assert titles(text) == ["Batches by size"]
    assert "Early stopping" in shown(text)


def test_a_run_through_a_server_shows_what_a_request_was_made_of(tmp_path: Path) -> None:
    known = ClientParts(
        requests=300,
        server_requests=900,
        request_ns=4e6,
        send_ns=0.5e6,
        network_server_ns=1e6,
        server_queue_ns=0.5e6,
        server_compute_input_ns=0.125e6,
        server_compute_infer_ns=1.5e6,
        server_compute_output_ns=0.125e6,
        receive_ns=0.25e6,
    )

    text = shown(page_of(run_folder(tmp_path / "run", client_parts=known)))

    assert "300 requests of 4.000 ms. The server counted 900" in text
    assert text.index("network server") < text.index("server compute infer") < text.index("receive")


def test_scenarios_of_one_folder_are_one_page_with_a_table_above(tmp_path: Path) -> None:
    for scenario in ("Offline", "Server"):
        run_folder(tmp_path / "all" / scenario, scenario=scenario, valid=scenario == "Server")

    text = page_of(tmp_path / "all")

    said = shown(text)
    assert "Report of 2 runs" in said
    assert said.index("resnet50 Server on default completed") < said.index("VALID (simulated)")
    assert 'href="#part-2"' in text
    assert 'id="part-2"' in text


def test_the_run_of_a_submission_has_the_trace_of_its_performance_test(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", mode="submission")
    run_folder(folder / "performance")
    (folder / "batches.npz").unlink()

    assert "Distribution of latencies" in titles(page_of(folder))


def test_an_offline_table_has_its_knee_and_the_best_batch_within_each_budget(
    tmp_path: Path,
) -> None:
    made = table()
    marked = structs.replace(made.rows[3], marks=("it breaks Little's law.",))
    failed = Row(point={"batch": 2048}, problem="out of memory.")
    rows = (*made.rows[:3], marked, *made.rows[4:], failed)
    folder = table_folder(tmp_path / "sweep", structs.replace(made, rows=rows))

    text = page_of(folder, "--budgets-ms", "5,15,2000")

    said = shown(text)
    assert "Knee: batch 256 reaches 9,624.06 samples/s ± 1.2%" in said
    assert "Without figures: 1 of 12 points. Marked: 1 of 12 points." in said
    assert "5 ms batch 32 7,619.0 1.2% 4.410 not known; taken as ± 10%" in said
    assert "15 ms batch 128 ⚠ 9,275.4" in said
    assert "15 ms, knife-edge: the answer may be batch 64" in said
    assert "2000 ms batch 1024 9,903.3" in said
    assert "1. batch 8: it breaks Little's law." in said
    assert "Left out: batch 2048: out of memory." in said
    assert said.count("⚠ 1") == said.count("⚠ failed") == 1, "in its row"
    assert "Backend torch" in said, "the configuration"
    assert "sut sweep <all>" in said, "the command"
    assert titles(text) == [
        "p99 against throughput",
        "Average parts of the latency",
        "Latency by load",
    ]
    words = re.findall(r'class="word">(\d+)<', text)
    assert {"1", "64", "1024"} <= set(words), "the batch is written at the points"


def test_budgets_that_change_no_answer_are_left_out(tmp_path: Path) -> None:
    rows = (row("batch", 4, 400.0, 1.1), row("batch", 1, 100.0, 60.0))
    folder = table_folder(tmp_path / "sweep", structs.replace(table(), rows=rows))

    budgets = re.findall(r"<td>([\d.]+ ms)</td>", page_of(folder))

    assert budgets == ["2 ms"], "at 100 ms the slower batch is within it, and no better"


def test_an_online_table_has_average_parts_and_throughput_on_a_second_axis(tmp_path: Path) -> None:
    text = page_of(table_folder(tmp_path / "sweep", table(load="closed")))

    assert "average parts, ms" in text
    assert "Bars: the average of each part over all requests, not of the slow ones." in text
    assert "throughput, right axis" in text


def test_a_knife_edge_is_named_and_an_interval_of_its_own_is_shown(tmp_path: Path) -> None:
    known = {"latency_p99_low_ns": 4.2e6, "latency_p99_high_ns": 4.4e6}
    rows = (row("batch", 1, 100.0, 4.3, **known), row("batch", 2, 200.0, 5.0))
    made = structs.replace(table(), rows=rows)

    said = shown(page_of(table_folder(tmp_path / "sweep", made), "--budgets-ms", "4.9"))

    assert "4.9 ms batch 1 ⚠ 100.0 1.2% 4.300 4.2 and 4.4 ms 4.9 ms, knife-edge: the answer" in said
    assert "batch 2 (200/s)" in said


def test_rows_of_several_settings_are_a_line_each_and_what_is_common_is_said_once(
    tmp_path: Path,
) -> None:
    rows = tuple(
        structs.replace(one, point={**one.point, "backend": backend, "request_batch": 16})
        for backend in ("torch", "tensorrt")
        for one in table(load="closed").rows
    )
    made = structs.replace(table(load="closed"), rows=rows)

    text = page_of(table_folder(tmp_path / "sweep", made), "--budgets-ms", "1,1.5")

    said = shown(text)
    assert "All points: request batch 16." in said
    assert "backend torch concurrency 256 none concurrency 4: 2,857" in said, "a line each"
    assert "backend tensorrt concurrency 256 none concurrency 4: 2,857" in said
    assert titles(text)[1:3] == [
        "Average parts of the latency, backend torch",
        "Average parts of the latency, backend tensorrt",
    ]


def test_rows_with_a_trace_have_their_distributions_in_one_chart(tmp_path: Path) -> None:
    """Latencies count from when a request was due, if that is known of every point."""
    rows = tuple(structs.replace(one, folder="points/1") for one in table().rows)
    folder = table_folder(tmp_path / "sweep", structs.replace(table(), rows=rows))
    point = run_folder(folder / "points" / "1")

    without = page_of(folder)
    due = trace().queries["arrival_ns"] - 2 * MS
    np.save(point / "scheduled.npy", due.reshape(-1, 2).min(axis=1))  # requests of two samples
    with_it = page_of(folder)

    assert titles(without)[-1] == titles(with_it)[-1] == "Distribution of latencies"
    assert "a time from IssueQuery, of 1,800 samples" in without
    assert "a time from when it was due, of 1,800 samples" in with_it
    assert re.search(r"batch 1: \d+ points, 0 at 3 to 99.6667 at 4,", without)
    assert re.search(r"batch 1: \d+ points, 0 at 6 to 99.6667 at 6,", with_it)


def test_several_tables_have_one_page_and_one_table_of_budgets(tmp_path: Path) -> None:
    folders = [
        table_folder(tmp_path / gpu, study.table(gpu, "tensorrt", "electricity"))
        for gpu in ("T4", "A30")
    ]

    said = shown(page_of(*folders, "--out", tmp_path / "both.html", "--budgets-ms", "15,25"))

    assert "Report of 2 tables" in said
    assert "batch 256 batch 128: 11,136 batch 256: 12,682" in said, "the T4's"
    assert "batch 256: 24,401 batch 512: 27,236" in said, "the A30's"


def test_a_tuning_is_shown_again_as_the_tuner_showed_it(tmp_path: Path) -> None:
    folder = tuning_folder(tmp_path / "tuning")
    before = (folder / "report.html").read_text("utf-8")

    assert page_of(folder) == before

    said = shown(before)
    assert "batch 32, delay 2 ms, 2 slots, process workers at 950/s: VALID, 1 of 1 runs" in said
    assert "p99 12 <= 15 ms 20.0% (binds)" in said
    assert "Simulated devices" in said
    assert titles(before) == [
        "Time of one batch by batch size",
        "Throughput by batch size",
        "p99 against load",
        "Highest rate by batch and queue delay",
        "Runs in order",
    ]


def test_sizes_that_were_measured_later_join_the_curve_of_the_first_ones() -> None:
    ((_, measured),) = story().measured

    assert measured.sizes == (1, 8, 24, 32)
    assert measured.notes == ("a noisy machine",)


def test_a_tuning_that_did_not_finish_says_so(tmp_path: Path) -> None:
    assert "Not finished: device 1 died" in shown(
        page_of(tuning_folder(tmp_path / "tuning", finished=False))
    )


@pytest.mark.slow
def test_a_submission_is_shown_with_its_findings_and_the_tree_stays_as_it_was(
    tmp_path: Path,
) -> None:
    tree = make_tree(tmp_path / "tree")
    tree.record("result_validity", "INVALID", scenario="Server")
    before = sorted(tree.root.rglob("*"))

    text = page_of(tree.root)

    said = shown(text)
    assert sorted(tree.root.rglob("*")) == before
    assert (tmp_path / "tree.html").exists()
    assert "4 results, 3 errors" in said
    assert "Server resnet50 completed rate 50.39 samples/s INVALID" in said
    assert "accuracy=76.456%" in said
    assert "error" in said
    assert "host processors per node 2" in said


def test_all_is_said_as_data_too(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "run"),
        table_folder(tmp_path / "sweep", table()),
        tuning_folder(tmp_path / "tuning"),
    ]

    done = run_here(
        "report", *folders, "--out", tmp_path / "all.html", "--json", "--budgets-ms", "15"
    )

    told = json.loads(done.out)
    assert told["bytes"] == (tmp_path / "all.html").stat().st_size
    run, sweep, tuning = told["parts"]
    assert (run["kind"], run["valid"], run["metric"]) == ("run", False, 293.338)
    assert (sweep["rows"], sweep["failed"]) == (11, 0)
    (setting,) = sweep["settings"]
    assert (setting["setting"], setting["knee"]) == ("", {"batch": 256})
    assert sweep["best"][0]["point"] == {"batch": 128}
    assert (tuning["valid"], tuning["target_qps"]) == (True, 950.0)


@pytest.mark.slow
def test_176_rows_are_small_and_quick(tmp_path: Path) -> None:
    """The limits are 2 MB and 3 s; docs/results/sweeps.md has the time of a command."""
    folders = [
        table_folder(tmp_path / f"{k}", table(f"table {k}", speed=1 + k / 16)) for k in range(16)
    ]

    done = run_here("report", *folders, "--out", tmp_path / "all.html")

    assert done.code == 0, done.err
    size = (tmp_path / "all.html").stat().st_size
    assert size < 2_000_000
    assert done.seconds < 3
    assert (tmp_path / "all.html").read_text("utf-8").count("<svg viewBox") == 16 * 3


def refused(*words: object) -> Done:
    done = run_here("report", *words)
    assert done.code == 2, done.out + done.err
    assert done.err.count("\n") == 1
    assert not done.out
    return done


def test_what_cannot_be_shown_is_one_clear_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run = run_folder(tmp_path / "run")
    sweep = table_folder(tmp_path / "sweep", table())

    assert "holds nothing to report" in refused(empty).err
    assert "no such folder" in refused(tmp_path / "nowhere").err
    assert "is a file" in refused(run / "summary.json").err
    assert "--out FILE" in refused(run, sweep).err
    assert "is a folder" in refused(run, "--out", empty).err
    assert "expected times in ms" in refused(sweep, "--budgets-ms", "0,5").err
    mine = tmp_path / "mine.html"
    mine.write_text("<p>my own page", "utf-8")
    assert "is no page of this program" in refused(run, "--out", mine).err
    assert mine.read_text("utf-8") == "<p>my own page"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("table.json", "{}", "table.json"),
        ("report.json", "{}", "Run the tuning's command again"),
        ("report.json", "[1", "report.json"),
        ("summary.json", "{}", "summary.json"),
        ("batches.npz", "no trace", "Copy it from the run again"),
        ("config.yaml", "a: [", "config.yaml"),
        ("environment.json", "[]", "environment.json"),
    ],
)
def test_a_broken_file_is_one_line_and_leaves_no_page(
    tmp_path: Path, name: str, content: str, why: str
) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / name).write_text(content, "utf-8")

    assert why in refused(folder).err
    assert not (folder / "report.html").exists()


def test_a_page_of_a_run_is_written_over(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    page_of(folder)
    (folder / "summary.json").write_text(
        json.dumps(
            {**json.loads((folder / "summary.json").read_text("utf-8")), "reasons": ["new"]}
        ),
        "utf-8",
    )

    assert "new" in shown(page_of(folder))
    assert result().reasons != ("new",)
