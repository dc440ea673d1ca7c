"""Metric, latencies and reasons of every scenario, read from logs of the real LoadGen."""

import re
from dataclasses import replace

import pytest

from scenarios import scenario, scenario_names
from scenarios.base import Reason
from sut.base.errors import DataError
from sut.record.loadgen_logs import read_detail, read_summary_text
from tests.scenarios.real_loadgen import Run, logs, make
from tests.scenarios.runs import ACCURACY, INVALID, VALID, VALID_WITH_ERROR

pytestmark = pytest.mark.slow

# Where the summary shows the metric.
SHOWN = {
    "SingleStream": r"Early stopping 90\.0th percentile estimate: (\S+)",
    "MultiStream": r"Early stopping 99\.0th percentile estimate: (\S+)",
    "Server": r"Completed samples per second\s*: (\S+)",
    "Offline": r"Samples per second: (\S+)",
}
CHECKER_FIELDS = {
    "SingleStream": ("early_stopping_latency_ss", "ns"),
    "MultiStream": ("early_stopping_latency_ms", "ns"),
    "Server": ("result_completed_samples_per_sec", "samples/s"),
    "Offline": ("result_samples_per_second", "samples/s"),
}


@pytest.fixture(scope="module", autouse=True)
def made() -> None:
    """Every run that several tests look at, made side by side."""
    make([*VALID.values(), *ACCURACY.values(), *INVALID.values(), VALID_WITH_ERROR])


def reasons(run: Run) -> list[Reason]:
    return scenario(run.scenario).reasons(read_detail(logs(run)))


@pytest.mark.parametrize("name", scenario_names())
def test_the_metric_is_the_one_in_loadgens_summary(name: str) -> None:
    folder = logs(VALID[name])
    shown = re.search(SHOWN[name], read_summary_text(folder))

    metric = scenario(name).metric(read_detail(folder))

    assert shown is not None
    assert metric.value == pytest.approx(float(shown[1]), abs=0.006)  # it shows two decimals
    assert (metric.name, metric.unit) == CHECKER_FIELDS[name]


@pytest.mark.parametrize("name", scenario_names())
def test_the_latencies_are_those_in_loadgens_summary(name: str) -> None:
    folder = logs(VALID[name])
    text = read_summary_text(folder)
    shown = {key: _shown(text, rf"^{percentile} percentile latency") for key, percentile in _SHOWN}

    found = scenario(name).latency_ns(read_detail(folder))

    assert found == {"mean": _shown(text, "^Mean latency"), **shown}


@pytest.mark.parametrize("name", scenario_names())
def test_a_valid_run_has_no_reasons(name: str) -> None:
    assert read_detail(logs(VALID[name])).validity == "VALID"
    assert reasons(VALID[name]) == []


@pytest.mark.parametrize("words", INVALID)
def test_an_invalid_run_names_its_cause_in_one_line(words: str) -> None:
    found = reasons(INVALID[words])

    assert read_detail(logs(INVALID[words])).validity == "INVALID"
    assert words.split(" ", 1)[1] in str(found[0])
    for reason in found:
        assert "\n" not in str(reason)
        assert reason.cause.endswith(".")
        assert reason.remedy.endswith(".")


@pytest.mark.parametrize("words", [words for words in INVALID if "max_" not in words])
def test_a_cause_is_told_once(words: str) -> None:
    assert len(reasons(INVALID[words])) == 1


def test_an_error_in_a_valid_run_is_a_reason() -> None:
    found = reasons(VALID_WITH_ERROR)

    assert read_detail(logs(VALID_WITH_ERROR)).validity == "VALID"
    assert len(found) == 1
    assert "1 error" in found[0].cause
    assert "Multiple conf files" in found[0].cause
    assert "checker" in found[0].remedy


def test_an_error_beside_the_one_explained_is_told_too() -> None:
    run = INVALID["SingleStream ran out of its"]

    found = reasons(replace(run, configs=2))

    assert "ran out" in found[0].cause
    assert "1 more error" in found[1].cause
    assert "Multiple conf files" in found[1].cause
    assert len(found) == 2


