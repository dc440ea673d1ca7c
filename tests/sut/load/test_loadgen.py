"""The LoadGen seam with the real LoadGen: settings, callbacks, records, and what may go wrong."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scenarios import scenario_names
from sut.record.loadgen_logs import read_detail
from tests.sut.helpers import folders
from tests.sut.helpers.loadgen_run import LOADED, TOTAL, Observed, Run, record, run

pytestmark = pytest.mark.slow

SETS = -(-TOTAL // LOADED)
SERVER = (("min_duration", 1), ("min_query_count", 50), ("target_qps", 5000))


def conf_of(name: str) -> tuple[tuple[str, float], ...]:
    return SERVER if name == "Server" else Run.conf


RUNS = {
    **{f"{name} performance": Run(name, conf=conf_of(name)) for name in scenario_names()},
    **{f"{name} accuracy": Run(name, True, conf_of(name)) for name in scenario_names()},
    "threads": Run("Server", True, SERVER, threads=True),
    "unequal": Run(accuracy=True, records="unequal"),
    "empty": Run(accuracy=True, records="empty"),
    "none": Run(accuracy=True, records="none"),
    "trace": Run(trace=True),
    "audit": Run("SingleStream", audit=True),
    "no user.conf": Run(conf_text="-"),
    "broken user.conf": Run(conf_text="*.Offline.min_duration = 5 # ms\n"),
    **{f"{name} raises": Run(raises=name) for name in ("issue", "flush", "load", "unload")},
    "named": Run(accuracy=True, name="Network SUT alpha"),
    "name raises": Run(name="Network SUT alpha", raises="name"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Observed]:
    """Every run, in a process of its own."""

    def start(name: str) -> Observed:
        return run(RUNS[name], tmp_path_factory.mktemp("loadgen"))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RUNS, pool.map(start, RUNS), strict=True))


performance = pytest.mark.parametrize("name", [f"{name} performance" for name in scenario_names()])
accuracy = pytest.mark.parametrize(
    "name", [*(f"{name} accuracy" for name in scenario_names()), "threads"]
)


@performance
def test_a_performance_run_completes_every_sample_without_an_error(
    runs: dict[str, Observed], name: str
) -> None:
    seen = runs[name]
    detail = read_detail(seen.folder)

    assert (seen.code, seen.err, seen.error, seen.failures) == (0, "", "", [])
    assert detail.complete
    assert detail["num_errors"] == 0
    assert len(seen.issued) == detail["result_query_count"]


@performance
def test_a_performance_run_loads_one_set_and_asks_for_nothing_else(
    runs: dict[str, Observed], name: str
) -> None:
    seen = runs[name]

    assert [len(set(indices)) for indices in seen.loaded] == [LOADED]
    assert seen.unloaded == seen.loaded
    assert seen.outside == []


@accuracy
def test_an_accuracy_run_loads_set_after_set_until_it_had_all(
    runs: dict[str, Observed], name: str
) -> None:
    seen = runs[name]

    assert (seen.code, seen.err, seen.error, seen.failures) == (0, "", "", [])
    assert len(seen.loaded) == seen.flushes == SETS
    assert {index for loaded in seen.loaded for index in loaded} == set(range(TOTAL))
    assert [sorted(set(loaded)) for loaded in seen.loaded] == [
        sorted(set(unloaded)) for unloaded in seen.unloaded
    ]
    assert all(len(set(loaded)) <= LOADED for loaded in seen.loaded)
    assert seen.outside == []


@accuracy
def test_every_sample_is_in_the_accuracy_log_with_its_own_bytes(
    runs: dict[str, Observed], name: str
) -> None:
    seen = runs[name]
    log = folders.answered(seen.folder)

    issued = Counter(index for query in seen.issued for index in query)
    assert Counter(index for index, _ in log) == issued
    assert set(issued) == set(range(TOTAL))
    assert set(log) == {(index, record("equal", index).tobytes()) for index in range(TOTAL)}


@pytest.mark.parametrize("name", ["unequal", "empty"])
def test_records_of_different_sizes_reach_the_log_as_they_are(
    runs: dict[str, Observed], name: str
) -> None:
    seen = runs[name]

    assert (seen.code, seen.failures) == (0, [])
    assert sorted(folders.answered(seen.folder)) == [
        (index, record(name, index).tobytes()) for index in range(TOTAL)
    ]


def test_samples_without_a_response_are_completed_empty(runs: dict[str, Observed]) -> None:
    seen = runs["none"]

    assert (seen.code, seen.failures) == (0, [])
    assert sorted(folders.answered(seen.folder)) == [(index, b"") for index in range(TOTAL)]


def test_a_sut_that_is_elsewhere_says_its_name_and_answers_every_sample(
    runs: dict[str, Observed],
) -> None:
    seen = runs["named"]
    detail = read_detail(seen.folder)

    assert (seen.code, seen.failures) == (0, [])
    assert detail["sut_name"] == "Network SUT alpha"
    assert detail.get("get_sut_name_duration_ns") != 0
    assert {index for query in seen.issued for index in query} == set(range(TOTAL))
    assert sorted(folders.answered(seen.folder)) == [
        (index, record("equal", index).tobytes()) for index in range(TOTAL)
    ]


def test_loadgen_s_trace_is_written_only_when_asked_for(runs: dict[str, Observed]) -> None:
    name = "mlperf_log_trace.json"

    assert (runs["Offline performance"].folder / name).stat().st_size == 0
    assert (runs["trace"].folder / name).stat().st_size > 0


def test_an_audit_config_in_the_folder_counts_only_when_given(runs: dict[str, Observed]) -> None:
    key = "effective_min_query_count"

    assert read_detail(runs["SingleStream performance"].folder)[key] == 50
    assert read_detail(runs["audit"].folder)[key] == 77


@pytest.mark.parametrize("name", ["no user.conf", "broken user.conf"])
def test_a_user_conf_that_loadgen_refuses_is_an_error_and_nothing_runs(
    runs: dict[str, Observed], name: str
) -> None:
    seen = runs[name]

    assert seen.error.startswith("ConfigError: ")
    assert "user.conf: LoadGen" in seen.error
    assert (seen.code, seen.issued, seen.loaded) == (0, [], [])


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        ("issue", "IssueQuery"),
        ("flush", "FlushQueries"),
        ("load", "LoadSamplesToRam"),
        ("unload", "UnloadSamplesFromRam"),
        ("name", "Name"),
    ],
)
def test_an_exception_in_a_callback_is_reported_and_loadgen_returns(
    runs: dict[str, Observed], callback: str, name: str
) -> None:
    seen = runs[f"{callback} raises"]

    assert (seen.code, seen.err, seen.error) == (0, "", "")
    line, traceback = seen.failures[0]
    assert len(seen.failures) == 1 or callback == "name"  # LoadGen asks for the name several times
    assert line == f"{name}: RuntimeError: {callback} is out of luck"
    assert traceback.startswith("Traceback (most recent call last):")
    assert traceback.endswith(f"RuntimeError: {callback} is out of luck\n")
    assert read_detail(Path(seen.folder)).complete
