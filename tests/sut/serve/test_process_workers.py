"""Worker processes: what they answer, and what becomes of a run when one dies or hangs."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sut.helpers.program import Program, Running

pytestmark = pytest.mark.slow

WORKERS = 2
# A run that would go on for a minute, at a rate that two processes keep up with.
COMMAND = (
    *("run", "-b", "efficientnet-lite0", "-s", "Server", "--backend", "null", "--out", "out"),
    *("--workers", "process", "--devices", "0,1", "--slots", 2),
    *("--target-qps", 5000, "--min-duration-s", 60),
)
# From the event to the end of the command, on a busy machine; 2 s on an idle one.
LIMIT_S = 30.0


@pytest.fixture
def running(program: Program, tmp_path: Path) -> Iterator[Running]:
    """The run, with batches being answered by both workers."""
    with program.start(*COMMAND, cwd=tmp_path) as started:
        wait_until(lambda: folders.batches_so_far(tmp_path / "out") > 100, "batches are answered")
        assert len(workers(started)) == WORKERS
        yield started


def workers(running: Running) -> list[int]:
    """Return the process ids of the workers, by device."""
    lines = running.processes()
    found = {line: pid for pid, line in lines.items() if "sut.serve.workers.child" in line}
    return [found[line] for line in sorted(found, key=lambda text: text.partition("device")[2])]


def nothing_left(running: Running) -> None:
    wait_until(lambda: not running.processes(), "all processes are gone", LIMIT_S)


def no_result(out: Path) -> None:
    assert not (out / "summary.json").exists()
    assert not (out / "mlperf_log_summary.txt").exists()
    assert (out / "mlperf_log_summary.txt.failed").exists()
    assert folders.batches(out)["samples"].sum() > 0


def test_a_killed_worker_ends_the_run_with_its_device_and_signal(
    running: Running, tmp_path: Path
) -> None:
    os.kill(workers(running)[1], signal.SIGKILL)

    done = running.finish(LIMIT_S)

    assert done.code == 1
    assert "device 1: " in done.err
    assert "SIGKILL" in done.err
    no_result(tmp_path / "out")
    nothing_left(running)


def test_a_killed_worker_ends_a_closed_loop_too(program: Program, tmp_path: Path) -> None:
    """LoadGen's thread itself waits for this worker."""
    words = (*COMMAND[:4], "SingleStream", *COMMAND[5:9], "--workers", "process")
    slow = ("--set", "delay_us=1000", "--min-duration-s", 60)
    with program.start(*words, *slow, cwd=tmp_path) as running:
        wait_until(lambda: folders.batches_so_far(tmp_path / "out") > 100, "batches are answered")

        (worker,) = workers(running)
        os.kill(worker, signal.SIGKILL)
        done = running.finish(LIMIT_S)

        assert done.code == 1
        assert done.err.startswith("sut: device cpu: its process ended")
        assert "SIGKILL" in done.err
        no_result(tmp_path / "out")
        nothing_left(running)


def test_a_worker_that_hangs_ends_the_run_with_its_device(running: Running, tmp_path: Path) -> None:
    os.kill(workers(running)[0], signal.SIGSTOP)

    done = running.finish(LIMIT_S)

    assert done.code == 1
    assert "sut: device 0: batch" in done.err
    assert "no answer after 1.0 s" in done.err
    no_result(tmp_path / "out")
    nothing_left(running)


def test_no_process_survives_the_death_of_the_test(running: Running) -> None:
    os.kill(running.process_of("sut.run.trial"), signal.SIGKILL)

    done = running.finish(LIMIT_S)

    assert done.code == 1
    assert "signal SIGKILL" in done.err
    nothing_left(running)


def test_no_process_survives_the_death_of_the_command(running: Running) -> None:
    running.send(signal.SIGKILL)
    running.finish(LIMIT_S)

    nothing_left(running)


def test_an_interrupt_ends_the_workers_too(running: Running, tmp_path: Path) -> None:
    running.send(signal.SIGINT)

    done = running.finish(LIMIT_S)

    assert done.code == 130
    assert folders.summary(tmp_path / "out")["interrupted"] == "SIGINT"
    nothing_left(running)


def test_process_workers_answer_as_others_do(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    """The answers of a real engine, over several loads of the samples, in processes with cores."""
    words = ("run", "-b", own_yaml, "--mode", "accuracy", "--max-batch-size", 3, "--out", "out")
    commands = {
        "inline": (*words, "-s", "SingleStream", "--workers", "inline"),
        "process": (
            *(*words, "-s", "Offline", "--workers", "process", "--devices", "cpu"),
            *("--instances", 2, "--affinity", f"cpu:{min(os.sched_getaffinity(0))}"),
        ),
        "closed loop": (*words, "-s", "MultiStream", "--workers", "process"),
    }
    done = program.run_all(commands, tmp_path)

    assert [d.code for d in done.values()] == [0, 0, 0], [d.err for d in done.values()]
    answers = {name: dict(folders.answered(tmp_path / name / "out")) for name in commands}
    assert answers["process"] == answers["closed loop"] == answers["inline"]
    used = folders.batches(tmp_path / "process" / "out")["worker"]
    assert set(used) <= {0, 1}


def test_an_engine_that_does_not_open_in_a_process_is_one_line(
    program: Program, own_yaml: Path, tmp_path: Path
) -> None:
    words = ("run", "-b", own_yaml, "-s", "Offline", "--workers", "process", "--instances", 2)

    done = program.run(*words, "--set", "intra_op_threds=1", "--out", "out", cwd=tmp_path)

    assert done.code == 2
    assert '"intra_op_threads"' in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
