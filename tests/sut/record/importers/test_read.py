"""Files of other tools become tables: recognized by content, in our names and units."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sut.base.errors import DataError
from sut.record.importers.read import read_tables
from sut.record.table import Row, Table, encode
from tests.sut.record.importers import examples


def read(folder: Path, text: str, batch: int | None = None) -> list[Table]:
    """Read a text from a file whose name says nothing."""
    file = folder / "result"
    file.write_text(text, "utf-8")
    return read_tables(file, batch)


def rows(folder: Path, text: str, batch: int | None = None) -> list[Row]:
    (table,) = read(folder, text, batch)
    return list(table.rows)


# --- perf_analyzer


def test_perf_analyzers_microseconds_become_ns_and_its_inferences_samples(tmp_path: Path) -> None:
    (table,) = read(tmp_path, examples.PERF_ANALYZER)

    assert (table.source, table.load) == ("perf_analyzer", "closed")
    first = table.rows[0]
    assert first.point == {"concurrency": 1}
    assert first.figures["samples_per_s"] == 100.5
    assert first.figures["queue_ns"] == 30_000
    assert first.figures["compute_infer_ns"] == 9_000_000
    assert first.figures["latency_p99_ns"] == 9_900_000
    assert not {"requests_per_s", "latency_mean_ns", "little"} & set(first.figures)


def test_the_batch_of_a_request_may_be_given(tmp_path: Path) -> None:
    first = rows(tmp_path, examples.PERF_ANALYZER, batch=2)[0]

    assert first.point == {"concurrency": 1, "request_batch": 2}
    assert first.figures["requests_per_s"] == 50.25


def test_a_verbose_csv_has_the_mean_and_its_gpus_are_added(tmp_path: Path) -> None:
    (table,) = read(tmp_path, examples.VERBOSE)

    (row,) = table.rows
    assert table.load == "open"
    assert row.point == {"qps": 50}
    assert row.figures["latency_mean_ns"] == 820_000
    assert row.figures["power_w"] == 110.5
    assert row.figures["memory_bytes"] == 3_000
    assert "Response Throughput" in table.configuration["Not imported"]


def test_a_gpu_that_reports_nothing_is_absent_and_not_zero(tmp_path: Path) -> None:
    silent = examples.VERBOSE.replace("GPU-a:50.5;GPU-b:60;", "")

    assert "power_w" not in rows(tmp_path, silent)[0].figures


# --- the study


def test_a_study_brings_the_configuration_above_its_table(tmp_path: Path) -> None:
    (table,) = read(tmp_path, examples.STUDY)

    assert table.load == "offline"
    assert table.configuration["Dataset"] == "electricity"
    assert [row.point for row in table.rows] == [{"batch": 1}, {"batch": 2}]
    assert table.rows[1].figures["latency_p99_ns"] == 2_900_000
    assert table.rows[1].figures["requests_per_s"] == 400


def test_a_table_of_our_own_in_those_columns_brings_its_configuration(tmp_path: Path) -> None:
    header, *lines = examples.PERF_ANALYZER.splitlines()
    commented = "\n".join(["# Backend: torch", "# Load: closed: some", header, *lines])
    bullets = examples.STUDY.partition("| Parameter")[0] + "- Backend: torch\n\n"
    table = examples.STUDY.partition("electricity |\n")[2]

    for text in (commented, bullets + table):
        (found,) = read(tmp_path, text)
        assert found.configuration["Backend"] == "torch"


def test_a_row_that_breaks_littles_law_is_marked(tmp_path: Path) -> None:
    first, second = rows(tmp_path, examples.STUDY)

    assert first.figures["little"] == pytest.approx(1.0)
    assert not first.marks
    assert second.figures["little"] == pytest.approx(0.8)
    assert "Little" in second.marks[0]


# --- model_analyzer


def test_model_analyzers_file_is_a_table_for_each_model(tmp_path: Path) -> None:
    add, sub = read(tmp_path, examples.INFERENCE)

    assert [add.configuration["Model"], sub.configuration["Model"]] == ["add", "sub"]
    assert add.rows[0].point == {"config": "add_config_1", "request_batch": 2, "concurrency": 4}
    assert add.rows[0].figures == {
        "samples_per_s": 1000.0,
        "requests_per_s": 500.0,
        "latency_p99_ns": 2_500_000.0,
    }
    assert "constraints" in add.rows[1].marks[0]
    assert add.configuration["Not imported"] == "RAM Usage (MB)"


def test_several_models_that_ran_together_have_the_figure_of_all(tmp_path: Path) -> None:
    together = examples.INFERENCE.replace("600.0,1.5", '"600.0, [200.0,400.0]","1.5, [1.0,2.0]"')

    assert read(tmp_path, together)[0].rows[1].figures["samples_per_s"] == 600


def test_gpus_of_one_point_are_added(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, examples.GPUS)

    assert row.figures == {"memory_bytes": 1e9, "power_w": 100.5}


def test_points_that_only_the_tool_can_tell_apart_are_numbered(tmp_path: Path) -> None:
    twice = examples.INFERENCE.replace("add,1,4", "add,2,4")

    assert [row.point["repeat"] for row in read(tmp_path, twice)[0].rows] == [1, 2]


# --- trtexec


def test_qps_are_queries_and_the_batch_is_of_the_first_dimension(tmp_path: Path) -> None:
    binding = "Input binding for x with dimensions 4x3x224x224 and type fp32 is created."
    (table,) = read(tmp_path, examples.trtexec("v101601", binding=binding))

    (row,) = table.rows
    assert row.point == {"batch": 4}
    assert row.figures["requests_per_s"] == 40.5
    assert row.figures["samples_per_s"] == 162
    assert row.figures["latency_p50_ns"] == 34_250_000
    assert row.figures["compute_infer_ns"] == 23_750_000
    assert (row.figures["requests"], row.figures["duration_s"]) == (126, 3.0734)
    assert "unstable" in row.marks[0]
    assert table.environment["Selected Device"] == "Tesla T4"
    assert table.configuration["CUDA Graph"] == "Disabled"
    assert table.command == "trtexec --loadEngine=m.plan"


@pytest.mark.parametrize(
    ("given", "batch", "samples_per_s"),
    [
        ({"options": " --shapes=x:8x3x224x224,y:8x4"}, 8, 324.0),
        ({"binding": "Created input binding for images with dimensions 10x3x640x1088"}, 10, 405.0),
        ({"implicit": "16"}, 16, 40.5),
        ({"options": " --shapes=x:8x3,y:1x4"}, None, None),
        ({}, None, None),
    ],
    ids=["options", "8.2", "implicit", "two batches", "unknown"],
)
def test_the_batch_is_known_or_absent(
    tmp_path: Path, given: dict[str, str], batch: int | None, samples_per_s: float | None
) -> None:
    (row,) = rows(tmp_path, examples.trtexec(**given))

    assert row.point.get("batch") == batch
    assert row.figures.get("samples_per_s") == samples_per_s


def test_an_older_log_with_one_percentile_is_read(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, examples.trtexec(percentiles=", percentile(99%) = 36 ms"), batch=1)

    assert row.figures["latency_p99_ns"] == 36_000_000
    assert "latency_p90_ns" not in row.figures


def test_runs_of_a_loop_over_batches_are_rows_of_one_table(tmp_path: Path) -> None:
    runs = [examples.trtexec(options=f" --shapes=x:{batch}x3") for batch in (1, 2)]
    other = examples.trtexec(options=" --shapes=x:4x3", streams="Inference Streams")

    both, alone = read(tmp_path, "".join([*runs, other]))

    assert [row.point for row in both.rows] == [{"batch": 1}, {"batch": 2}]
    assert [row.point for row in alone.rows] == [{"batch": 4}]


def test_exported_times_give_percentiles_and_windows(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, examples.times(), batch=3)

    assert row.figures["requests_per_s"] == pytest.approx(500)
    assert row.figures["samples_per_s"] == pytest.approx(1500)
    assert row.figures["latency_p99_ns"] == pytest.approx(2e6)
    assert row.figures["compute_input_ns"] == pytest.approx(0.5e6)
    assert row.windows == pytest.approx([1500] * len(row.windows))
    assert len(row.windows) == 16


def test_exported_times_without_a_batch_have_no_samples(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, examples.times())

    assert row.point == {}
    assert "samples_per_s" not in row.figures
    assert row.windows == ()


# --- MLPerf


@pytest.mark.parametrize(
    ("scenario", "result", "rate"),
    [
        ("Offline", "Samples per second: 1234.5", 1234.5),
        ("Server", "Scheduled samples per second : 99.5", 99.5),
        ("Single Stream", "90th percentile latency (ns) : 5\nQPS w/ loadgen overhead : 7", 7),
        ("MultiStream", "99th percentile latency (ns) : 5", None),
    ],
)
def test_a_summary_is_a_row_of_its_scenario(
    tmp_path: Path, scenario: str, result: str, rate: float | None
) -> None:
    (row,) = rows(tmp_path, examples.summary(scenario, result))

    assert row.point == {"scenario": scenario.replace(" ", "")}
    assert row.figures.get("samples_per_s") == rate
    assert row.figures["latency_p999_ns"] == 950_000


def test_the_completed_rate_of_server_counts(tmp_path: Path) -> None:
    text = examples.summary(
        "Server", "Scheduled samples per second : 9", more="Completed samples per second : 8\n"
    )

    assert rows(tmp_path, text)[0].figures["samples_per_s"] == 8


def test_multistream_of_old_rounds_has_its_streams_and_the_latency_of_a_query(
    tmp_path: Path,
) -> None:
    more = "99.00 percentile latency (ns)   : 49\nPer-sample latency:\n"
    (row,) = rows(tmp_path, examples.summary("Multi Stream", "Samples per query : 60", more=more))

    assert row.figures == {"streams": 60, "latency_p99_ns": 49}


def test_an_invalid_test_is_marked(tmp_path: Path) -> None:
    assert "INVALID" in rows(tmp_path, examples.summary(verdict="INVALID"))[0].marks[0]


def tree(folder: Path, **logs: str) -> Path:
    """Make a tree with a log for each scenario, `Server_2` for the second run."""
    for name, text in logs.items():
        scenario, _, run = name.partition("_")
        runs = folder / "closed/Me/results/box/resnet50" / scenario / "performance"
        log = runs / f"run_{run or 1}" / "mlperf_log_summary.txt"
        log.parent.mkdir(parents=True)
        log.write_text(text, "utf-8")
    systems = folder / "closed/Me/systems"
    systems.mkdir()
    (systems / "box.json").write_text('{"accelerator_model_name": "T4", "hw_notes": "x"}')
    return folder


def test_a_tree_is_a_table_for_each_benchmark_on_a_system(tmp_path: Path) -> None:
    folder = tree(tmp_path, Offline=examples.summary(), Server="broken")

    (table,) = read_tables(folder)

    assert table.configuration["Benchmark"] == "resnet50"
    assert table.configuration["Submitter"] == "Me"
    assert table.environment == {"accelerator_model_name": "T4"}
    offline, server = table.rows
    assert offline.figures["samples_per_s"] == 1234.5
    assert server.problem is not None
    assert "mlperf_log_summary.txt:1: scenario is 'missing'" in server.problem


def test_several_runs_of_a_scenario_are_told_apart(tmp_path: Path) -> None:
    text = examples.summary("Server", "Scheduled samples per second : 9")

    (table,) = read_tables(tree(tmp_path, Server_1=text, Server_2=text))

    assert [row.point["run"] for row in table.rows] == [1, 2]


def test_accuracy_tests_and_compliance_tests_of_a_tree_are_left_out(tmp_path: Path) -> None:
    folder = tree(tmp_path, Offline=examples.summary())
    for place in ("results/box/resnet50/Offline/accuracy", "compliance/box/TEST01/performance"):
        log = folder / "closed/Me" / place / "mlperf_log_summary.txt"
        log.parent.mkdir(parents=True)
        log.write_text(examples.summary(mode="AccuracyOnly"))

    (table,) = read_tables(folder)

    assert len(table.rows) == 1


DETAIL = {
    "effective_scenario": "Server",
    "effective_test_mode": "PerformanceOnly",
    "result_validity": "VALID",
    "result_completed_samples_per_sec": 99.5,
    "result_mean_latency_ns": 5,
    **{
        f"result_{p}_percentile_latency_ns": 6
        for p in ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
    },
}


def detail(**changes: object) -> str:
    """Return a detail log in LoadGen's form."""
    flags = {"is_error": False, "is_warning": False}
    return "".join(
        f":::MLLOG {json.dumps({'key': key, 'value': value, 'metadata': flags})}\n"
        for key, value in {**DETAIL, **changes}.items()
    )


