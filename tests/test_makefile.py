"""The Makefile explains itself, and its targets reach the program with what the user named."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = sorted(set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.M)))


def make(*arguments: str) -> str:
    # Only PATH is passed on: the variables of an outer `make test` must not reach this one.
    command = ["make", "--no-print-directory", *arguments]
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(*arguments: str) -> str:
    """Return what make would run, each stretch of white space as one blank."""
    return " ".join(make("--dry-run", *arguments).split())


def test_make_alone_shows_the_help() -> None:
    assert make() == make("help")


@pytest.mark.parametrize("target", TARGETS)
def test_help_describes_the_target(target: str) -> None:
    assert re.search(rf"^  {target} +[A-Z]\w+ .+$", make("help"), re.M)


def test_help_names_no_target_twice() -> None:
    names = re.findall(r"^  (\S+)", make("help"), re.M)

    assert sorted(names) == TARGETS


def test_every_described_target_runs_although_a_file_has_its_name() -> None:
    phony = re.findall(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.M)

    assert sorted(" ".join(phony).split()) == TARGETS


@pytest.mark.parametrize(
    ("target", "scenario"),
    [
        ("server", "Server"),
        ("offline", "Offline"),
        ("singlestream", "SingleStream"),
        ("multistream", "MultiStream"),
    ],
)
def test_a_scenario_has_a_target_with_defaults(target: str, scenario: str) -> None:
    expected = f".venv/bin/sut run -b efficientnet-lite0 -s {scenario} --system default"

    assert commands(target).endswith(expected)


def test_the_variables_reach_the_command_line() -> None:
    given = ("BENCHMARK=mine.yaml", "SYSTEM=dgx", "BACKEND=null", "ARGS=--slots 2")

    expected = "sut run -b mine.yaml -s Server --system dgx --backend null --slots 2"
    assert commands("server", *given).endswith(expected)


def test_accuracy_takes_the_scenario() -> None:
    assert "-s Server --system default --mode accuracy" in commands("accuracy", "SCENARIO=Server")


def test_run_harness_understands_the_arguments_of_nvidias_harness() -> None:
    given = "RUN_ARGS=--benchmarks=resnet50 --scenarios=Server --test_mode=AccuracyOnly --slots 2"

    assert commands("run_harness", given).endswith(
        "sut run -b resnet50 -s Server --mode accuracy --slots 2"
    )


def test_setup_refuses_a_python_that_is_missing_and_says_what_to_do(tmp_path: Path) -> None:
    # A checkout without .venv, so that the refusal comes before anything is made.
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("requirements/run.txt", "requirements/assets.txt", "pyproject.toml", "setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    done = subprocess.run(
        ["make", "setup", "PYTHON=no-such-python"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "Python 3.11" in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_report_shows_the_folders_that_are_named() -> None:
    assert "sut report runs/a runs/b --out c.html" in commands(
        "report", "DIRS=runs/a runs/b", "ARGS=--out c.html"
    )
