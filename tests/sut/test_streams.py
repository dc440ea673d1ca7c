"""Standard streams that are closed, full or left early: the result is kept, and its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sut.base.environment import ROOT
from tests.sut.helpers import folders
from tests.sut.helpers.program import Done, Program

pytestmark = pytest.mark.slow

WORDS = (
    *("run", "-b", "efficientnet-lite0", "-s", "SingleStream", "--backend", "null"),
    *("--set", "delay_us=2000", "--min-duration-s", 0.1, "--out", "out"),
)
# How a shell runs the command that follows; {} is that command.
SHELLS = {
    "a reader that leaves": '"$@" | head -1; exit ${PIPESTATUS[0]}',
    "a reader that reads nothing": '"$@" | true; exit ${PIPESTATUS[0]}',
    "both to a reader that leaves": '"$@" 2>&1 | head -1; exit ${PIPESTATUS[0]}',
    "closed output": '"$@" >&-',
    "closed errors": '"$@" 2>&-',
    "all closed": '"$@" <&- >&- 2>&-',
    "closed input": '"$@" <&-',
    "full output": '"$@" >/dev/full',
    "full errors": '"$@" 2>/dev/full',
    "both full": '"$@" >/dev/full 2>&1',
    "ascii": 'PYTHONIOENCODING=ascii "$@"',
    "unbuffered": 'PYTHONUNBUFFERED=1 "$@" | head -1; exit ${PIPESTATUS[0]}',
}
VALID, INVALID = 64, 8  # queries; early stopping needs 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each case has a folder."""
    return tmp_path_factory.mktemp("streams")


def run_in(program: Program, shell: str, folder: Path, *words: object) -> Done:
    folder.mkdir(exist_ok=True)
    with program.start(*words, cwd=folder, before=("bash", "-c", shell, "bash")) as running:
        return running.finish()


def test_a_line_is_out_before_the_command_ends() -> None:
    """In a log, the settings of a run come before it, and the line of progress after them."""
    code = "import os; from sut.base import streams; streams.steady(); print('on'); os._exit(0)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)

    assert done.stdout == b"on\n"


@pytest.mark.parametrize("name", SHELLS)
def test_c5_a_run_keeps_its_result_and_its_exit_code(
    program: Program, folder: Path, name: str
) -> None:
    done = run_in(program, SHELLS[name], folder / name, *WORDS, "--min-query-count", VALID)

    assert done.code == 0, done.err
    assert "Traceback" not in done.err + done.out
    assert folders.summary(folder / name / "out")["valid"] is True
    log = (folder / name / "out" / "run.log").read_text("utf-8")
    assert "Traceback" not in log


def test_c5_an_invalid_run_keeps_its_exit_code(program: Program, tmp_path: Path) -> None:
    words = (*WORDS, "--min-query-count", INVALID, "--set", "delay_us=100000")

    done = run_in(program, SHELLS["a reader that leaves"], tmp_path, *words)

    assert done.code == 3, done.err
    assert folders.summary(tmp_path / "out")["valid"] is False


def test_c5_output_that_is_lost_is_named(program: Program, tmp_path: Path) -> None:
    done = run_in(program, SHELLS["full output"], tmp_path, *WORDS, "--min-query-count", VALID)

    assert "standard output cannot be written: No space left" in done.err.splitlines()[-1]


def test_c5_a_command_that_only_prints_fails_if_it_cannot(program: Program, tmp_path: Path) -> None:
    done = run_in(program, SHELLS["full output"], tmp_path, "doctor", "--json")

    assert done.code == 1
    assert len(done.err.splitlines()) == 1


def test_c5_help_can_be_read_in_part(program: Program, tmp_path: Path) -> None:
    done = run_in(program, SHELLS["a reader that leaves"], tmp_path, "run", "--help")

    assert (done.code, done.err) == (0, "")


def test_c4_characters_that_the_output_cannot_show_are_escaped(
    program: Program, tmp_path: Path
) -> None:
    out = tmp_path / "ä"
    words = (*WORDS[:-1], out, "--min-query-count", VALID)

    done = run_in(program, SHELLS["ascii"], tmp_path, *words)

    assert done.code == 0, done.err
    assert done.out.endswith("\\xe4\n")
    assert folders.summary(out)["valid"] is True
