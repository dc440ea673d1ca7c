"""A user's own model, images and labels through all four scenarios, and what the run leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scenarios import scenario, scenario_names
from sut.record.loadgen_logs import read_detail, read_summary_text
from tests.sut.helpers import folders, own
from tests.sut.helpers.program import Done, Program

pytestmark = pytest.mark.slow

# What design.md promises to scripts.
KEYS = {
    "benchmark", "scenario", "mode", "system", "backend", "simulated", "valid", "reasons", "metric",
    "latency_ns", "samples", "duration_s", "batches", "parts_ns", "harness", "accuracy", "versions",
    "command",
}  # fmt: skip
LATENCIES = {"mean", "p50", "p90", "p95", "p97", "p99", "p999"}
PARTS = {"queue", "dispatch", "compute", "completion", "total"}
LOGS = {"mlperf_log_summary.txt", "mlperf_log_detail.txt", "mlperf_log_accuracy.json"}
QUERIES = 700  # enough for early stopping at the 99th percentile with one late
RIGHT = 1 - own.WRONG / own.COUNT

SYSTEM = {
    "description": "a machine of the tests",
    "harness": {"slots": 2, "max_queue_delay_us": 30},
    "benchmarks": {"own": {"Server": {"max_queue_delay_us": 40}}},
}
HARNESS = {"Server": {"max_batch_size": 4, "slots": 3, "max_queue_delay_us": 50}}

each_scenario = pytest.mark.parametrize("name", scenario_names())


@dataclass(frozen=True)
class Run:
    """One command over all scenarios, and its folder."""

    done: Done
    out: Path

    def test(self, name: str, kind: str = "performance") -> Path:
        return self.out / name / kind


@pytest.fixture(scope="module")
def run(program: Program, own_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`sut run -s all --mode submission` on the own benchmark."""
    folder = tmp_path_factory.mktemp("run")
    system = folder / "machine"
    system.mkdir()
    (system / "system.yaml").write_text(yaml.safe_dump(SYSTEM), "utf-8")
    (system / "user.conf").write_text("*.Server.target_qps = 2000\n", "utf-8")
    benchmark = own.write_yaml(own_yaml.with_name("tuned.yaml"), harness=HARNESS)
    out = folder / "results of today"
    done = program.run(
        *("run", "-b", benchmark, "-s", "all", "--mode", "submission", "--system", system),
        *("--min-duration-s", 0.001, "--min-query-count", QUERIES, "--instances", 1, "--out", out),
    )
    return Run(done, out)


def test_all_scenarios_are_valid_and_the_command_says_so(run: Run) -> None:
    assert run.done.code == 0, run.done.err
    # A slow machine needs more than ten seconds, and gets lines of progress.
    assert all(re.match(r"\w+[ \w]*: .*\d s\b", line) for line in run.done.err.splitlines())
    assert run.done.out.count(" VALID ") == 4
    assert str(run.out) in run.done.out
    assert {path.name for path in run.out.iterdir()} == {*scenario_names(), "results.json"}


@each_scenario
def test_both_tests_leave_loadgen_s_logs(run: Run, name: str) -> None:
    for kind in ("performance", "accuracy"):
        assert folders.contents(run.test(name, kind)) >= LOGS
        assert read_detail(run.test(name, kind)).complete
    assert "Result is : VALID" in read_summary_text(run.test(name))


@each_scenario
def test_no_test_leaves_unfinished_files(run: Run, name: str) -> None:
    left = folders.contents(run.out / name)

    assert left
    assert not [path for path in left if path.endswith((".trace", ".part"))]


@each_scenario
def test_every_sample_is_answered_as_numpy_answers_it(run: Run, own_yaml: Path, name: str) -> None:
    right = list(own.answers(own_yaml.parent).values())

    log = folders.answered(run.test(name, "accuracy"))

    assert set(log) == {(index, np.float32(label).tobytes()) for index, label in enumerate(right)}
    assert len(log) == own.COUNT or name == "MultiStream"  # which pads its last query


