"""Kept worker processes: the same engine serves one test after the other."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from backends.base import EngineSpec, OptionValue, TensorSpec
from data.tasks.other import Raw
from sut.base.errors import WorkerError
from sut.base.standing import STOPPED_S
from sut.serve.batch import Batch
from sut.serve.samples import SampleSource
from sut.serve.workers.connection import ProcessSpec
from sut.serve.workers.executor import ExecutorSpec
from sut.serve.workers.keeper import Keeper
from sut.serve.workers.process import ProcessWorker, Receiver
from tests.sut.helpers import folders
from tests.sut.helpers.waiting import wait_until
from tests.sut.serve import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sut.config.settings import Lent
    from sut.serve.workers.base import Done
    from tests.sut.helpers.program import Program

pytestmark = pytest.mark.slow

WORKERS = [("device 0", "")]


INPUT = TensorSpec("x", (1,), "float32")
SOURCE = SampleSource((), 1, (INPUT,), (0,))


def spec(cap: int = 4, backend: str = "null", **options: OptionValue) -> ExecutorSpec:
    engine = EngineSpec(backend, None, (INPUT,), None, cap, "0", options, slots=2)
    return ExecutorSpec(engine, Raw())


@contextmanager
def connected(
    lent: Lent, executor: ExecutorSpec, done: Done = lambda *_: None, stopped_s: float = STOPPED_S
) -> Iterator[ProcessWorker]:
    """Be the test's process: a worker on a lent process, opened."""
    failures: list[str] = []
    part = ProcessSpec("device 0", 0, executor, stopped_s=stopped_s, lent=lent)
    worker = ProcessWorker(part, done, lambda message, _: failures.append(message))
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
        kill(first)

        with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec()):
            assert lent.pid != first