@pytest.mark.parametrize("name", scenario_names())
def test_an_accuracy_run_has_no_reasons_and_no_metric(name: str) -> None:
    detail = read_detail(logs(ACCURACY[name]))

    assert scenario(name).reasons(detail) == []
    with pytest.raises(DataError, match="performance run"):
        scenario(name).metric(detail)


def test_an_error_in_an_accuracy_run_is_a_reason() -> None:
    found = reasons(replace(ACCURACY["Offline"], configs=2))

    assert [("Multiple conf files" in reason.cause) for reason in found] == [True]


@pytest.mark.parametrize("name", scenario_names())
def test_an_interrupted_run_is_told_as_such(name: str) -> None:
    whole = read_detail(logs(VALID[name]))
    cut = {key: value for key, value in whole.items() if "result" not in key}

    found = scenario(name).reasons(cut)

    assert "interrupted" in found[0].cause


@pytest.mark.parametrize("name", scenario_names())
def test_a_condition_that_nobody_knows_still_gives_a_reason(name: str) -> None:
    odd = {**read_detail(logs(VALID[name])), "result_validity": "INVALID"}

    found = scenario(name).reasons(odd)

    assert "LoadGen calls the run INVALID" in found[0].cause


@pytest.mark.parametrize("name", ["SingleStream", "MultiStream"])
def test_the_remedy_for_running_out_of_queries_works(name: str) -> None:
    run = INVALID[f"{name} ran out of its"]
    advice = _advice(run, r"--target-latency-ms (\S+)\)")

    # The advice is for any length, and leaves room for a run that is four times as fast.
    again = logs(run.with_conf(target_latency=advice, min_duration=300))

    assert read_detail(again).validity == "VALID"


@pytest.mark.parametrize("name", ["SingleStream", "MultiStream"])
def test_the_remedy_for_too_few_queries_works(name: str) -> None:
    run = INVALID[f"{name} Too few queries"]
    advice = _advice(run, r"--min-query-count (\d+)")

    again = logs(run.with_conf(min_query_count=int(advice)))

    assert read_detail(again).validity == "VALID"


def test_the_remedy_for_a_short_offline_run_works() -> None:
    run = INVALID["Offline Too short"]
    advice = _advice(run, r"--target-qps (\S+)\)")

    again = logs(run.with_conf(target_qps=advice, min_duration=400))

    assert read_detail(again).validity == "VALID"


def test_the_remedy_for_too_little_evidence_works() -> None:
    run = INVALID["Server too few queries for a verdict"]
    advice = _advice(run, r"--min-query-count (\d+)")

    again = logs(run.with_conf(min_query_count=int(advice)))

    assert advice == 459
    assert read_detail(again).validity == "VALID"


def test_an_overloaded_server_is_told_a_rate_that_the_engine_did() -> None:
    run = INVALID["Server The engine completed"]
    completed = read_detail(logs(run))["result_completed_samples_per_sec"]

    advice = _advice(run, r"--target-qps (\S+)\.$")

    assert isinstance(completed, float)
    assert advice == pytest.approx(0.9 * completed, rel=1e-3)


def test_a_missed_bound_is_told_with_counts_and_a_lower_rate() -> None:
    run = INVALID["Server Latency bound missed"]
    detail = read_detail(logs(run))

    text = str(reasons(run)[0])

    assert f"{detail['result_overlatency_query_count']} of {detail['result_query_count']}" in text
    assert "took longer than 200 ms" in text
    assert "times the bound" in text
    assert 0 < _advice(run, r"--target-qps (\S+)\.$") < 1000


def test_a_run_of_one_query_is_explained_though_its_rate_is_not_a_number() -> None:
    found = reasons(INVALID["Server max_query_count of"])

    assert "after 1 queries" in found[0].cause
    assert "--min-query-count 459" in found[1].remedy


_SHOWN = (
    ("p50", r"50\.00"),
    ("p90", r"90\.00"),
    ("p95", r"95\.00"),
    ("p97", r"97\.00"),
    ("p99", r"99\.00"),
    ("p999", r"99\.90"),
)


def _shown(text: str, pattern: str) -> float:
    found = re.search(rf"{pattern} \(ns\)\s*: (\d+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def _advice(run: Run, pattern: str) -> float:
    found = re.search(pattern, str(reasons(run)[0]))
    assert found is not None, str(reasons(run)[0])
    return float(found[1])
