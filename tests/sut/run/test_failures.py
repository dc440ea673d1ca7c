"""A batch, an engine or a process that fails during a run: an error, never a result."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.sut.helpers import folders
from tests.sut.helpers.program import Done, Program
from tests.sut.helpers.waiting import wait_until

pytestmark = pytest.mark.slow

# Warm-up takes at most 200 batches of 5 ms for each of two sizes, and every run takes more.
FAILS_AT = 450
KINDS = ("inline", "thread", "process")
# The schedule would go on for twice as long as the busiest machine takes to notice.
MIN_DURATION_S = 60
LIMIT_S = 30.0
# Commands side by side: their engines sleep.
AT_ONCE = 5


def command(name: str, *words: object, fails_at: int = FAILS_AT) -> tuple[object, ...]:
    """Return a run that fails at one of its batches."""
    rate = ("--target-qps", 1500) if name in {"Server", "Offline"} else ()
    return (
        *("run", "-b", "efficientnet-lite0", "-s", name, "--backend", "null", "--out", "out"),
        *("--set", f"fail_at_batch={fails_at}", "--set", "delay_us=5000"),
        *("--min-duration-s", MIN_DURATION_S, *rate, *words),
    )


# Every scenario, and every kind of worker.
CASES = {
    **{f"Server {kind}": command("Server", "--workers", kind) for kind in KINDS},
    "SingleStream": command("SingleStream", "--workers", "inline"),
    "SingleStream process": command("SingleStream", "--workers", "process"),
    "MultiStream": command("MultiStream", "--workers", "thread"),
    "Offline": command("Offline", "--workers", "inline"),
    "two threads": command("Offline", "--workers", "thread", "--instances", 2, "--slots", 2),
}
WARM_UP = {f"warm-up {kind}": command("Server", "--workers", kind, fails_at=3) for kind in KINDS}
SEVERAL = {"several": command("SingleStream,Offline")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each case has a folder."""
    return tmp_path_factory.mktemp("failures")


@pytest.fixture(scope="module")
def failed(program: Program, folder: Path) -> dict[str, Done]:
    """Every case, run."""
    commands = {**CASES, **WARM_UP, **SEVERAL}
    return program.run_all(commands, folder, LIMIT_S, AT_ONCE)


each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_a_failed_batch_ends_the_run_within_seconds(failed: dict[str, Done], name: str) -> None:
    assert failed[name].code == 1, failed[name].err
    assert failed[name].seconds < LIMIT_S


@each_case
def test_a_failed_batch_is_named_with_its_device_and_traceback(
    failed: dict[str, Done], name: str
) -> None:
    lines = iter(failed[name].err.splitlines())
    first = next(line for line in lines if line.startswith("sut: "))  # after a line of progress
    rest = list(lines)

    assert first.startswith("sut: device cpu")
    assert "at batch 450" in first
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1].startswith("RuntimeError: null backend")


@each_case
def test_a_failed_run_keeps_its_traceback_in_run_log(
    failed: dict[str, Done], folder: Path, name: str
) -> None:
    log = (folder / name / "out" / "run.log").read_text("utf-8")

    assert failed[name].code == 1
    assert "RuntimeError: null backend" in log
    assert "terminate called" not in log
    assert "Fatal Python error" not in log


@each_case
def test_a_failed_run_leaves_no_result(failed: dict[str, Done], folder: Path, name: str) -> None:
    left = folders.contents(folder / name / "out")
    logs = {path for path in left if path.startswith("mlperf_log")}

    assert failed[name].code == 1
    assert "summary.json" not in left
    assert {"mlperf_log_summary.txt.failed", "mlperf_log_detail.txt.failed"} <= logs
    assert all(path.endswith(".failed") for path in logs)
    assert not {path for path in folders.contents(folder / name) if "core" in path}


@each_case
def test_a_failed_run_keeps_the_times_of_the_batches_before(
    failed: dict[str, Done], folder: Path, name: str
) -> None:
    trace = folders.batches(folder / name / "out")

    assert failed[name].code == 1
    assert trace["samples"].sum() > 0
    assert (trace["completed_ns"] > trace["oldest_ns"]).all()


@pytest.mark.parametrize("name", WARM_UP)
def test_a_batch_that_fails_in_warm_up_is_a_failure(
    failed: dict[str, Done], folder: Path, name: str
) -> None:
    done, out = failed[name], folder / name / "out"

    left = folders.contents(out)
    assert done.code == 1, done.err
    assert done.seconds < LIMIT_S
    assert "at batch 3" in done.err.splitlines()[0]
    assert "at batch 3" in (out / "run.log").read_text("utf-8")
    assert "summary.json" not in left
    assert not {path for path in left if path.startswith("mlperf_log")}


def test_a_failure_in_one_scenario_ends_all(failed: dict[str, Done], folder: Path) -> None:
    assert failed["several"].code == 1, failed["several"].err
    assert {path.name for path in (folder / "several" / "out").iterdir()} == {"SingleStream"}


def test_a_test_s_process_that_is_killed_ends_the_run_as_an_error(
    program: Program, tmp_path: Path
) -> None:
    words = command("Server", fails_at=1_000_000)
    with program.start(*words, cwd=tmp_path) as running:
        wait_until(lambda: folders.batches_so_far(tmp_path / "out") > 5, "batches are complete")

        os.kill(running.process_of("sut.run.trial"), signal.SIGKILL)
        done = running.finish(LIMIT_S)

    left = folders.contents(tmp_path / "out")
    assert done.code == 1, done.err
    assert "signal SIGKILL" in done.err.splitlines()[0]
    assert "run.log" in done.err.splitlines()[0]
    assert "summary.json" not in left
    assert "mlperf_log_detail.txt.failed" in left
    assert running.processes() == {}
