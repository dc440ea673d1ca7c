"""`sut submit` and `sut audit` with the real LoadGen, by the fast path; and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sut.helpers.program import Done, Program, run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.slow

SCENARIOS = ("SingleStream", "Offline")
SYSTEM = "description: ours\nharness: {workers: process}\n"


@dataclass(frozen=True)
class Submitted:
    """A fast submission and where it is."""

    done: Done
    folder: Path
    tree: Path

    @property
    def results(self) -> Path:
        return self.tree / "open" / "Acme" / "results" / "default" / "own"


def words(yaml: Path, tree: object, *more: object) -> list[object]:
    return ["submit", "-b", yaml, "--division", "open", "--submitter", "Acme", "--out", tree,
            "--fast", *more]  # fmt: skip


@pytest.fixture(scope="module")
def submitted(
    program: Program, own_yaml: Path, tmp_path_factory: pytest.TempPathFactory
) -> Submitted:
    folder = tmp_path_factory.mktemp("submitted")
    tree = folder / "tree"
    done = program.run(*words(own_yaml, tree, "-s", ",".join(SCENARIOS)), cwd=folder)
    return Submitted(done, folder, tree)


def contents(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def errors(tree: Path) -> set[str]:
    found = json.loads(run_here("check", tree, "--json").out)["findings"]
    return {finding["code"] for finding in found if finding["severity"] == "error"}


def test_the_fast_path_lays_out_every_scenario_and_says_what_it_is_worth(
    submitted: Submitted,
) -> None:
    assert (submitted.done.code, submitted.done.err) == (3, "")
    assert f"Results={len(SCENARIOS)} in {submitted.tree}" in submitted.done.out
    assert "LAYOUT ONLY" in submitted.done.out
    for scenario in SCENARIOS:
        assert contents(submitted.results / scenario) == {
            "README.md",
            "measurements.json",
            "user.conf",
            "performance/run_1/mlperf_log_summary.txt",
            "performance/run_1/mlperf_log_detail.txt",
            "accuracy/mlperf_log_summary.txt",
            "accuracy/mlperf_log_detail.txt",
            "accuracy/mlperf_log_accuracy.json",
            "accuracy/accuracy.txt",
        }


def test_the_submitters_folder_has_system_mapping_and_source(submitted: Submitted) -> None:
    folder = submitted.tree / "open" / "Acme"

    system = json.loads((folder / "systems" / "default.json").read_text("utf-8"))
    assert (system["submitter"], system["division"]) == ("Acme", "open")
    assert json.loads((folder / "model_mapping.json").read_text("utf-8")) == {"own": "resnet"}
    assert (folder / "src" / "own" / "sut" / "cli.py").is_file()
    assert not [p for p in folder.rglob("*") if p.name == "__pycache__" or p.name.startswith(".")]


def test_check_names_what_the_fast_path_is_not(submitted: Submitted) -> None:
    assert errors(submitted.tree) == {
        "invalid-result",
        "loadgen-errors",
        "too-short",
        "count-not-real",
        "offline-samples",
        "data-set-size",
        "system-blank",
        "fast",
    }


def test_the_readme_says_how_to_repeat_it_and_that_it_proves_the_layout_alone(
    submitted: Submitted,
) -> None:
    text = (submitted.results / "Offline" / "README.md").read_text("utf-8")

    assert "LAYOUT ONLY" in text
    assert "SMALL DATA SET" in text
    assert "python -m sut submit -b " in text
    assert "sut run -b own -s Offline" in text


def test_every_test_ran_with_the_same_settings(submitted: Submitted) -> None:
    measured = json.loads((submitted.results / "Offline/measurements.json").read_text("utf-8"))

    assert measured["tests"]["performance"] == measured["tests"]["accuracy"]
    assert (measured["simulated"], measured["synthetic_data"]) == (False, False)
    assert measured["starting_weights_filename"] == "model.onnx"


def test_all_tests_of_a_submission_share_worker_processes(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    system = tmp_path / "ours"
    system.mkdir()
    (system / "system.yaml").write_text(SYSTEM, "utf-8")
    what = ("--system", system, "-s", "SingleStream,MultiStream")

    done = program.run(*words(own_yaml, tmp_path / "tree", *what), cwd=tmp_path)

    assert done.code == 3, done.err
    requests = [
        json.loads(path.read_text("utf-8")) for path in tmp_path.rglob("performance/request.json")
    ] + [json.loads(path.read_text("utf-8")) for path in tmp_path.rglob("accuracy/request.json")]
    pids = [[worker["pid"] for worker in request["lent"]] for request in requests]
    assert len(pids) == 4
    assert all(own == pids[0] != [] for own in pids)


def test_what_is_done_is_not_run_again(
    submitted: Submitted, program: Program, own_yaml: Path
) -> None:
    before = contents(submitted.tree)

    again = program.run(
        *words(own_yaml, submitted.tree, "-s", ",".join(SCENARIOS)), cwd=submitted.folder
    )

    assert again.code == 3
    assert "Offline: performance\n" not in again.out
    assert contents(submitted.tree) == before


def test_another_setting_is_not_mixed_with_what_was_run(
    submitted: Submitted, program: Program, own_yaml: Path
) -> None:
    conf = submitted.folder / "other.conf"
    conf.write_text("*.Offline.sample_concatenate_permutation = 1\n", "utf-8")

    done = program.run(
        *words(own_yaml, submitted.tree, "-s", "Offline", "--user-conf", conf),
        cwd=submitted.folder,
    )

    assert done.code == 2
    assert "user.conf" in done.err
    assert done.err.count("\n") == 1


def test_a_part_that_was_interrupted_is_run_again_and_the_rest_is_kept(
    submitted: Submitted, program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(submitted.folder / "tree-runs", work)
    run = work / "fast" / "default" / "own" / "SingleStream" / "accuracy"
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    (run / "summary.json").write_text(json.dumps({**summary, "interrupted": "SIGINT"}), "utf-8")

    done = program.run(
        *words(own_yaml, tmp_path / "tree", "-s", "SingleStream", "--work", work), cwd=tmp_path
    )

    assert "SingleStream: accuracy\n" in done.out
    assert "SingleStream: performance\n" not in done.out
    assert (run.with_name("accuracy.old-1") / "summary.json").is_file()
    assert "Results=1" in done.out


def test_pixels_answer_the_same_and_the_tree_says_so(
    submitted: Submitted, program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    done = program.run(*words(own_yaml, tmp_path / "t", "-s", "Offline", "--pixels"), cwd=tmp_path)

    assert done.code == 3
    placed = tmp_path / "t" / "open" / "Acme" / "results" / "default" / "own" / "Offline"
    measured = json.loads((placed / "measurements.json").read_text("utf-8"))
    assert measured["input_data_types"] == "uint8"
    assert " --pixels" in (placed / "README.md").read_text("utf-8")
    logs = [
        folder / "accuracy" / "mlperf_log_accuracy.json"
        for folder in (placed, submitted.results / "Offline")
    ]
    pixels, floats = (
        sorted((one["qsl_idx"], one["data"]) for one in json.loads(log.read_text("utf-8")))
        for log in logs
    )
    assert pixels == floats


def test_two_submitters_and_two_benchmarks_share_a_tree(
    submitted: Submitted, program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    tree, work = tmp_path / "tree", submitted.folder / "tree-runs"
    shutil.copytree(submitted.tree, tree)
    other = ["submit", "-b", own_yaml, "--division", "open", "--submitter", "Other", "--out", tree,
             "--fast", "-s", "Offline", "--work", work]  # fmt: skip

    done = program.run(*other, cwd=tmp_path)

    assert "Results=1" in done.out
    assert contents(submitted.tree) <= contents(tree)
    assert (tree / "open" / "Other" / "results" / "default" / "own" / "Offline").is_dir()


def test_the_same_model_cannot_stand_for_two(
    submitted: Submitted, program: Program, own_yaml: Path
) -> None:
    done = program.run(
        *words(own_yaml, submitted.tree, "-s", "Offline", "--stands-for", "yolo-95"),
        cwd=submitted.folder,
    )

    assert done.code == 2
    assert "yolo-95" in done.err


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
sys.argv = ["sut", *WORDS]
runpy.run_module("sut", run_name="__main__")
"""