@each_scenario
def test_the_accuracy_is_the_share_of_right_labels(run: Run, name: str) -> None:
    accuracy = folders.summary(run.out / name)["accuracy"]

    assert (accuracy["metric"], accuracy["n"]) == ("top1", own.COUNT)
    assert accuracy["value"] == pytest.approx(RIGHT)
    assert accuracy["target"] is None
    line = (run.test(name, "accuracy") / "accuracy.txt").read_text("utf-8")
    assert line.startswith(f"accuracy={100 * RIGHT:.3f}%")


@each_scenario
@pytest.mark.parametrize("part", ["", "performance", "accuracy"])
def test_the_summary_has_every_key_that_scripts_rely_on(run: Run, name: str, part: str) -> None:
    found = folders.summary(run.out / name / part)

    assert set(found) >= KEYS
    assert (found["benchmark"], found["scenario"], found["mode"]) == (
        "own", name, part or "submission",
    )  # fmt: skip
    assert (found["valid"], found["reasons"], found["interrupted"]) == (True, [], None)
    assert (found["simulated"], found["backend"]) == (False, "onnxruntime")
    assert set(found["latency_ns"]) == LATENCIES or part == "accuracy"
    assert set(found["parts_ns"]) == PARTS
    assert found["versions"].keys() >= {"loadgen-sut", "python", "mlcommons-loadgen", "onnxruntime"}


@each_scenario
def test_the_metric_is_the_one_in_loadgen_s_log(run: Run, name: str) -> None:
    found = folders.summary(run.out / name)["metric"]

    assert set(found) == {"name", "value", "unit"}
    assert found["value"] == read_detail(run.test(name))[found["name"]]
    assert found["value"] > 0


def test_results_json_holds_every_summary(run: Run) -> None:
    assert folders.results(run.out) == [
        folders.summary(run.out / name) for name in scenario_names()
    ]


def test_every_value_of_the_harness_names_its_source(run: Run) -> None:
    harness = folders.config(run.test("Server"))["harness"]

    assert harness["instances"] == {"value": 1, "source": "command line"}
    assert harness["max_queue_delay_us"]["value"] == 40
    assert harness["max_queue_delay_us"]["source"] == "machine/system.yaml, own, Server"
    assert harness["slots"] == {"value": 2, "source": "machine/system.yaml, harness"}
    assert harness["max_batch_size"] == {"value": 4, "source": "benchmark own"}
    assert harness["workers"] == {"value": "thread", "source": "scenario"}
    assert harness["devices"] == {"value": ["cpu"], "source": "default"}


def test_every_value_of_loadgen_names_its_source(run: Run) -> None:
    server = folders.config(run.test("Server"))["loadgen"]
    offline = folders.config(run.test("Offline"))["loadgen"]

    assert server["target_qps"]["value"] == 2000
    assert server["target_qps"]["source"].endswith("machine/user.conf:1")
    assert server["target_latency"] == {"value": 5000, "source": "round current"}
    assert server["min_query_count"] == {"value": QUERIES, "source": "command line"}
    assert offline["min_duration"] == {"value": 1, "source": "command line"}
    assert offline["target_qps"]["source"] == "scenario, from warm-up"


@each_scenario
def test_loadgen_ran_with_the_values_in_config_yaml(run: Run, name: str) -> None:
    effective = read_detail(run.test(name)).effective

    assert effective["min_duration_ms"] == 1
    assert effective["min_query_count"] == (1 if name == "Offline" else QUERIES)


@each_scenario
def test_config_yaml_says_what_the_run_was_made_of(run: Run, own_yaml: Path, name: str) -> None:
    found = folders.config(run.test(name))

    assert found["model"]["path"] == str(own_yaml.with_name(own.MODEL))
    assert len(found["model"]["sha256"]) == len(found["data"]["digest"]) == 64
    assert found["data"]["count"] == own.COUNT


