"""`sut check` reads any published tree: names, bytes, rounds, older LoadGen, other benchmarks.

The K ids are those of the collection of cases; the trees are made by hand.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from data.rounds import round_named
from sut.submission.check import check
from sut.submission.truncate import MAX_BYTES
from tests.sut.submission.helpers.good_tree import (
    SCENARIOS,
    Tree,
    codes,
    make_old_result,
    to_open,
    to_round_5_1,
)

if TYPE_CHECKING:
    from pathlib import Path


def rename_benchmark(tree: Tree, name: str) -> None:
    folder = tree.result().parent
    folder.rename(folder.with_name(name))


def set_seeds(tree: Tree, seed: int) -> None:
    for scenario in SCENARIOS:
        for part in ("performance", "accuracy", "TEST01", "TEST04"):
            tree.record("effective_qsl_rng_seed", seed, scenario=scenario, part=part)


# K1: lines that LoadGen ignores

IGNORED = "*.Server.performance_sample_count = 1024\n*.Server.nonsense\n"


def test_k1_a_line_that_loadgen_ignores_does_not_hide_the_others(tree: Tree) -> None:
    path = tree.result() / "user.conf"
    path.write_text(f"{IGNORED}*.Server.min_duration = 1000\n{IGNORED}", "utf-8")

    report = check(tree.root)

    assert codes(report) == {"closed-user-conf"}
    found = [f.code for f in report.findings if f.severity == "warning"]
    assert found.count("user-conf") > 1
    assert found.count("user-conf-differs") == 1


def test_k8_a_bound_that_is_the_rounds_own_is_no_problem(tree: Tree) -> None:
    path = tree.result() / "user.conf"
    path.write_text(path.read_text("utf-8") + "*.Server.target_latency = 15\n", "utf-8")

    assert check(tree.root).findings == []


@pytest.mark.parametrize("folder", ["accuracy", "TEST01/accuracy"])
def test_k1_without_accuracy_txt_the_log_is_judged_all_the_same(folder: str, tree: Tree) -> None:
    (tree.result() / folder / "accuracy.txt").unlink()
    log = tree.result() / folder / "mlperf_log_accuracy.json"
    log.write_bytes(log.read_bytes() + b" " * MAX_BYTES)

    assert codes(check(tree.root)) > {"not-truncated"}


# K2: names of measurements


@pytest.mark.parametrize(
    "name", ["host1.json", "host1_onnxruntime-cpu.json", "host1_x_Server.json"]
)
def test_k2_up_to_v5_1_measurements_have_any_name_that_begins_with_the_system(
    name: str, tree: Tree
) -> None:
    to_round_5_1(tree)
    folder = tree.folder / "measurements/host1/resnet50/Server"
    (folder / "host1_Server.json").rename(folder / name)

    assert check(tree.root).findings == []


def test_k2_measurements_of_another_system_are_missing_ones(tree: Tree) -> None:
    to_round_5_1(tree)
    folder = tree.folder / "measurements/host1/resnet50/Server"
    (folder / "host1_Server.json").rename(folder / "other.json")

    assert codes(check(tree.root)) == {"measurements-missing"}


def test_k2_in_v0_5_too_they_begin_with_the_system(tmp_path: Path) -> None:
    make_old_result(tmp_path)
    folder = tmp_path / "closed/Acme/measurements/host1/resnet/Server"
    (folder / "host1_server.json").rename(folder / "other.json")

    assert codes(check(tmp_path)) == {"measurements-missing"}


# K3: any bytes

LATIN_1 = "# Gr\xf6\xdfe\n".encode("latin-1")
DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NESTED = b'{"a":' + b"[" * 400 + b"]" * 400 + b"}"


@pytest.mark.parametrize("where", ["user.conf", "README.md"])
def test_k3_a_comment_in_latin_1_is_read(where: str, tree: Tree) -> None:
    path = tree.result() / where
    path.write_bytes(LATIN_1 + path.read_bytes())

    report = check(tree.root)

    assert report.errors == 0
    assert [f.code for f in report.findings] == (["user-conf"] if where == "user.conf" else [])


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("accuracy/accuracy.txt", None),
        ("TEST01/accuracy/accuracy.txt", None),
        ("TEST01/verify_accuracy.txt", None),
        ("TEST01/verify_performance.txt", None),
        ("performance/run_1/mlperf_log_summary.txt", None),
        ("performance/run_1/mlperf_log_detail.txt", "performance-log-broken"),
        ("accuracy/mlperf_log_detail.txt", "accuracy-log-broken"),
        ("TEST01/performance/run_1/mlperf_log_detail.txt", "audit-files"),
    ],
)
def test_k3_bytes_that_are_not_utf_8_are_one_finding_at_most(
    where: str, code: str | None, tree: Tree
) -> None:
    path = tree.result() / where
    path.write_bytes(LATIN_1 + path.read_bytes())

    named = codes(check(tree.root))

    assert code in named if code else not named


@pytest.mark.parametrize("line", ["accuracy=76.078.", "accuracy=...", "accuracy=7.6.0%"])
def test_k3_a_figure_that_is_no_number_is_a_finding(line: str, tree: Tree) -> None:
    path = tree.run(part="accuracy") / "accuracy.txt"
    path.write_text("\n".join([line, *path.read_text("utf-8").splitlines()[1:]]), "utf-8")

    assert codes(check(tree.root)) == {"accuracy-unreadable"}


def test_k3_a_figure_of_the_second_path_that_is_no_number_is_a_finding(tree: Tree) -> None:
    (tree.result() / "TEST01/verify_accuracy.txt").write_text("TEST FAIL\n", "utf-8")
    folder = tree.result() / "TEST01/accuracy"
    (folder / "baseline_accuracy.txt").write_text("accuracy=76.078.\n", "utf-8")
    (folder / "compliance_accuracy.txt").write_bytes(LATIN_1 + b"accuracy=76.1%\n")

    assert codes(check(tree.root)) == {"audit-failed"}


@pytest.mark.parametrize("content", [DEEP, NESTED], ids=["deep", "nested"])
@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("results/host1/resnet50/Server/measurements.json", "measurements-missing"),
        ("systems/host1.json", "system-missing"),
        (
            "results/host1/resnet50/Server/performance/run_1/mlperf_log_detail.txt",
            "performance-log-broken",
        ),
    ],
)
def test_k3_deep_json_is_a_finding(where: str, code: str, content: bytes, tree: Tree) -> None:
    path = tree.folder / where
    path.write_bytes(b":::MLLOG " + content + b"\n" if "mlperf" in where else content)

    assert code in codes(check(tree.root))


def test_k3_a_deep_model_mapping_is_no_mapping(tree: Tree) -> None:
    opened = to_open(tree)
    rename_benchmark(opened, "mynet")
    (opened.folder / "model_mapping.json").write_bytes(DEEP)

    assert codes(check(tree.root)) == {"model-mapping"}


def test_k3_numbers_of_ten_thousand_digits_are_findings(tree: Tree) -> None:
    digits = "9" * 10_000
    tree.edit(tree.system_json, host_processors_per_node=digits)
    path = tree.run(part="accuracy") / "accuracy.txt"
    text = path.read_text("utf-8").replace("total=50000", f"total={digits}")
    path.write_text(text, "utf-8")

    assert codes(check(tree.root)) == {"system-field", "data-set-size"}


ENDLESS = {
    "systems/host1.json": "system-missing",
    "results/host1/resnet50/Server/measurements.json": "measurements-missing",
    "results/host1/resnet50/Server/user.conf": "file-missing",
    "results/host1/resnet50/Server/performance/run_1/mlperf_log_detail.txt":
        "performance-log-missing",
    "results/host1/resnet50/Server/performance/run_1/mlperf_log_summary.txt": "summary-missing",
    "results/host1/resnet50/Server/accuracy/accuracy.txt": "accuracy-missing",
    "results/host1/resnet50/Server/accuracy/mlperf_log_accuracy.json": "accuracy-log-missing",
    "results/host1/resnet50/Server/TEST01/performance/run_1/mlperf_log_detail.txt": "audit-files",
}  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_k3_a_link_to_what_never_ends_is_a_finding(name: str, tree: Tree) -> None:
    (tree.folder / name).unlink()
    (tree.folder / name).symlink_to("/dev/zero")

    assert ENDLESS[name] in codes(check(tree.root))


def test_k3_a_pipe_is_a_finding(tree: Tree) -> None:
    path = tree.run() / "mlperf_log_detail.txt"
    path.unlink()
    os.mkfifo(path)

    assert "performance-log-missing" in codes(check(tree.root))


def test_k3_a_name_that_is_not_utf_8_can_be_printed(tree: Tree) -> None:
    (tree.folder / "src" / "caf\udce9 .txt").write_text("x", "utf-8")

    (finding,) = check(tree.root).findings

    assert str(finding).isprintable()
    assert finding.code == "blank-in-name"


ODD: list[object] = [None, [], {}, -1, True, "", "x\ny", "\ud800", 1e308, [[1]], {"a": {}}, 10**30]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_k3_fields_of_any_type_are_findings(value: object, tree: Tree) -> None:
    paths = (tree.system_json, tree.result() / "measurements.json")
    for path in paths:
        fields = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(dict.fromkeys(fields, value)), "utf-8")

    report = check(tree.root)

    assert report.errors > 0
    assert all(str(finding).isprintable() for finding in report.findings)


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("part", ["performance", "accuracy", "TEST01", "TEST04"])
def test_k3_records_of_any_type_are_findings(part: str, value: object, tree: Tree) -> None:
    path = tree.run(part=part) / "mlperf_log_detail.txt"
    lines = [
        {**json.loads(line.removeprefix(":::MLLOG ")), "value": value}
        for line in path.read_text("utf-8").splitlines()
    ]
    path.write_text("".join(f":::MLLOG {json.dumps(line)}\n" for line in lines), "utf-8")

    report = check(tree.root)

    assert report.errors > 0
    assert all(str(finding).isprintable() for finding in report.findings)


# K4: rounds


def test_k4_seeds_of_no_round_stop_the_check(tree: Tree) -> None:
    set_seeds(tree, 3066443479025735752)  # v4.1

    report = check(tree.root)

    assert (report.round, report.results) == (None, 0)
    assert len(report.findings) == 1
    assert "no round known with these seeds" in str(report.findings[0])
    assert "--round" in str(report.findings[0])


def test_k4_a_tree_of_v6_0_is_judged_by_its_own_rules(tree: Tree) -> None:
    for name, seed in asdict(round_named("v6.0").seeds).items():
        for scenario in SCENARIOS:
            for part in ("performance", "accuracy", "TEST01", "TEST04"):
                tree.record(f"effective_{name}", seed, scenario=scenario, part=part)

    report = check(tree.root)

    assert (report.round, report.findings) == ("v6.0", [])


def test_k4_a_named_round_is_applied_whatever_the_seeds(tree: Tree) -> None:
    set_seeds(tree, 3066443479025735752)

    report = check(tree.root, "v6.1")

    assert (report.round, codes(report)) == ("v6.1", {"wrong-seed"})


def test_k4_a_tree_of_v0_7_is_not_one_of_v0_5(tmp_path: Path) -> None:
    result = make_old_result(tmp_path)
    seed = round_named("v0.5").seeds.qsl_rng_seed
    for path in result.glob("performance/*/mlperf_log_*.txt"):
        path.write_text(path.read_text("utf-8").replace(str(seed), "12786827339337101903"), "utf-8")

    assert codes(check(tmp_path)) == {"unknown-round"}
    assert check(tmp_path, "v0.5").round == "v0.5"


def test_k4_one_run_of_another_round_does_not_change_the_round(tree: Tree) -> None:
    tree.record("effective_qsl_rng_seed", 3066443479025735752, scenario="MultiStream")

    report = check(tree.root)

    assert (report.round, codes(report)) == ("v6.1", {"wrong-seed"})


# K5: older LoadGen


@pytest.mark.parametrize("version", ["4.1 @ 379ee5345a", "5.0.15 @ a09ef11160"])
def test_k5_a_log_without_a_count_of_errors_is_whole_if_its_loadgen_is_old(
    version: str, tree: Tree
) -> None:
    drop_count_of_errors(tree, version)

    assert check(tree.root).findings == []


def test_k5_a_log_of_a_newer_loadgen_that_ends_early_is_broken(tree: Tree) -> None:
    drop_count_of_errors(tree, "6.0.17 @ d6147c7eb7")

    assert "performance-log-broken" in codes(check(tree.root))


def drop_count_of_errors(tree: Tree, version: str) -> None:
    tree.record("loadgen_version", version)
    path = tree.run() / "mlperf_log_detail.txt"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"num_errors"' not in line), "utf-8")


# K8: false alarms


def test_k8_line_ends_of_windows_do_not_break_a_hash(tree: Tree) -> None:
    for scenario in SCENARIOS:
        for folder in (tree.run(scenario, "accuracy"), tree.result(scenario) / "TEST01/accuracy"):
            for name in ("accuracy.txt", "mlperf_log_accuracy.json"):
                to_crlf(folder / name)

    assert check(tree.root).findings == []


def test_k8_a_short_log_with_line_ends_of_windows_has_its_hash(tree: Tree) -> None:
    folder = tree.run(part="accuracy")
    write_short_log(folder)
    to_crlf(folder / "mlperf_log_accuracy.json")

    assert check(tree.root).findings == []


def to_crlf(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def write_short_log(folder: Path) -> None:
    from sut.submission.truncate import place_accuracy

    whole = folder / "whole"
    whole.write_text('[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "00" }\n]\n', "utf-8")
    place_accuracy(whole, "accuracy=76.456%, good=38228, total=50000", folder)
    whole.unlink()


def test_k8_a_power_run_has_the_meters_log(tree: Tree) -> None:
    (tree.run() / "spl.txt").write_text("Time,Watts\n", "utf-8")
    without = codes(check(tree.root))
    power = tree.result() / "performance/power"
    power.mkdir()
    (power / "client.json").write_text("{}", "utf-8")

    assert without == {"extra-file"}
    assert check(tree.root).findings == []


def test_k8_the_accuracy_run_may_have_another_loadgen(tree: Tree) -> None:
    tree.record("loadgen_version", "6.0.16 @ 50de99161e", part="accuracy")

    assert check(tree.root).findings == []


@pytest.mark.parametrize(
    "name", ["mobilenet-v1-precision_uint8-0.25-128", "efficientnet-fp32-lite0", "my-resnet50-v2"]
)
def test_k8_in_open_a_name_with_a_known_word_needs_no_mapping(name: str, tree: Tree) -> None:
    rename_benchmark(to_open(tree), name)

    assert check(tree.root).findings == []


def test_k8_interactive_is_the_server_of_an_llm(tree: Tree) -> None:
    rename_benchmark(tree, "llama2-70b-99.9")
    llm = tree.folder / "results/host1/llama2-70b-99.9"
    (llm / "Server").rename(llm / "Interactive")

    assert codes(check(tree.root)) == set()


# K10: what is not judged


@pytest.mark.parametrize("name", ["llama2-70b-99.9", "llama3_1-8b", "whisper", "bert-99"])
def test_k10_a_benchmark_without_rules_is_named_and_no_error(name: str, tree: Tree) -> None:
    rename_benchmark(tree, name)

    report = check(tree.root)

    assert (report.errors, report.not_judged) == (0, len(SCENARIOS))
    assert [f.code for f in report.findings] == ["not-judged"]


def test_k10_what_holds_of_any_benchmark_is_judged_all_the_same(tree: Tree) -> None:
    rename_benchmark(tree, "whisper")
    invalid = tree.folder / "results/host1/whisper/Server/performance/run_1/mlperf_log_detail.txt"
    tree.replace(invalid, '"VALID"', '"INVALID"')

    assert "invalid-result" in codes(check(tree.root))


def test_k10_a_name_that_the_round_does_not_have_is_an_error_in_closed(tree: Tree) -> None:
    rename_benchmark(tree, "resnet-50")

    assert codes(check(tree.root)) == {"unknown-model"}


def test_k10_in_open_a_model_may_stand_for_one_without_rules(tree: Tree) -> None:
    opened = to_open(tree)
    rename_benchmark(opened, "my-llm")
    (opened.folder / "model_mapping.json").write_text(
        json.dumps({"my-llm": "llama2-70b-99.9"}), "utf-8"
    )

    assert check(tree.root).errors == 0


def test_k10_seeds_are_known_for_every_round() -> None:
    assert len({seed for name in ("v0.5", "v5.1", "v6.0", "v6.1")
                for seed in asdict(round_named(name).seeds).values()}) == 12  # fmt: skip


def test_a_user_conf_of_another_run_is_named_and_no_error(tree: Tree) -> None:
    tree.replace(tree.result() / "user.conf", "= 50", "= 70")

    report = check(tree.root)

    assert report.errors == 0
    (finding,) = report.findings
    assert finding.code == "user-conf-differs"
    assert "target_qps is 70, and LoadGen ran with 50" in finding.what


def test_a_user_conf_of_the_compliance_test_is_named(tree: Tree) -> None:
    tree.record("effective_target_qps", 46, part="TEST01")
    tree.replace(tree.result() / "user.conf", "= 50", "= 46")

    (finding,) = check(tree.root).findings

    assert finding.code == "user-conf-differs"
    assert "compliance test" in finding.what


# Names and files: refused up to v5.1, and neither checkers nor rules mention them since


def spoil_names(tree: Tree, source: str) -> set[str]:
    folder = tree.folder / source
    (folder / ".clang-format").write_text("x", "utf-8")
    (folder / "a b").write_text("x", "utf-8")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(folder / "nowhere")
    (tree.folder / "systems/other.json").write_text(tree.system_json.read_text("utf-8"), "utf-8")
    return {
        "hidden-name", "blank-in-name", "empty-folder", "broken-link", "system-without-results",
    }  # fmt: skip


def test_odd_names_are_warnings_since_v6_0(tree: Tree) -> None:
    expected = spoil_names(tree, "src")

    report = check(tree.root)

    assert report.errors == 0
    assert {finding.code for finding in report.findings} == expected


def test_odd_names_are_errors_up_to_v5_1(tree: Tree) -> None:
    to_round_5_1(tree)
    expected = spoil_names(tree, "code")

    assert codes(check(tree.root)) == expected


@pytest.mark.parametrize("name", ["run.sh", "mkdocs.yml", "dbversion", "summary_results.json"])
def test_what_mlcommons_adds_when_it_publishes_is_no_foreign_file(name: str, tree: Tree) -> None:
    (tree.root / name).write_text("x", "utf-8")

    assert check(tree.root).findings == []


@pytest.mark.parametrize("name", ["calibration.adoc", "calibration_nvidia.md"])
def test_since_v6_0_calibration_is_described_under_any_such_name(name: str, tree: Tree) -> None:
    (tree.folder / "documentation").mkdir()
    (tree.folder / "calibration.md").rename(tree.folder / "documentation" / name)

    assert check(tree.root).findings == []


def test_an_inferred_result_is_compared_with_the_scenario_that_ran(tree: Tree) -> None:
    tree.edit(tree.system_json, system_type="edge")
    tree.remove(tree.result("Server"))
    tree.remove(tree.result("MultiStream"))
    shutil.copytree(tree.result("SingleStream"), tree.result("MultiStream"))
    conf = tree.result("MultiStream") / "user.conf"
    conf.write_text("*.MultiStream.samples_per_query = 8\n*.Offline.target_qps = 1\n", "utf-8")

    assert codes(check(tree.root)) == set()
