"""Genuine faults that published trees had, or that a loose comparison let pass (K6).

Both official checkers accept most of them. The trees are made by hand.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sut.submission.check import check
from sut.submission.truncate import MAX_BYTES
from tests.sut.submission.helpers.good_tree import (
    SCENARIOS,
    SETTINGS,
    Tree,
    codes,
    make_old_result,
    to_network,
    to_open,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sut.submission.check import Report

DETAIL, SUMMARY = "mlperf_log_detail.txt", "mlperf_log_summary.txt"


def warnings(report: Report) -> list[str]:
    return [f.code for f in report.findings if f.severity == "warning"]


# K6: compared letter by letter, and every value of a file


@pytest.mark.parametrize("kind", ["Edge", "DATACENTER", "datacenter, edge", "edge,edge"])
def test_k6_a_system_type_is_compared_letter_by_letter(kind: str, tree: Tree) -> None:
    tree.edit(tree.system_json, system_type=kind)

    assert "system-field" in codes(check(tree.root))


def test_k6_a_status_is_not(tree: Tree) -> None:
    tree.edit(tree.system_json, status="Available")

    assert check(tree.root).findings == []


def test_k6_a_networked_system_in_closed_is_refused(tree: Tree) -> None:
    tree.edit(tree.system_json, is_network="true")

    assert "network-division" in codes(check(tree.root))


def test_k6_a_system_that_is_not_networked_is_refused_in_the_network_division(tree: Tree) -> None:
    moved = to_network(tree)
    moved.edit(moved.system_json, is_network="false")

    assert codes(check(moved.root)) == {"network-division"}


def test_k6_the_network_division_asks_for_further_fields(tree: Tree) -> None:
    moved = to_network(tree)
    moved.edit(moved.system_json, network_topology=None)

    assert codes(check(moved.root)) == {"system-field"}


def test_k6_an_unclear_is_network_is_refused(tree: Tree) -> None:
    tree.edit(tree.system_json, is_network="yes")

    assert codes(check(tree.root)) == {"system-field"}


def test_k6_a_network_result_says_so_in_the_name_of_its_sut(tree: Tree) -> None:
    moved = to_network(tree)
    for part in ("performance", "accuracy"):
        moved.record("sut_name", "PySUT", part=part)

    assert codes(check(moved.root)) == {"network-name"}


def test_k6_v0_5_has_its_own_seeds(tmp_path: Path) -> None:
    result = make_old_result(tmp_path)
    path = result / "performance/run_2" / SUMMARY
    lines = path.read_text("utf-8").splitlines()
    changed = [f"{line.partition(' : ')[0]} : 1" if "rng_seed" in line else line for line in lines]
    path.write_text("\n".join(changed), "utf-8")

    report = check(tmp_path)

    assert codes(report) == {"wrong-seed"}
    assert len(report.findings) == len(("qsl", "sample_index", "schedule"))


def test_k6_seeds_of_v0_5_may_be_in_the_detail_log_alone(tmp_path: Path) -> None:
    result = make_old_result(tmp_path)
    path = result / "performance/run_2" / SUMMARY
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "rng_seed" not in line), "utf-8")

    assert check(tmp_path).findings == []


def test_k6_v0_5_describes_its_system(tmp_path: Path) -> None:
    make_old_result(tmp_path)
    path = tmp_path / "closed/Acme/systems/host1.json"
    described = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**described, "framework": ""}), "utf-8")
    blank = codes(check(tmp_path))
    path.write_text("{}", "utf-8")
    empty = codes(check(tmp_path))
    path.write_text("[]", "utf-8")

    assert (blank, empty) == ({"system-blank"}, {"system-blank"})
    assert codes(check(tmp_path)) == {"system-missing"}


@pytest.mark.parametrize(
    ("figures", "code"),
    [
        (["70.000", "76.456"], "accuracy-low"),
        (["76.456", "70.000"], "accuracy-low"),
        (["76.456", "76.900"], "accuracy-unreadable"),
        (["76.456", "76.456"], None),
    ],
)
def test_k6_every_figure_of_an_accuracy_file_counts(
    figures: list[str], code: str | None, tree: Tree
) -> None:
    path = tree.run(part="accuracy") / "accuracy.txt"
    rest = path.read_text("utf-8").splitlines()[1:]
    lines = [f"accuracy={figure}%, good=38228, total=50000" for figure in figures]
    path.write_text("\n".join([*lines, *rest]) + "\n", "utf-8")

    assert codes(check(tree.root)) == ({code} if code else set())


def test_k6_in_v0_5_too(tmp_path: Path) -> None:
    path = make_old_result(tmp_path) / "accuracy/accuracy.txt"
    path.write_text("accuracy=70.0%\naccuracy=76.2%\n", "utf-8")

    assert codes(check(tmp_path)) == {"accuracy-low"}


@pytest.mark.parametrize("part", ["performance", "accuracy"])
def test_k6_a_log_of_two_runs_is_broken(part: str, tree: Tree) -> None:
    path = tree.run(part=part) / DETAIL
    one = path.read_text("utf-8")
    path.write_text(one.replace('"VALID"', '"INVALID"') + one, "utf-8")

    assert f"{part}-log-broken" in codes(check(tree.root))


def test_k6_a_verdict_before_the_verdict_is_of_another_run(tree: Tree) -> None:
    path = tree.run() / DETAIL
    lines = path.read_text("utf-8").splitlines(keepends=True)
    (verdict,) = (line for line in lines if '"result_validity"' in line)
    path.write_text("".join([verdict.replace("VALID", "INVALID"), *lines]), "utf-8")

    assert codes(check(tree.root)) == {"performance-log-broken"}


def test_k6_a_compliance_log_of_two_runs_is_refused(tree: Tree) -> None:
    path = tree.run(part="TEST04") / DETAIL
    path.write_text(path.read_text("utf-8") * 2, "utf-8")

    assert codes(check(tree.root)) == {"audit-files"}


def test_k6_a_summary_of_two_runs_is_not_that_of_the_log(tree: Tree) -> None:
    path = tree.run() / SUMMARY
    one = path.read_text("utf-8")
    path.write_text(one + one.replace("is : VALID", "is : INVALID"), "utf-8")

    assert "summary-differs" in codes(check(tree.root))


def test_k6_an_invalid_run_before_a_good_one_is_seen_in_v0_5(tmp_path: Path) -> None:
    path = make_old_result(tmp_path) / "performance/run_1" / SUMMARY
    one = path.read_text("utf-8")
    path.write_text(one.replace("VALID", "INVALID") + one, "utf-8")

    assert codes(check(tmp_path)) == {"invalid-result"}


def state_hashes(path: Path, *hashes: str) -> None:
    line = path.read_text("utf-8").splitlines()[0]
    path.write_text("\n\n".join([line, *(f"hash={text}" for text in hashes)]) + "\n", "utf-8")


def test_of_two_hashes_one_may_be_that_of_the_whole_log(tree: Tree) -> None:
    from sut.base.files import sha256_file

    path = tree.run(part="accuracy") / "accuracy.txt"
    state_hashes(path, sha256_file(path.with_name("mlperf_log_accuracy.json")), "0" * 64)

    report = check(tree.root)

    assert report.errors == 0
    assert [finding.code for finding in report.findings] == ["several-hashes"]


def test_two_hashes_that_cannot_be_right_are_wrong(tree: Tree) -> None:
    from sut.base.files import sha256_file

    path = tree.run(part="accuracy") / "accuracy.txt"
    state_hashes(path, sha256_file(path.with_name("mlperf_log_accuracy.json")), "no_hash")

    assert codes(check(tree.root)) == {"wrong-hash"}


def test_two_hashes_are_compared_with_the_whole_log(tree: Tree, tmp_path: Path) -> None:
    whole = tmp_path / "runs" / tree.system / "resnet50/Server/accuracy/mlperf_log_accuracy.json"
    whole.parent.mkdir(parents=True)
    whole.write_text("[\n]\n", "utf-8")
    state_hashes(tree.run(part="accuracy") / "accuracy.txt", "0" * 64, "1" * 64)

    assert codes(check(tree.root, originals=tmp_path / "runs")) == {"wrong-hash"}


def test_k6_more_samples_than_the_data_set_has_are_refused(tree: Tree) -> None:
    for key in ("effective_accuracy_sample_count", "qsl_reported_total_count"):
        tree.record(key, 50_001, part="accuracy")

    assert "data-set-size" in codes(check(tree.root))


@pytest.mark.parametrize("test", ["TEST01", "TEST04"])
def test_k6_a_compliance_run_of_another_scenario_is_refused(test: str, tree: Tree) -> None:
    tree.record("effective_scenario", "SingleStream", part=test)

    assert "audit-differs" in codes(check(tree.root))


def test_k6_a_bound_that_is_no_number_is_none(tree: Tree) -> None:
    tree.record("effective_target_latency_ns", None, part="TEST04")

    assert codes(check(tree.root)) == {"latency-bound"}


def test_k6_a_count_that_is_no_number_is_not_the_data_set(tree: Tree) -> None:
    tree.record("effective_accuracy_sample_count", "all", part="accuracy")

    assert "data-set-size" in codes(check(tree.root))


# Published faults


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("effective_accuracy_log_rng_seed", 720381539243781796),
        ("effective_accuracy_log_sampling_target", 4096),
        ("effective_performance_issue_same", True),
        ("effective_performance_issue_unique", True),
    ],
)
def test_fault_a_performance_log_with_audit_settings(key: str, value: object, tree: Tree) -> None:
    tree.record(key, value)

    assert "audit-settings" in codes(check(tree.root))


def test_fault_a_compliance_test_without_its_settings(tree: Tree) -> None:
    tree.record("effective_accuracy_log_sampling_target", 0, part="TEST01")

    assert codes(check(tree.root)) == {"audit-settings"}


@pytest.mark.parametrize(
    "name",
    [
        "Multi-Node SUT: Network SUT, Network SUT",
        "Multi-Node SUT: Network SUT a, Network SUT b, Network SUT a",
        "Network SUT n1:8000, Network SUT n1:8000",
    ],
)
def test_fault_network_nodes_of_one_name(name: str, tree: Tree) -> None:
    moved = to_network(tree)
    for part in ("performance", "accuracy"):
        moved.record("sut_name", name, part=part)

    assert codes(check(moved.root)) == {"network-nodes"}


@pytest.mark.parametrize("name", ["Network SUT", "Network SUT n1:8000, Network SUT n2:8000"])
def test_network_nodes_of_different_names_are_fine(name: str, tree: Tree) -> None:
    moved = to_network(tree)
    for part in ("performance", "accuracy"):
        moved.record("sut_name", name, part=part)

    assert codes(check(moved.root)) == set()


@pytest.mark.parametrize("key", ["qsl_reported_total_count", "effective_performance_sample_count"])
def test_fault_a_test01_of_another_data_set(key: str, tree: Tree) -> None:
    tree.record(key, 24_781, part="TEST01")

    assert codes(check(tree.root)) == {"audit-differs"}


def test_fault_a_verdict_with_the_figures_of_another_benchmark(tree: Tree) -> None:
    path = tree.result() / "TEST01/verify_performance.txt"
    path.write_text(
        "Verifying performance.\nReference score = 498.421\nTest score = 496.967\nTEST PASS\n"
    )

    assert codes(check(tree.root)) == {"audit-differs"}


def test_a_verdict_of_an_earlier_run_is_a_warning(tree: Tree) -> None:
    path = tree.result() / "TEST01/verify_performance.txt"
    path.write_text(
        "Verifying performance.\nReference score = 49.8\nTest score = 50.39\nTEST PASS\n"
    )

    report = check(tree.root)

    assert (codes(report), warnings(report)) == (set(), ["audit-differs"])


@pytest.mark.parametrize("line", ["mAP=37.357%", "accuracy=37.4%, good=9, total=24"])
def test_fault_a_test01_with_the_accuracy_of_another_benchmark(line: str, tree: Tree) -> None:
    path = tree.result() / "TEST01/accuracy/accuracy.txt"
    path.write_text("\n".join([line, *path.read_text("utf-8").splitlines()[1:]]) + "\n", "utf-8")

    assert codes(check(tree.root)) == {"audit-failed"}


def test_fault_a_second_path_with_the_accuracy_of_another_benchmark(tree: Tree) -> None:
    (tree.result() / "TEST01/verify_accuracy.txt").write_text("TEST FAIL\n", "utf-8")
    for name in ("baseline_accuracy.txt", "compliance_accuracy.txt"):
        (tree.result() / "TEST01/accuracy" / name).write_text("accuracy=37.4%\n", "utf-8")

    assert codes(check(tree.root)) == {"audit-failed"}


def test_a_test01_accuracy_without_a_figure_is_fine(tree: Tree) -> None:
    path = tree.result() / "TEST01/accuracy/accuracy.txt"
    path.write_text("\n".join(["", *path.read_text("utf-8").splitlines()[1:]]) + "\n", "utf-8")

    assert check(tree.root).findings == []


def test_fault_a_log_in_which_every_false_became_true(tree: Tree) -> None:
    path = tree.run(part="TEST01") / DETAIL
    path.write_text(path.read_text("utf-8").replace("false", "true"), "utf-8")

    assert codes(check(tree.root)) >= {"log-altered"}


def test_fault_a_log_without_the_error_that_loadgen_counted(tree: Tree) -> None:
    tree.record("num_errors", 1)

    assert codes(check(tree.root)) == {"log-altered"}


def test_fault_an_accuracy_folder_with_performance_logs(tree: Tree) -> None:
    for name in (DETAIL, SUMMARY):
        (tree.run(part="accuracy") / name).write_bytes((tree.run() / name).read_bytes())

    assert codes(check(tree.root)) == {"wrong-mode"}


@pytest.mark.parametrize("folder", ["accuracy", "TEST01/accuracy"])
def test_fault_the_hash_of_the_truncated_log(folder: str, tree: Tree) -> None:
    from sut.base.files import sha256_file

    path = tree.result() / folder / "accuracy.txt"
    stated = sha256_file(path.with_name("mlperf_log_accuracy.json"))
    line = path.read_text("utf-8").splitlines()[0]
    path.write_text(f"{line}\n\nhash={stated}\n", "utf-8")

    report = check(tree.root)

    assert codes(report) == {"wrong-hash"}
    assert "truncated" in report.findings[0].what


def test_fault_an_untruncated_log_of_test01(tree: Tree) -> None:
    log = tree.result() / "TEST01/accuracy/mlperf_log_accuracy.json"
    log.write_bytes(log.read_bytes() + b" " * MAX_BYTES)

    assert codes(check(tree.root)) == {"not-truncated"}


# SingleStream with a batching delay in it


def latencies(tree: Tree, scenario: str, least_ms: float, p90_ms: float) -> None:
    tree.add("result_min_latency_ns", int(least_ms * 1e6), scenario=scenario)
    tree.add("result_90.00_percentile_latency_ns", int(p90_ms * 1e6), scenario=scenario)


def test_fault_single_stream_waits_for_a_batch(tree: Tree) -> None:
    tree.edit(tree.system_json, accelerators_per_node=1)
    latencies(tree, "SingleStream", 10.317, 10.56)
    for part in ("performance", "TEST01", "TEST04"):
        tree.record("result_samples_per_second", 19_149.0, scenario="Offline", part=part)

    assert "batching-delay" in warnings(check(tree.root))


def test_fault_single_stream_is_slower_than_eight_samples_of_multi_stream(tree: Tree) -> None:
    latencies(tree, "SingleStream", 48.08, 50.98)
    latencies(tree, "MultiStream", 7.4, 8.1)

    assert warnings(check(tree.root)) == ["batching-delay"]


def test_fault_single_stream_lies_at_a_usual_delay(tree: Tree) -> None:
    latencies(tree, "SingleStream", 10.317, 10.56)
    tree.remove(tree.result("Offline"))

    assert warnings(check(tree.root)) == ["batching-delay"]


def test_fault_single_stream_lies_at_the_delay_that_its_settings_state(tree: Tree) -> None:
    latencies(tree, "SingleStream", 3.2, 3.4)
    waits = {**SETTINGS, "harness": {"max_batch_size": 8, "max_queue_delay_us": 3000}}
    tests = dict.fromkeys(("performance", "accuracy", "TEST01", "TEST04"), waits)
    tree.edit(tree.result("SingleStream") / "measurements.json", tests=tests)

    assert warnings(check(tree.root)) == ["batching-delay"]


@pytest.mark.parametrize(
    ("least_ms", "p90_ms"), [(10.317, 10.56), (3.2, 3.4), (10.2, 30.0)],
    ids=["a slow engine", "a fast one", "a wide spread"],
)  # fmt: skip
def test_a_single_stream_without_a_delay_has_no_warning(
    least_ms: float, p90_ms: float, tree: Tree
) -> None:
    latencies(tree, "SingleStream", least_ms, p90_ms)
    latencies(tree, "MultiStream", least_ms * 1.3, p90_ms * 1.3)

    assert check(tree.root).findings == []


def test_open_needs_no_network_division(tree: Tree) -> None:
    opened = to_open(tree)
    opened.edit(opened.system_json, is_network="false")
    folder = opened.result().parent
    folder.rename(folder.with_name("resnet50"))

    assert len(SCENARIOS) == check(tree.root).results
    assert check(tree.root).findings == []