def test_a_process_that_died_between_tests_is_no_zombie(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        with keeper.lend(WORKERS, log) as (lent,):
            pass
        kill(lent.pid)

        keeper.bury()

        assert not Path(f"/proc/{lent.pid}").exists()
        with keeper.lend(WORKERS, log) as (other,):
            assert other.pid != lent.pid


def kill(pid: int) -> None:
    """Kill a process of ours, and wait for its last thread: its first may end before the others."""
    end = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    waiting = select.poll()
    waiting.register(end, select.POLLIN)
    assert waiting.poll(10_000), "the process is gone"
    os.close(end)


def test_a_failed_test_spoils_its_processes_and_says_how_they_ended(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:

        def fail() -> None:
            with keeper.lend(WORKERS, log) as (lent,):
                pids.append(lent.pid)
                kill(lent.pid)
                raise WorkerError("device 0: its process ended")

        pids: list[int] = []
        with pytest.raises(WorkerError, match=r"device 0: signal SIGKILL"):
            fail()

        with keeper.lend(WORKERS, log) as (lent,):
            assert lent.pid not in pids


def test_a_process_that_stands_still_while_it_opens_is_killed(tmp_path: Path) -> None:
    """On its own it would hold the run for as long as an engine may take to open."""
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:

        def fail() -> None:
            with keeper.lend(WORKERS, log) as (lent,):
                os.kill(lent.pid, signal.SIGSTOP)
                with connected(dup(lent), spec(), stopped_s=0.1):
                    pass

        with pytest.raises(WorkerError, match=r"device 0: its process stands still .signal SIGS"):
            fail()


def test_a_test_that_needs_fewer_workers_ends_the_others(tmp_path: Path) -> None:
    """The first engine of a device is the same worker, however many there are."""
    two = [("device 0, instance 0", ""), ("device 0, instance 1", "")]
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        with keeper.lend(two, log) as both:
            pass
        with keeper.lend(WORKERS, log) as (left,):
            pass

        assert left.pid == both[0].pid
        with pytest.raises(ProcessLookupError):
            os.kill(both[1].pid, 0)


def test_engines_rest_while_others_use_the_devices(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        with keeper.lend(WORKERS, log) as (first,), connected(dup(first), spec()) as worker:
            worker.load(SOURCE).result()

        keeper.rest()

        with keeper.lend(WORKERS, log) as (second,), connected(dup(second), spec()) as worker:
            timings = worker.warm_up([0], [4], 0.0)
            with pytest.raises(WorkerError, match="warm-up"):  # it is new: it has no samples
                timings.result()
        assert second.pid == first.pid
        assert keeper.busy_s() > 0

        keeper.dismiss()

        assert not Path(f"/proc/{first.pid}").exists()
        assert keeper.busy_s() == 0


def test_a_test_that_was_stopped_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """Its batches are on the device when it ends; their answers are nobody's."""
    slow = spec(8, "simulated", base_ms=60.0, per_sample_ms=0.0)
    done: list[int] = []
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        with keeper.lend(WORKERS, log) as (first,), connected(dup(first), slow) as worker:
            worker.load(SOURCE).result()
            for number in range(2):
                worker.submit(Batch(number, 0, [1], [0], 0))
        with (
            keeper.lend(WORKERS, log) as (second,),
            connected(dup(second), slow, lambda batch, _: done.append(batch.number)) as worker,
        ):
            worker.submit(Batch(7, 0, [1], [0], 0))
            wait_until(lambda: bool(done), "a batch is done")

    assert second.pid == first.pid
    assert done == [7]


def test_an_engine_that_hangs_when_its_test_was_stopped_is_replaced(tmp_path: Path) -> None:
    hanging = spec(8, "simulated", base_ms=1.0, per_sample_ms=0.0, hang_at_s=0.0)
    with (tmp_path / "log").open("ab") as log, Keeper(close_s=0.2) as keeper:
        with keeper.lend(WORKERS, log) as (first,), connected(dup(first), hanging) as worker:
            worker.load(SOURCE).result()
            worker.submit(Batch(0, 0, [1], [0], 0))
        with keeper.lend(WORKERS, log) as (second,):
            assert second.pid != first.pid


def test_what_a_library_does_at_exit_holds_up_no_command(tmp_path: Path) -> None:
    """PyTorch waits seconds for the processes that it compiled in."""
    samples = cast("SampleSource", faults.ClingingSamples())
    with (tmp_path / "log").open("ab") as log, Keeper(close_s=faults.LONG_S) as keeper:
        with keeper.lend(WORKERS, log) as (lent,), connected(dup(lent), spec()) as worker:
            assert worker.load(samples).exception() is not None
        start_s = time.monotonic()

    assert time.monotonic() - start_s < faults.LONG_S / 2


def test_memory_after_many_engines_is_that_after_one(tmp_path: Path) -> None:
    np.save(tmp_path / "samples.npy", np.ones((64, 2**17), np.float32))  # 32 MiB
    tensor = TensorSpec("x", (2**17,), "float32")
    source = SampleSource((str(tmp_path / "samples.npy"),), 64, (tensor,), tuple(range(64)))
    used: list[int] = []
    with (tmp_path / "log").open("ab") as log, Keeper() as keeper:
        for cap in (1, 2, 3, 4, 5, 6):
            engine = EngineSpec("null", None, (tensor,), None, cap)
            with (
                keeper.lend(WORKERS, log) as (lent,),
                connected(dup(lent), ExecutorSpec(engine, Raw())) as worker,
            ):
                worker.load(source).result()
                worker.warm_up([0], [cap], 0.0).result()
                pages = int(Path(f"/proc/{lent.pid}/statm").read_text("ascii").split()[1])
                used.append(pages * os.sysconf("SC_PAGE_SIZE"))

    assert max(used) - used[0] < 2**23, used


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
    more = ("--workers", "process", "--devices", "0,1", "--min-duration-s", 0.01, "--out", "out")
    with program.start(*words, *more, "--min-query-count", 100, cwd=tmp_path) as running:
        done = running.finish(60.0)
        wait_until(lambda: not running.processes(), "all processes are gone")

    assert done.code in {0, 3}, done.err
    lent = [folders.request(tmp_path / "out" / name)["lent"] for name in ("Server", "Offline")]
    assert [worker["pid"] for worker in lent[0]] == [worker["pid"] for worker in lent[1]]
    assert len({worker["pid"] for worker in lent[0]}) == 2