@each_scenario
def test_environment_json_names_machine_software_and_engine(run: Run, name: str) -> None:
    found = yaml.safe_load((run.test(name) / "environment.json").read_text("utf-8"))

    assert found["machine"]["cores_usable"] >= 1
    assert found["machine"]["memory_bytes"] > 0
    assert found["versions"]["mlcommons-loadgen"]
    assert [engine["provider"] for engine in found["engines"]] == ["CPUExecutionProvider"]


@each_scenario
@pytest.mark.parametrize("kind", ["performance", "accuracy"])
def test_the_trace_holds_every_sample_once(run: Run, name: str, kind: str) -> None:
    trace, found = folders.batches(run.test(name, kind)), folders.summary(run.test(name, kind))
    detail = read_detail(run.test(name, kind))

    assert np.array_equal(trace["first_sample"], np.cumsum(trace["samples"]) - trace["samples"]), (
        "batches follow each other without a gap"
    )
    assert trace["samples"].sum() == trace["query_samples"].sum() == found["samples"]
    assert found["batches"]["count"] == len(trace["samples"])
    if kind == "accuracy":
        assert found["samples"] == own.COUNT or name == "MultiStream"  # which pads its last query
    else:
        assert found["samples"] == _samples_of(detail, name)


def _samples_of(detail: Any, name: str) -> int:
    if name == "Offline":
        return int(detail["effective_samples_per_query"])
    return int(detail["result_query_count"]) * scenario(name).samples_per_query


@each_scenario
def test_the_histogram_adds_up_to_the_samples(run: Run, name: str) -> None:
    found = folders.summary(run.test(name))
    histogram = {int(size): count for size, count in found["batches"]["histogram"].items()}

    assert sum(size * count for size, count in histogram.items()) == found["samples"]
    assert sum(histogram.values()) == found["batches"]["count"]
    assert sum(found["batches"]["closed_by"].values()) == found["batches"]["count"]
    assert found["batches"]["mean_size"] == pytest.approx(
        found["samples"] / found["batches"]["count"]
    )
    assert max(histogram) <= (4 if name == "Server" else 8)


@each_scenario
def test_the_parts_of_a_sample_add_up_to_its_latency(run: Run, name: str) -> None:
    trace, found = folders.batches(run.test(name)), folders.summary(run.test(name))["parts_ns"]
    arrivals = np.repeat(trace["query_arrival_ns"], trace["query_samples"])
    times = [arrivals] + [
        np.repeat(trace[key], trace["samples"])
        for key in ("closed_ns", "started_ns", "finished_ns", "completed_ns")
    ]
    parts = np.diff(times, axis=0)

    assert (parts >= 0).all()
    assert np.array_equal(parts.sum(axis=0), times[-1] - arrivals)
    for part, values in zip(("queue", "dispatch", "compute", "completion"), parts, strict=True):
        assert found[part]["mean"] == pytest.approx(values.mean())
    assert found["total"]["mean"] == pytest.approx(sum(found[p]["mean"] for p in PARTS - {"total"}))


@pytest.mark.parametrize("name", ["SingleStream", "MultiStream"])
def test_the_parts_explain_the_latency_that_loadgen_measured(run: Run, name: str) -> None:
    found = folders.summary(run.test(name))

    # LoadGen's clock stops inside QuerySamplesComplete, ours when it has returned.
    assert found["parts_ns"]["total"]["mean"] == pytest.approx(
        found["latency_ns"]["mean"], abs=1e6, rel=0.2
    )


@each_scenario
def test_the_engine_was_busy_for_a_share_of_the_run(run: Run, name: str) -> None:
    busy = folders.summary(run.test(name))["harness"]["engine_busy_fraction"]

    assert list(busy) == ["device cpu"]
    assert 0 < busy["device cpu"] <= 1