@pytest.mark.parametrize("limit", [0, 10_000])
def test_a_disk_that_is_full_is_one_line_and_leaves_the_tree_as_it_was(
    submitted: Submitted, program: Program, own_yaml: Path, tmp_path: Path, limit: int
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(submitted.tree, tree)
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    command = list(map(str, words(own_yaml, tree, "-s", ",".join(SCENARIOS), "--work",
                                  submitted.folder / "tree-runs")))  # fmt: skip
    # No file may grow above the limit, as on a disk with so much room.
    script = LIMITED.replace("LIMIT, LIMIT", f"{limit}, {limit}").replace("WORDS", repr(command))

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(program.root)},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 1
    assert "the runs are kept in" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"tree"}


def test_a_tree_that_cannot_be_made_is_one_line(
    submitted: Submitted, program: Program, own_yaml: Path
) -> None:
    done = program.run(
        *words(own_yaml, "/proc/submission/tree", "-s", "Offline"),
        *("--work", submitted.folder / "tree-runs"),
        cwd=submitted.folder,
    )

    assert done.code == 1
    assert "--out: /proc/submission/tree" in done.err
    assert done.err.count("\n") == 1


REFUSED: Mapping[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "a tree with files of someone else": (
        lambda folder: (folder / "tree" / "thesis.tex").write_text("x", "utf-8"),
        (),
        "thesis.tex",
    ),
    "a result that another program made": (
        lambda folder: (
            folder / "tree" / "open" / "Acme" / "results" / "default" / "own" / "Offline"
        ).mkdir(parents=True),
        ("-s", "Offline"),
        "was not made by this program",
    ),
    "a submitter that is no folder": (
        lambda _: None,
        ("--submitter", "../Acme"),
        'submitter: "../Acme"',
    ),
    "an unknown round": (lambda _: None, ("--round", "v7"), '"v7" is not a round'),
    "an engine that computes nothing": (
        lambda folder: _null_system(folder / "nothing"),
        ("--system", "nothing"),
        "backend null of system nothing",
    ),
}


