"""One engine that the asking thread waits for: in this process, and in one of its own."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from backends.base import EngineSpec, OptionValue, TensorSpec
from data.tasks.other import Raw
from sut.base.errors import ConfigError, WorkerError
from sut.record.trace import BATCH_FIELDS, Close
from sut.serve.direct import DirectSut
from sut.serve.dispatcher import Outlets
from sut.serve.samples import SampleSource
from sut.serve.workers.asked import AskedProcess
from sut.serve.workers.connection import ProcessSpec
from sut.serve.workers.executor import ExecutorSpec
from sut.serve.workers.inline import InlineWorker
from sut.serve.workers.keeper import Keeper
from tests.sut.helpers.waiting import wait_until
from tests.sut.serve import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sut.config.settings import Lent
    from sut.serve.direct import DirectWorker
    from sut.serve.dispatcher import Failure
    from sut.serve.responses import Responses

    Open = Callable[[ExecutorSpec], DirectWorker]

pytestmark = pytest.mark.slow

NAME = "device 7"
CAP, COUNT = 4, 6
INPUTS = (TensorSpec("x", (2,), "float32"),)
SOURCE = SampleSource((), COUNT, INPUTS, tuple(range(COUNT)))
WORKERS = [(NAME, "")]
HANG_S, CLOSE_S = 0.3, 5.0


def spec(backend: str = "null", **options: OptionValue) -> ExecutorSpec:
    """Return an executor for batches of up to CAP."""
    return ExecutorSpec(EngineSpec(backend, None, INPUTS, None, CAP, options=options), Raw())


class Ledger:
    """Stands where LoadGen and the trace are."""

    def __init__(self) -> None:
        self.completed: list[tuple[list[int], bool]] = []
        self.failures: list[Failure] = []
        self.queries: list[tuple[int, int]] = []
        self.batches: list[dict[str, int]] = []

    def complete(self, ids: object, responses: Responses | None) -> None:
        assert isinstance(ids, list)
        self.completed.append((ids, responses is None))

    def query(self, arrival_ns: int, samples: int) -> None:
        self.queries.append((arrival_ns, samples))

    def batch(self, number: int, *record: int) -> None:
        assert number == len(self.batches)
        self.batches.append(dict(zip(BATCH_FIELDS, record, strict=True)))

    def in_front_of(self, worker: DirectWorker) -> DirectSut:
        return DirectSut(worker, CAP, Outlets(self.complete, self, self.failures.append))


@pytest.fixture
def ledger() -> Ledger:
    """An empty ledger."""
    return Ledger()


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    """Keeps one process for all tests that do not end it."""
    with Keeper() as made:
        yield made


class Opener:
    """Opens engines, inline or in a kept process, and closes them at the end of the test."""

    def __init__(self, keeper: Keeper, log: Path, leaving: ExitStack) -> None:
        self._keeper, self._leaving = keeper, leaving
        self._log = leaving.enter_context(log.open("ab"))
        self.lent: Lent | None = None

    def inline(self, executor: ExecutorSpec) -> DirectWorker:
        worker = InlineWorker(NAME, executor, CLOSE_S)
        self._leaving.callback(worker.close)
        return self._opened(worker)

    def process(self, executor: ExecutorSpec) -> DirectWorker:
        return self._opened(self.unopened(executor))

    def unopened(self, executor: ExecutorSpec) -> DirectWorker:
        (lent,) = self._leaving.enter_context(self._keeper.lend(WORKERS, self._log))
        self.lent = lent
        # As another process inherits the connection: with a descriptor of its own.
        mine = type(lent)(os.dup(lent.fd), lent.pid)
        part = ProcessSpec(NAME, 0, executor, hang_floor_s=HANG_S, stopped_s=0.1, lent=mine)
        worker = AskedProcess(part)
        self._leaving.callback(worker.close)
        return worker

    @property
    def pid(self) -> int:
        assert self.lent is not None, "process() comes first"
        return self.lent.pid

    def _opened(self, worker: DirectWorker) -> DirectWorker:
        worker.open()
        worker.load(SOURCE)
        return worker


@pytest.fixture
def opener(keeper: Keeper, tmp_path: Path) -> Iterator[Opener]:
    """Opens engines for one test."""
    with ExitStack() as leaving:
        yield Opener(keeper, tmp_path / "log", leaving)


@pytest.fixture(params=["inline", "process"])
def opened(opener: Opener, request: pytest.FixtureRequest) -> Open:
    """Opens engines of either kind."""
    return cast("Open", getattr(opener, request.param))


def test_a_query_is_complete_when_issue_query_returns(ledger: Ledger, opened: Open) -> None:
    sut = ledger.in_front_of(opened(spec()))

    sut.issue_query([11, 12, 13], [2, 0, 1])

    assert ledger.completed == [([11, 12, 13], False)]
    assert [samples for _, samples in ledger.queries] == [3]
    assert sut.completed == (1, 3)
    assert sut.waiting_since_ns is None


@pytest.mark.parametrize(("size", "cut"), [(4, [4]), (11, [4, 4, 3])])
def test_a_query_above_the_cap_is_cut_into_batches(
    ledger: Ledger, opened: Open, size: int, cut: list[int]
) -> None:
    sut = ledger.in_front_of(opened(spec()))
    ids = list(range(100, 100 + size))

    sut.issue_query(ids, [k % COUNT for k in range(size)])

    assert [len(part) for part, _ in ledger.completed] == cut
    assert [i for part, _ in ledger.completed for i in part] == ids
    assert [record["samples"] for record in ledger.batches] == cut
    assert [record["first_sample"] for record in ledger.batches] == list(np.cumsum([0, *cut[:-1]]))


def test_the_times_of_a_batch_follow_each_other_from_the_query_s_arrival(
    ledger: Ledger, opened: Open
) -> None:
    sut = ledger.in_front_of(opened(spec()))

    sut.issue_query(list(range(9)), [0] * 9)

    ((arrival_ns, _),) = ledger.queries
    for record in ledger.batches:
        times = [record[f"{name}_ns"] for name in ("oldest", "closed", "started", "finished")]
        assert times[0] == arrival_ns
        assert [*times, record["completed_ns"]] == sorted([*times, record["completed_ns"]])
        assert record["why"] == Close.IDLE.value
    ends = [record["completed_ns"] for record in ledger.batches]
    starts = [record["started_ns"] for record in ledger.batches]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_after_a_failure_everything_is_answered_empty(ledger: Ledger, opened: Open) -> None:
    sut = ledger.in_front_of(opened(spec(fail_at_batch=2)))

    sut.issue_query(list(range(10)), [0] * 10)
    sut.issue_query([20], [0])
    sut.flush_queries()

    assert ledger.completed == [
        ([0, 1, 2, 3], False),
        ([4, 5, 6, 7], True),
        ([8, 9], True),
        ([20], True),
    ]
    (failure,) = ledger.failures
    assert failure.message.startswith(f"{NAME}: batch 1 of 4 samples failed: RuntimeError: ")
    assert failure.traceback.startswith("Traceback")
    assert "in infer" in failure.traceback  # where the engine ran
    assert sut.failure == failure
    assert len(ledger.batches) == 1


def test_an_engine_that_does_not_open_is_bad_input(opened: Open) -> None:
    with pytest.raises(ConfigError, match='"nonesuch"'):
        opened(spec("nonesuch"))


def test_samples_that_cannot_be_read_name_the_device(opened: Open) -> None:
    worker = opened(spec())

    with pytest.raises(WorkerError, match=f"{NAME}: load failed: NeedsTwoArguments: sample 3"):
        worker.load(cast("SampleSource", faults.RaisingSamples()))


# a process


def test_a_process_that_was_killed_ends_the_run(ledger: Ledger, opener: Opener) -> None:
    sut = ledger.in_front_of(opener.process(spec()))
    sut.issue_query([1], [0])

    os.kill(opener.pid, signal.SIGKILL)
    sut.issue_query([2], [0])

    assert ledger.completed == [([1], False), ([2], True)]
    (failure,) = ledger.failures
    assert failure.message == f"{NAME}: its process ended; see run.log for the reason"


def test_a_process_that_hangs_is_killed_and_ends_the_run(ledger: Ledger, opener: Opener) -> None:
    worker = opener.process(spec())
    worker.warm_up([0], [1], 0.0)
    sut = ledger.in_front_of(worker)

    os.kill(opener.pid, signal.SIGSTOP)
    sut.issue_query([1], [0])

    assert ledger.completed == [([1], True)]
    (failure,) = ledger.failures
    assert f"{NAME}: batch 0 has no answer after {HANG_S} s" in failure.message
    assert state(opener.pid) in {"Z", ""}


def test_a_process_that_stands_still_while_it_opens_is_killed(opener: Opener) -> None:
    worker = opener.unopened(spec())

    os.kill(opener.pid, signal.SIGSTOP)
    with pytest.raises(WorkerError, match=f"{NAME}: its process stands still .signal SIGSTOP."):
        worker.open()

    assert state(opener.pid) in {"Z", ""}


def test_an_answer_that_cannot_be_read_ends_the_process(opener: Opener) -> None:
    worker = opener.process(spec())

    with pytest.raises(WorkerError, match="unusable: RuntimeError: nobody can read this"):
        worker.warm_up([0], [faults.BecomesUnreadable(1)], 0.0)

    assert state(opener.pid) in {"Z", ""}


def test_whoever_waits_for_long_sleeps(ledger: Ledger, opener: Opener) -> None:
    worker = opener.process(spec())
    worker.warm_up([0], [1], 0.0)
    sut = ledger.in_front_of(worker)
    sut.issue_query([1], [0])

    wait_until(lambda: state(opener.pid) == "S", "the process sleeps")
    sut.issue_query([2], [0])

    assert ledger.completed == [([1], False), ([2], False)]


def state(pid: int) -> str:
    """Return the state of a process as Linux writes it; empty: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return stat.rpartition(")")[2].split()[0]
