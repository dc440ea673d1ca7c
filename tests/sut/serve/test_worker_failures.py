"""Workers that die, hang or cannot be understood: every call and every batch has an end."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from backends.base import EngineSpec, OptionValue, TensorSpec
from data.tasks.other import Raw
from sut.base.errors import ConfigError, EngineError, WorkerError
from sut.serve.batch import Batch
from sut.serve.samples import SampleReader, SampleSource
from sut.serve.workers.closing import close_all
from sut.serve.workers.connection import ProcessSpec
from sut.serve.workers.executor import ExecutorSpec, open_executor
from sut.serve.workers.process import ProcessWorker, Receiver
from sut.serve.workers.thread import ThreadWorker
from tests.sut.helpers.waiting import wait_until
from tests.sut.serve import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sut.serve.responses import Responses

pytestmark = pytest.mark.slow

LIMIT_S = 10.0
INPUT = TensorSpec("x", (2,), "float32")
NAME = "device 7"


def spec(backend: str = "null", **options: OptionValue) -> ExecutorSpec:
    """Return an executor for batches of one or two."""
    return ExecutorSpec(EngineSpec(backend, None, (INPUT,), None, 2, options=options), Raw())


SOURCE = SampleSource((), 4, (INPUT,), (0, 1, 2, 3))


def batch(number: int) -> Batch:
    """Return a batch of one sample."""
    return Batch(number, 0, [1000 + number], [0], 0)


class Front:
    """Stands where the dispatcher is."""

    def __init__(self) -> None:
        self.done: list[tuple[int, bool]] = []
        self.failures: list[tuple[str, str]] = []
        self.given_up: list[int] = []

    def finished(self, work: Batch, responses: Responses | None) -> None:
        self.done.append((work.number, responses is None))

    def fail(self, message: str, traceback: str) -> None:
        self.failures.append((message, traceback))

    def failed(self) -> bool:
        return bool(self.failures)


@pytest.fixture
def front() -> Front:
    """A front that has heard of nothing."""
    return Front()


class Opened:
    """A worker process that is received from, with its process id."""

    def __init__(self, executor: ExecutorSpec, front: Front, close_s: float = 5.0) -> None:
        before = children()
        part = ProcessSpec(NAME, 0, executor, close_s=close_s)
        self.worker = ProcessWorker(part, front.finished, front.fail)
        self.facts = self.worker.open()
        (self.pid,) = children() - before
        self._receiver = Receiver([self.worker], front.given_up.append)

    def receive(self) -> None:
        self._receiver.start()

    def stop(self) -> None:
        self._receiver.close()


@pytest.fixture
def process(front: Front) -> Iterator[Opened]:
    """A worker process on the null backend, open."""
    made = Opened(spec(), front)
    made.receive()
    made.facts.result(LIMIT_S)
    yield made
    made.stop()
    made.worker.close()


def children() -> set[int]:
    """Return the process ids of the children of this process's main thread."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii")
    return set(map(int, text.split()))


def kill(process: Opened, front: Front) -> None:
    """Kill a worker process, and wait until that is known."""
    os.kill(process.pid, signal.SIGKILL)
    wait_until(front.failed, "the death is known")


def load(worker: ProcessWorker) -> object:
    return worker.load(SOURCE).exception(LIMIT_S)


def warm_up(worker: ProcessWorker) -> object:
    return worker.warm_up([0], [1], 0.0).exception(LIMIT_S)


# a process that dies


def test_a_process_that_dies_before_it_is_received_from_ends_its_call(front: Front) -> None:
    made = Opened(spec(), front)
    os.kill(made.pid, signal.SIGKILL)
    made.receive()

    error = made.facts.exception(LIMIT_S)

    assert isinstance(error, WorkerError)
    assert str(error).startswith(f"{NAME}: ")
    assert "SIGKILL" in str(error)
    made.stop()
    made.worker.close()