def _null_system(folder: Path) -> None:
    folder.mkdir()
    (folder / "system.yaml").write_text('description: none\nbackend: "null"\n', "utf-8")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_refused_in_one_line_before_anything_runs(
    name: str, own_yaml: Path, tmp_path: Path
) -> None:
    prepare, more, said = REFUSED[name]
    (tmp_path / "tree").mkdir()
    prepare(tmp_path)
    before = contents(tmp_path)

    done = run_here(*words(own_yaml, "tree", *more), cwd=tmp_path)

    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert contents(tmp_path) == before


def test_the_fast_path_is_none_of_the_closed_division(tmp_path: Path) -> None:
    done = run_here(
        *("submit", "-b", "resnet50", "--division", "closed", "--submitter", "Acme"),
        *("--out", "tree", "--fast"),
        cwd=tmp_path,
    )

    assert (done.code, done.out) == (2, "")
    assert "--fast: " in done.err


def test_audit_verifies_that_responses_are_the_same_in_both_modes(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    common = ("-b", own_yaml, "-s", "SingleStream", "--min-duration-s", 0.2, "--out", "audit")

    first = program.run("audit", "TEST01", *common, "--json", cwd=tmp_path)
    second = program.run("audit", "TEST04", *common, cwd=tmp_path)

    assert json.loads(first.out)["accuracy_passed"] is True
    assert json.loads(first.out)["notes"] == [] or not json.loads(first.out)["passed"]
    assert "SingleStream: performance\n" not in second.out  # it is there already
    assert "SingleStream: TEST04\n" in second.out
    folder = tmp_path / "audit" / "full" / "default" / "own" / "SingleStream"
    assert "TEST PASS" in (folder / "TEST01" / "verify_accuracy.txt").read_text("utf-8")
    assert (folder / "TEST04" / "verify_performance.txt").is_file()


def test_doctor_prints_a_description_with_blanks_named() -> None:
    done = run_here("doctor", "--system-json")

    assert done.code == 0
    assert json.loads(done.out)["host_processor_model_name"]
    assert done.err.startswith("Blank")
    assert "cooling" in done.err
