"""Our verdicts on compliance tests are the official ones.

The expected texts are what run_verification.py of mlcommons/inference prints for these logs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sut.base.errors import ConfigError, DataError
from sut.submission.audit import Audit
from sut.submission.compliance import (
    TEST01,
    TEST04,
    audit_config,
    known_test,
    verify_accuracy,
    verify_performance,
)
from tests.sut.submission.helpers.good_tree import SCENARIOS, Tree, make_tree


def log(path: Path, responses: list[tuple[int, bytes]]) -> Path:
    """Write an accuracy log."""
    records = [
        {"seq_id": k, "qsl_idx": index, "data": data.hex().upper()}
        for k, (index, data) in enumerate(responses)
    ]
    path.write_text(json.dumps(records), "utf-8")
    return path


def number(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes()


@pytest.mark.parametrize(
    ("reference", "test", "passed", "counts"),
    [
        ([(0, number(1)), (1, number(2))], [(1, number(2)), (1, number(2))], True, (2, 0, 0)),
        ([(0, number(1))], [(0, number(2))], False, (1, 1, 0)),
        ([(0, number(1))], [(5, number(1))], False, (0, 0, 1)),
        ([(0, number(1))], [], False, (0, 0, 0)),
        ([(0, b"")], [(0, b"")], True, (1, 0, 0)),
        ([(0, b"")], [(0, number(1))], False, (1, 1, 0)),
        # Only the first number of a response counts.
        ([(0, number(1, 2))], [(0, number(1, 3))], True, (1, 0, 0)),
        # A response that the accuracy run has not is compared with the next one.
        ([(0, number(1))], [(7, number(1)), (7, number(1)), (0, number(1))], True, (2, 0, 1)),
    ],
)
def test_responses_are_judged_as_the_official_script_does(
    tmp_path: Path,
    reference: list[tuple[int, bytes]],
    test: list[tuple[int, bytes]],
    passed: bool,
    counts: tuple[int, int, int],
) -> None:
    verdict = verify_accuracy(log(tmp_path / "a", reference), log(tmp_path / "b", test))

    assert verdict.passed is passed
    matched, mismatched, missing = counts
    assert f"num_perf_log_qsl_idx_match = {matched}\n" in verdict.text
    assert f"num_perf_log_data_mismatch = {mismatched}\n" in verdict.text
    assert f"num_missing_qsl_idxs = {missing}\n" in verdict.text
    assert verdict.text.splitlines()[-2] == ("TEST PASS" if passed else "TEST FAIL")


def test_the_text_is_the_official_one(tmp_path: Path) -> None:
    one = log(tmp_path / "a", [(0, number(1)), (1, number(2)), (1, number(3))])

    verdict = verify_accuracy(one, log(tmp_path / "b", [(0, number(1))]))

    assert verdict.text == (
        "Verifying accuracy. This might take a while...\n"
        "Reading accuracy mode results...\n"
        "Reading performance mode results...\n"
        "num_acc_log_entries = 3\n"
        "num_acc_log_duplicate_keys = 1\n"
        "num_acc_log_data_mismatch = 1\n"
        "num_perf_log_entries = 1\n"
        "num_perf_log_qsl_idx_match = 1\n"
        "num_perf_log_data_mismatch = 0\n"
        "num_missing_qsl_idxs = 0\n"
        "TEST PASS\n\n"
    )


def test_responses_that_differ_need_the_non_deterministic_path(tmp_path: Path) -> None:
    one, other = log(tmp_path / "a", [(0, number(1))]), log(tmp_path / "b", [(0, number(2))])

    assert "non-deterministic" in verify_accuracy(one, other).note


def test_bits_beyond_the_first_number_are_noted(tmp_path: Path) -> None:
    one = log(tmp_path / "a", [(0, number(1, 2))])
    other = log(tmp_path / "b", [(0, number(1, 3))])

    verdict = verify_accuracy(one, other)

    assert verdict.passed
    assert "bit-identical" in verdict.note


def test_a_truncated_log_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_text('[\n{ "seq_id" : 0,\n\n...\n\n]', "utf-8")

    with pytest.raises(DataError, match="not a truncated one"):
        verify_accuracy(cut, cut)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return make_tree(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("test", [TEST01, TEST04])
def test_the_same_speed_passes(tree: Tree, test: str, scenario: str) -> None:
    verdict = verify_performance(test, tree.run(scenario), tree.run(scenario, test))

    assert verdict.passed
    assert verdict.text.endswith("TEST PASS\n")


@pytest.mark.parametrize(
    ("score", "passed"),
    [(82.8 * 0.89, False), (82.8 * 0.91, True), (82.8 * 1.09, True), (82.8 * 1.11, False)],
)
def test_test01_allows_ten_percent_either_way(tmp_path: Path, score: float, passed: bool) -> None:
    tree = make_tree(tmp_path)
    tree.record("result_samples_per_second", score, scenario="Offline", part=TEST01)

    verdict = verify_performance(TEST01, tree.run("Offline"), tree.run("Offline", TEST01))

    assert verdict.passed is passed
    advised = any(
        "start the same command again" in note for note in Audit(TEST01, verdict, None).notes
    )
    assert advised is not passed


@pytest.mark.parametrize(("score", "passed"), [("41.0", True), ("91.0", True), ("92.0", False)])
def test_test04_refuses_only_what_is_faster(tmp_path: Path, score: str, passed: bool) -> None:
    tree = make_tree(tmp_path)
    run = tree.run("Offline", TEST04)
    tree.replace(run / "mlperf_log_summary.txt", "second: 82.8", f"second: {score}")

    assert verify_performance(TEST04, tree.run("Offline"), run).passed is passed


def test_test04_of_a_summary_without_a_score_is_refused(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    run = tree.run("Offline", TEST04)
    tree.replace(run / "mlperf_log_summary.txt", "Samples per second: 82.8", "")

    with pytest.raises(DataError, match="no score"):
        verify_performance(TEST04, tree.run("Offline"), run)


def test_test04_compares_streams_by_their_rate_and_allows_twenty_percent(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    run = tree.run("SingleStream", TEST04)
    tree.replace(run / "mlperf_log_summary.txt", "10600000", str(int(10_600_000 / 1.19)))

    assert verify_performance(TEST04, tree.run("SingleStream"), run).passed


@pytest.mark.parametrize("part", ["performance", TEST01])
def test_test01_needs_valid_results(tmp_path: Path, part: str) -> None:
    tree = make_tree(tmp_path)
    tree.record("result_validity", "INVALID", scenario="Server", part=part)

    verdict = verify_performance(TEST01, tree.run(), tree.run(part=TEST01))

    assert not verdict.passed
    assert "TEST FAIL: Invalid results in" in verdict.text


def test_test01_needs_the_same_bound_in_server(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    tree.record("effective_target_latency_ns", 14_000_000, part=TEST01)

    verdict = verify_performance(TEST01, tree.run(), tree.run(part=TEST01))

    assert verdict.text.endswith("TEST FAIL: Server target latency mismatch\n")


@pytest.mark.parametrize("test", [TEST01, TEST04])
def test_runs_of_two_scenarios_cannot_be_compared(tree: Tree, test: str) -> None:
    verdict = verify_performance(test, tree.run("Offline"), tree.run("Server", test))

    assert not verdict.passed
    assert "scenarios do not match" in verdict.text


def test_the_audit_configs_are_the_official_ones() -> None:
    assert audit_config(TEST01, 64).splitlines() == [
        "*.*.mode = 2",
        "*.*.accuracy_log_rng_seed = 720381539243781796",
        "*.*.accuracy_log_sampling_target = 64",
    ]
    lines = audit_config(TEST04, 0).splitlines()
    assert len(lines) == 16
    assert "*.Server.performance_issue_same_index = 3" in lines


def test_an_unknown_test_is_bad_input() -> None:
    assert known_test("test01") == TEST01
    with pytest.raises(ConfigError, match=r'"TEST05"'):
        known_test("TEST05")