@pytest.mark.parametrize("call", [load, warm_up])
def test_a_call_to_a_process_that_died_before_it_fails_at_once(
    process: Opened, front: Front, call: Callable[[ProcessWorker], object]
) -> None:
    if call is warm_up:
        assert load(process.worker) is None
    kill(process, front)

    error = call(process.worker)

    assert isinstance(error, WorkerError)
    assert "signal SIGKILL" in str(error)
    assert front.given_up == [0]


def test_a_batch_for_a_process_that_died_before_it_is_answered_empty(
    process: Opened, front: Front
) -> None:
    assert load(process.worker) is None
    assert warm_up(process.worker) is None
    kill(process, front)

    process.worker.submit(batch(0))

    assert front.done == [(0, True)]
    assert NAME in front.failures[0][0]


@pytest.mark.parametrize(
    ("samples", "how"),
    [
        (faults.ExitingSamples(), f"exit code {faults.EXIT_CODE}"),
        (faults.QuittingSamples(), "exit code 1"),
        (faults.MuteSamples(), "signal SIGKILL"),
    ],
)
def test_a_process_that_ends_or_falls_silent_in_a_call_ends_it(
    process: Opened, samples: Any, how: str
) -> None:
    error = process.worker.load(samples).exception(LIMIT_S)

    assert isinstance(error, WorkerError)
    assert how in str(error)


# messages that cannot be understood


def test_an_exception_that_cannot_be_unpickled_is_told_with_device_and_traceback(
    process: Opened, front: Front
) -> None:
    error = process.worker.load(cast("SampleSource", faults.RaisingSamples())).exception(LIMIT_S)

    assert isinstance(error, WorkerError)
    assert str(error).startswith(f"{NAME}: ")
    assert "NeedsTwoArguments: sample 3" in str(error)
    assert "in read" in error.worker_traceback
    assert load(process.worker) is None, "the process goes on"
    assert front.failures == []


def test_a_call_that_the_process_cannot_read_is_an_error(process: Opened) -> None:
    error = process.worker.load(cast("SampleSource", faults.Unreadable())).exception(LIMIT_S)

    assert isinstance(error, WorkerError)
    assert "nobody can read this" in str(error)
    assert load(process.worker) is None


def test_a_call_that_cannot_be_sent_is_an_error(process: Opened) -> None:
    with pytest.raises(WorkerError, match=f"{NAME}: .*TypeError"):
        process.worker.load(cast("SampleSource", faults.Unpicklable()))

    assert load(process.worker) is None


def test_an_answer_that_cannot_be_sent_is_an_error(process: Opened) -> None:
    assert load(process.worker) is None

    error = process.worker.warm_up([0], [faults.BecomesUnpicklable(1)], 0.0).exception(LIMIT_S)

    assert isinstance(error, WorkerError)
    assert "this stays here" in str(error)
    assert warm_up(process.worker) is None


def test_an_answer_that_cannot_be_read_ends_the_worker(process: Opened, front: Front) -> None:
    assert load(process.worker) is None
    process.worker.submit(batch(0))
    wait_until(lambda: bool(front.done), "the batch is answered")

    error = process.worker.warm_up([0], [faults.BecomesUnreadable(1)], 0.0).exception(LIMIT_S)

    assert error is not None
    assert NAME in front.failures[0][0]
    assert "nobody can read this" in front.failures[0][0]
    assert isinstance(load(process.worker), WorkerError)


def test_an_answer_that_the_front_cannot_take_ends_the_run(front: Front) -> None:
    class Full(Front):
        def finished(self, work: Batch, responses: Responses | None) -> None:
            raise ValueError("no room")

    full = Full()
    made = Opened(spec(), full)
    made.receive()
    assert load(made.worker) is None

    made.worker.submit(batch(0))
    wait_until(full.failed, "the run fails")

    assert "ValueError: no room" in full.failures[0][0]
    assert "Traceback" in full.failures[0][1]
    made.stop()
    made.worker.close()