def test_a_detail_log_alone_will_do(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, detail())

    assert row.point == {"scenario": "Server"}
    assert (row.figures["samples_per_s"], row.figures["latency_p99_ns"]) == (99.5, 6)


def test_the_folder_of_runs_has_a_row_for_each_performance_test(tmp_path: Path) -> None:
    nothing = "No warnings encountered during test.\n"
    for name, of_detail in (("a", detail()), ("b", detail(effective_test_mode="AccuracyOnly"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mlperf_log_detail.txt").write_text(of_detail)
        (tmp_path / name / "mlperf_log_summary.txt").write_text(nothing)

    (table,) = read_tables(tmp_path)

    assert [row.figures["samples_per_s"] for row in table.rows] == [99.5]


# --- what is wrong


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (examples.PERF_ANALYZER.replace("9900", "9,900"), 2, "14 cells; expected 13"),
        (examples.PERF_ANALYZER.replace("9900", "-1"), 2, "\"p99 latency\" is '-1'"),
        (examples.PERF_ANALYZER.replace("\n4,", "\n1,"), 3, "concurrency 1 is in line 2 already"),
        (examples.PERF_ANALYZER.split("\n")[0], 1, "no line below the header"),
        (examples.PERF_ANALYZER.replace("100.5", '"100.5'), 4, "expected comma-separated"),
        (examples.PERF_ANALYZER.replace("Concurrency", "Konkurrenz"), 2, "neither"),
        (examples.STUDY.replace("2.9", "nan"), 12, "nan"),
        (examples.INFERENCE.replace("600.0", "fast"), 3, "'fast'"),
        (examples.GPUS.replace("GPU UUID", "Model"), 2, 'two columns are called "Model"'),
        (examples.trtexec().partition("=== Perf")[0], 15, "no line"),
        (examples.trtexec().replace("40.5 qps", "40.5 fps"), 16, "'40.5 fps'"),
        (examples.trtexec().replace("31.7 ms", "31.7 s").replace("= 34", "= x"), 17, "'x.5'"),
        (examples.times().replace("2.0}", '"2"}', 1), 2, "latencyMs"),
        (examples.times()[:-9], 101, "expected the file of"),
        (examples.times().replace('"latencyMs": 2.0', '"latencyMs": -2.0', 1), 2, "below 0"),
        (examples.summary(result="Samples per second: many"), 7, "'many'"),
        (examples.summary("Offside"), 5, "'Offside'"),
        (examples.summary(verdict="maybe"), 8, "VALID or INVALID"),
        (examples.summary(mode="AccuracyOnly"), 6, "accuracy test"),
        (detail(result_mean_latency_ns="x"), 1, "\"result_mean_latency_ns\" is 'x'"),
        (':::MLLOG {"key": 1', 1, "effective_scenario"),
        ("Some,thing,else\n1,2,3\n", 1, "'Some,thing,else' begins no result"),
        ("", 1, "begins no result"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, text)

    message = str(raised.value)
    assert says in message
    assert f"result:{line}: " in message or line == 1
    assert "\n" not in message


def test_what_is_no_text_or_no_file_or_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    for path, says in (("binary", "no UTF-8"), ("none", "no such file"), ("", "no mlperf_log_")):
        with pytest.raises(DataError, match=says):
            read_tables(tmp_path / path)


def test_a_table_that_was_read_can_be_written(tmp_path: Path) -> None:
    (table,) = read(tmp_path, examples.PERF_ANALYZER)

    assert b'"source": "perf_analyzer"' in encode(table)
