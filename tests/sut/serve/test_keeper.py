"""Kept worker processes: the same engine serves one test after the other."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.base import EngineSpec, TensorSpec
from data.tasks.other import Raw
from sut.base.errors import WorkerError
from sut.serve.workers.connection import ProcessSpec
from sut.serve.workers.executor import ExecutorSpec
from sut.serve.workers.keeper import Keeper
from sut.serve.workers.process import ProcessWorker, Receiver
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.config.settings import Lent
    from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow

WORKERS = [("device 0", "")]


def spec(cap: int = 4) -> ExecutorSpec:
    engine = EngineSpec("null", None, (TensorSpec("x", (1,), "float32"),), None, cap)
    return ExecutorSpec(engine, Raw())


@contextmanager
def connected(lent: Lent, executor: ExecutorSpec) -> Iterator[ProcessWorker]:
    """Be the test's process: a worker on a lent process, opened."""
    failures: list[str] = []
    part = ProcessSpec("device 0", 0, executor, lent=lent)
    worker = ProcessWorker(part, lambda *_: None, lambda message, _: failures.append(message))
    opening = worker.open()
    receiver = Receiver([worker], lambda _: None)
    receiver.start()
    try:
        opening.result()
        yield worker
    finally:
        receiver.close()
        worker.close()


def dup(lent: Lent) -> Lent:
    """Return the connection as another process inherits it: with a descriptor of its own."""
    return type(lent)(os.dup(lent.fd), lent.pid)


def test_the_next_test_gets_the_same_process(tmp_path: Path) -> None:
    pids = []
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        for _ in range(2):
            with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec()):
                pids.append(lent.pid)

    assert len(set(pids)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_another_setting_opens_another_engine_in_the_same_process(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec(4)):
            first = lent.pid
        with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec(8)) as worker:
            timings = worker.warm_up([0], [8], 0.0)
            with pytest.raises(WorkerError, match="warm-up"):  # it is new: it has no samples
                timings.result()

    assert lent.pid == first


def test_a_process_that_died_between_tests_is_replaced(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec()):
            first = lent.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not alive(first), "the process is gone")

        with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec()):
            assert lent.pid != first


def alive(pid: int) -> bool:
    """Whether a process of ours runs: a killed one that was not waited for does not."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_failed_test_spoils_its_processes_and_says_how_they_ended(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:

        def fail() -> None:
            with keeper.lend(WORKERS, log) as (lent,):
                pids.append(lent.pid)
                os.kill(lent.pid, signal.SIGKILL)
                wait_until(lambda: not alive(lent.pid), "the process is gone")
                raise WorkerError("device 0: its process ended")

        pids: list[int] = []
        with pytest.raises(WorkerError, match=r"device 0: signal SIGKILL"):
            fail()

        with keeper.lend(WORKERS, log) as (lent,):
            assert lent.pid not in pids


def test_what_it_prints_goes_to_the_log_of_the_test_that_runs(tmp_path: Path) -> None:
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    bad = ExecutorSpec(
        EngineSpec("nonesuch", None, (TensorSpec("x", (1,), "float32"),), None, 1), Raw()
    )
    with Keeper() as keeper:
        for path, executor in zip(logs, (spec(), bad), strict=True):
            with path.open("ab") as log, keeper.lend(WORKERS, log) as (lent,):
                try:
                    with connected(dup(lent), executor):
                        pass
                except Exception:  # noqa: BLE001 - the second cannot be opened
                    continue

    assert "nonesuch" not in logs[0].read_text("utf-8")
    assert "nonesuch" in logs[1].read_text("utf-8")


def test_all_tests_of_a_command_share_worker_processes(program: Program, tmp_path: Path) -> None:
    words = ("run", "-b", "efficientnet-lite0", "-s", "Server,Offline", "--backend", "null")
    more = ("--workers", "process", "--devices", "0,1", "--min-duration-s", 0.2, "--out", "out")
    with program.start(*words, *more, "--min-query-count", 100, cwd=tmp_path) as running:
        done = running.finish(60.0)
        wait_until(lambda: not running.processes(), "all processes are gone")

    assert done.code in {0, 3}, done.err
    lent = [folders.request(tmp_path / "out" / name)["lent"] for name in ("Server", "Offline")]
    assert [worker["pid"] for worker in lent[0]] == [worker["pid"] for worker in lent[1]]
    assert len({worker["pid"] for worker in lent[0]}) == 2
