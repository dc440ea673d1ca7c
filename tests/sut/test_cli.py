"""The command line from outside: help, exit codes, and what goes where."""

from __future__ import annotations

import json
import resource
import shlex
from pathlib import Path

import pytest

import sut
from sut.cli import VERBS
from tests.sut.helpers import folders
from tests.sut.helpers.program import Done, Program, run_here

pytestmark = pytest.mark.slow

HELP_CPU_S = 0.3
TOO_FEW = 30  # queries; the estimate of SingleStream needs 64


@pytest.fixture(scope="module")
def invalid(program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """A run with too few queries, in a folder with a space in its name."""
    out = tmp_path_factory.mktemp("cli") / "my run"
    return program.run(*words(out, "SingleStream", TOO_FEW)), out


def words(out: Path, scenario: str, queries: int) -> tuple[object, ...]:
    """Return a run of the null backend that takes no time."""
    return (
        *("run", "-b", "efficientnet-lite0", "-s", scenario, "--backend", "null"),
        *("--min-duration-s", 0, "--min-query-count", queries, "--out", out),
    )


def test_help_is_there_before_anyone_waits(program: Program) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = program.run("--help")

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.code, done.err) == (0, "")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < HELP_CPU_S


def test_help_names_verbs_exit_codes_and_an_example() -> None:
    help_text = run_here("--help").out

    assert "Example: sut run -b " in help_text
    assert "3 done but INVALID" in help_text
    for verb in VERBS:
        assert f"\n    {verb}" in help_text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb: str) -> None:
    done = run_here(verb, "--help")

    assert (done.code, done.err) == (0, "")
    assert f"  sut {verb} " in done.out


def test_the_version_is_the_package_s() -> None:
    assert run_here("--version").out == f"loadgen-sut {sut.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("rum",), ("run",), ("run", "-b", "own", "--no-such-option")]
)
def test_a_wrong_command_line_is_bad_input_in_one_line(arguments: tuple[str, ...]) -> None:
    done = run_here(*arguments)

    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1, done.err


@pytest.mark.parametrize(
    ("name", "words"),
    [("n" * 300, ("check",)), ("n" * 300, ("run", "-s", "Offline", "-b")), ("loop", ("report",))],
)
def test_a_name_that_no_file_can_have_is_bad_input(
    tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "loop").symlink_to("loop")

    done = run_here(*words, name, cwd=tmp_path)

    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    assert name in line


def test_doctor_prints_json_with_its_findings(program: Program) -> None:
    done = program.run("doctor", "--json")

    found = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert {finding["state"] for finding in found["findings"]} <= {"ok", "note"}
    assert found["machine"]["cores_usable"] >= 1


def test_an_invalid_run_ends_with_exit_code_3_its_reason_and_the_remedy(
    invalid: tuple[Done, Path],
) -> None:
    done, out = invalid

    assert (done.code, done.err) == (3, "")
    assert " INVALID (simulated) " in done.out
    assert f"SingleStream: Too few queries: {TOO_FEW} were issued" in done.out
    assert "--min-query-count 64" in done.out
    assert folders.summary(out)["valid"] is False
    assert f"SingleStream: {folders.summary(out)['reasons'][0]}" in done.out


def test_the_command_in_the_summary_can_be_run_again(invalid: tuple[Done, Path]) -> None:
    _, out = invalid

    again = shlex.split(folders.summary(out)["command"])

    assert again == ["sut", *map(str, words(out, "SingleStream", TOO_FEW))]
    assert folders.config(out)["command"] == folders.summary(out)["command"]


@pytest.mark.parametrize("scenario", ["SingleStream", "Offline,SingleStream"])
def test_json_on_standard_output_is_the_result_and_nothing_else(
    program: Program, tmp_path: Path, scenario: str
) -> None:
    out = tmp_path / "out"

    done = program.run(*words(out, scenario, 64), "--json")

    printed = json.loads(done.out)
    assert done.code == 0, done.err
    if "," in scenario:
        assert printed["results"] == folders.results(out)
    else:
        assert printed == folders.summary(out)
    assert "max_batch_size" in done.err


def test_debug_shows_the_traceback_of_an_error(program: Program, tmp_path: Path) -> None:
    arguments = words(tmp_path / "out", "SingleStream", 64)

    done = program.run(*arguments, "--set", "no_such_option=1", "--debug")

    assert done.code == 2
    assert done.err.startswith("Traceback (most recent call last):")
    assert '"no_such_option"' in done.err.splitlines()[-1]


def test_scenarios_are_found_in_any_case_and_run_once_each(
    program: Program, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    done = program.run(*words(out, "singlestream,SINGLESTREAM", 64))

    assert done.code == 0, done.err
    assert folders.summary(out)["scenario"] == "SingleStream"