def test_bad_input_stays_bad_input_across_processes(front: Front) -> None:
    made = Opened(spec(no_such_option=1), front)
    made.receive()

    assert isinstance(made.facts.exception(LIMIT_S), ConfigError)
    made.stop()
    made.worker.close()


def test_an_engine_that_does_not_open_names_its_device(front: Front, tmp_path: Path) -> None:
    engine = EngineSpec("onnxruntime", str(tmp_path / "gone.onnx"), (INPUT,), None, 2)
    made = Opened(ExecutorSpec(engine, Raw()), front)
    made.receive()

    error = made.facts.exception(LIMIT_S)

    assert isinstance(error, EngineError)
    assert str(error).startswith(f"{NAME}: ")
    assert "gone.onnx" in str(error)
    made.stop()
    made.worker.close()


# a thread that dies


def thread(front: Front, executor: ExecutorSpec, finished: Any = None) -> ThreadWorker:
    """Return a worker on a thread, not yet open."""
    opens = partial(open_executor, executor)
    return ThreadWorker(NAME, opens, SampleReader(), finished or front.finished, front.fail)


def test_an_engine_that_ends_its_thread_while_it_opens_ends_every_call(front: Front) -> None:
    worker = thread(front, cast("ExecutorSpec", faults.QuittingSpec()))

    errors = [call.exception(LIMIT_S) for call in (worker.open(), worker.load(SOURCE))]

    assert [type(error) for error in errors] == [WorkerError, WorkerError]
    assert str(errors[0]).startswith(f"{NAME}: open failed: SystemExit")
    worker.close()


@pytest.mark.parametrize(
    "executor", [spec(), spec("simulated", base_ms=1)], ids=["blocking", "asynchronous"]
)
def test_a_thread_that_dies_ends_the_run_and_answers_what_comes(
    front: Front, executor: ExecutorSpec
) -> None:
    answers: list[tuple[int, bool]] = []

    def finished(work: Batch, responses: Responses | None) -> None:
        if not work.number:
            raise ValueError("no room")
        answers.append((work.number, responses is None))

    worker = thread(front, executor, finished)
    worker.open()
    worker.load(SOURCE).result(LIMIT_S)

    worker.submit(batch(0))
    wait_until(front.failed, "the run fails")

    assert front.failures[0][0].startswith(f"{NAME}: ")
    assert "ValueError: no room" in front.failures[0][0]
    assert "Traceback" in front.failures[0][1]
    if executor.engine.backend == "null":
        worker.submit(batch(1))
        assert isinstance(worker.load(SOURCE).exception(LIMIT_S), WorkerError)
        assert answers == [(1, True)]
        worker.close()


# an engine that does not close


def test_an_engine_that_hangs_while_it_closes_is_killed_with_its_process(front: Front) -> None:
    made = Opened(spec("simulated", base_ms=1, close_s=faults.LONG_S), front, close_s=0.2)
    made.receive()
    made.facts.result(LIMIT_S)
    made.stop()

    with pytest.raises(WorkerError, match=r"longer than 0.2 s"):
        made.worker.close()

    assert made.pid not in children()
    assert front.failures == []


def test_what_does_not_close_in_time_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    closed: list[str] = []

    def hang() -> None:
        release.wait()

    def fail() -> None:
        raise RuntimeError("the door is stuck")

    start_s = time.monotonic()
    close_all(
        {
            "device 0": lambda: closed.append("device 0"),
            "device 1": hang,
            "device 2": fail,
        },
        limit_s=0.1,
    )
    took_s = time.monotonic() - start_s
    release.set()

    assert closed == ["device 0"]
    assert 0.1 <= took_s < LIMIT_S
    said = sorted(record.getMessage() for record in caplog.records)
    assert said[0].startswith("device 1: ")
    assert "0.1 s" in said[0]
    assert said[1].startswith("device 2: ")
    assert "the door is stuck" in said[1]
