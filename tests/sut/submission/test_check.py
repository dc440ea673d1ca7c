"""`sut check` names every fault, and finds none in a good tree."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sut.base.errors import ConfigError
from sut.submission.check import check
from tests.sut.submission.helpers.faults import FAULTS
from tests.sut.submission.helpers.good_tree import (
    SCENARIOS,
    Tree,
    codes,
    make_old_result,
    to_round_5_1,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def test_a_good_tree_has_no_finding(good: Tree) -> None:
    report = check(good.root)

    assert report.findings == []
    assert (report.round, report.results, report.errors) == ("v6.1", len(SCENARIOS), 0)


@pytest.mark.parametrize("name", FAULTS)
def test_a_single_fault_is_named_with_its_place_and_its_remedy(name: str, tree: Tree) -> None:
    plant, code = FAULTS[name]
    plant(tree)

    report = check(tree.root, "v6.1")

    assert code in codes(report)
    for finding in report.findings:
        assert not finding.path.startswith("/")
        assert finding.what
        assert finding.remedy
        assert "\n" not in str(finding)


def test_the_hash_is_verified_against_the_whole_log(tree: Tree, tmp_path: Path) -> None:
    whole = tmp_path / "runs" / tree.system / "resnet50" / "Server" / "accuracy"
    whole.mkdir(parents=True)
    (whole / "mlperf_log_accuracy.json").write_text("[\n]\n", "utf-8")

    report = check(tree.root, originals=tmp_path / "runs")

    assert codes(report) == {"wrong-hash"}
    assert str(whole) in report.findings[0].what


def test_an_edge_system_has_no_server_scenario(tree: Tree) -> None:
    tree.edit(tree.system_json, system_type="edge")

    assert codes(check(tree.root)) == {"scenario-unknown"}


def test_an_edge_system_may_infer_multistream(tree: Tree) -> None:
    tree.edit(tree.system_json, system_type="edge")
    tree.remove(tree.result("Server"))
    tree.remove(tree.result("MultiStream"))
    shutil.copytree(tree.result("SingleStream"), tree.result("MultiStream"))

    found = check(tree.root).findings

    assert {f.code for f in found if f.severity == "warning"} >= {"inferred"}
    assert not {f.code for f in found} & {"scenario-missing", "wrong-scenario"}


def test_lower_case_scenarios_are_read(tree: Tree) -> None:
    tree.result("Offline").rename(tree.result("offline"))

    assert check(tree.root).findings == []


def test_another_submitter_is_left_out(tree: Tree) -> None:
    shutil.copytree(tree.folder, tree.root / "closed" / "Other")

    assert check(tree.root, submitter="Acme").findings == []
    assert codes(check(tree.root)) == {"system-folder"}


def test_the_open_division_needs_a_mapping_and_no_audit(tree: Tree) -> None:
    tree.folder.parent.rename(tree.root / "open")
    opened = Tree(tree.root, division="open")
    opened.edit(opened.system_json, division="open")
    for scenario in SCENARIOS:
        opened.remove(opened.result(scenario) / "TEST01")
        opened.remove(opened.result(scenario) / "TEST04")
    folder = opened.result().parent
    folder.rename(folder.with_name("mynet"))

    before = codes(check(tree.root))
    (opened.folder / "model_mapping.json").write_text('{"mynet": "resnet"}', "utf-8")

    assert before == {"model-mapping"}
    assert codes(check(tree.root)) == set()


def test_the_layout_of_v5_1_is_found_by_its_seeds(tree: Tree) -> None:
    to_round_5_1(tree)

    report = check(tree.root)

    assert (report.round, report.findings) == ("v5.1", [])


def test_a_tree_of_v0_5_is_read(tmp_path: Path) -> None:
    make_old_result(tmp_path)

    report = check(tmp_path)

    assert (report.round, report.results, report.findings) == ("v0.5", 1, [])


OLD_FAULTS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "four runs of five": (
        lambda r: (r / "performance/run_5/mlperf_log_summary.txt").unlink(),
        "summary-missing",
    ),
    "an INVALID run": (lambda r: _replace(r, "VALID", "INVALID"), "invalid-result"),
    "a run of another scenario": (
        lambda r: _replace(r, "Scenario : Server", "Scenario : Single Stream"),
        "wrong-scenario",
    ),
    "too few samples in memory": (lambda r: _replace(r, "1024", "512"), "sample-count"),
    "an accuracy below the target": (
        lambda r: (r / "accuracy/accuracy.txt").write_text("accuracy=70.0%", "utf-8"),
        "accuracy-low",
    ),
    "no accuracy": (lambda r: (r / "accuracy/accuracy.txt").unlink(), "accuracy-missing"),
}


def _replace(result: Path, old: str, new: str) -> None:
    path = result / "performance" / "run_3" / "mlperf_log_summary.txt"
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


@pytest.mark.parametrize("name", OLD_FAULTS)
def test_a_single_fault_in_a_tree_of_v0_5_is_named(name: str, tmp_path: Path) -> None:
    plant, code = OLD_FAULTS[name]
    plant(make_old_result(tmp_path))

    assert code in codes(check(tmp_path))


def test_a_tree_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        check(tmp_path / "nowhere")


def test_an_unknown_round_is_bad_input(good: Tree) -> None:
    with pytest.raises(ConfigError, match=r'"v6.2"'):
        check(good.root, "v6.2")
