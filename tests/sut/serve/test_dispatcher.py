"""The dispatcher with real threads: every sample completed exactly once, whatever happens."""

from __future__ import annotations

import random
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sut.record.trace import BATCH_FIELDS, Close
from sut.serve.batch import Batch
from sut.serve.batcher import BatcherSettings
from sut.serve.dispatcher import Dispatcher, Failure, Outlets
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000


class Ledger:
    """Stands where LoadGen and the trace are: what was completed, and what was recorded."""

    def __init__(self) -> None:
        self.completed: list[tuple[list[int], bool]] = []
        self.records: list[tuple[int, ...]] = []
        self.arrived = 0
        self.failures: list[Failure] = []
        self.changed = threading.Condition()

    def complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        with self.changed:
            self.completed.append((list(ids), responses is None))
            self.changed.notify_all()

    def query(self, arrival_ns: int, samples: int) -> None:
        self.arrived += samples

    def batch(self, number: int, *record: int) -> None:
        self.records.append((number, *record))

    @property
    def ids(self) -> list[int]:
        return [i for ids, _ in self.completed for i in ids]

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ids) >= count, timeout=10)


class Echo:
    """A worker on a thread: answers each batch, or fails at the one that it was told to."""

    def __init__(self, dispatcher: Dispatcher, fail_at: int | None = None) -> None:
        self.inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self.batches: list[Batch] = []
        self._dispatcher = dispatcher
        self._fail_at = fail_at
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def submit(self, batch: Batch) -> None:
        self.inbox.put(batch)

    def close(self) -> None:
        self.inbox.put(None)
        self.thread.join()

    def _run(self) -> None:
        while (batch := self.inbox.get()) is not None:
            self.batches.append(batch)
            batch.started_ns = batch.closed_ns
            batch.finished_ns = batch.closed_ns + 1
            if len(self.batches) == self._fail_at:
                self._dispatcher.fail("device 0: out of luck", "Traceback ...")
                self._dispatcher.finished(batch, None)
            else:
                answer = np.array(batch.indices, np.float32).reshape(-1, 1)
                self._dispatcher.finished(batch, Responses.of(answer))


def build(
    ledger: Ledger, workers: int = 1, slots: int = 1, cap: int = 4, delay_ns: int = 0
) -> Dispatcher:
    limits = [WorkerLimits(slots, cap) for _ in range(workers)]
    policy = Policy(BatcherSettings(cap, delay_ns), limits)
    return Dispatcher(policy, Outlets(ledger.complete, ledger, ledger.failures.append))


def test_a_query_comes_back_complete() -> None:
    ledger = Ledger()
    dispatcher = build(ledger)
    worker = Echo(dispatcher)
    dispatcher.start([worker])

    dispatcher.issue_query([11, 12, 13], [1, 2, 3])
    ledger.wait(3)
    dispatcher.close()
    worker.close()

    assert sorted(ledger.ids) == [11, 12, 13]
    assert [batch.indices for batch in worker.batches] == [[1, 2, 3]]


def test_a_large_query_is_cut_into_contiguous_batches() -> None:
    ledger = Ledger()
    dispatcher = build(ledger, cap=4)
    worker = Echo(dispatcher)
    dispatcher.start([worker])

    dispatcher.issue_query(list(range(100, 110)), list(range(10)))
    dispatcher.flush_queries()
    ledger.wait(10)
    dispatcher.close()
    worker.close()

    assert [batch.indices for batch in worker.batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_partial_batch_leaves_when_its_delay_is_over_and_not_before() -> None:
    ledger = Ledger()
    dispatcher = build(ledger, cap=8, delay_ns=5 * MS, slots=2)
    worker = Echo(dispatcher)
    dispatcher.start([worker])

    dispatcher.issue_query([1, 2], [1, 2])
    ledger.wait(2)
    dispatcher.close()
    worker.close()

    (record,) = (dict(zip(BATCH_FIELDS, fields[1:], strict=True)) for fields in ledger.records)
    assert record["why"] == Close.DELAY.value
    assert record["closed_ns"] - record["oldest_ns"] >= 5 * MS
    assert sorted(ledger.ids) == [1, 2]


def test_after_a_failure_everything_is_answered_empty_and_the_first_reason_is_kept() -> None:
    ledger = Ledger()
    dispatcher = build(ledger, cap=1)
    worker = Echo(dispatcher, fail_at=2)
    dispatcher.start([worker])

    dispatcher.issue_query(list(range(1, 11)), list(range(10)))
    ledger.wait(10)
    dispatcher.issue_query([11], [0])
    ledger.wait(11)
    dispatcher.close()
    worker.close()

    assert sorted(ledger.ids) == list(range(1, 12))
    assert [f.message for f in ledger.failures] == ["device 0: out of luck"]
    assert dispatcher.failure == ledger.failures[0]
    assert sum(len(ids) for ids, empty in ledger.completed if empty) == 10


def test_a_batch_counts_as_complete_when_it_is_recorded_and_not_before() -> None:
    seen: list[tuple[int, int]] = []

    class Looks(Ledger):
        def complete(self, ids: Sequence[int], responses: Responses | None) -> None:
            seen.append(dispatcher.completed)
            super().complete(ids, responses)

        def batch(self, number: int, *record: int) -> None:
            seen.append(dispatcher.completed)
            super().batch(number, *record)

    ledger = Looks()
    dispatcher = build(ledger, cap=2)
    worker = Echo(dispatcher)
    dispatcher.start([worker])

    dispatcher.issue_query([1, 2], [0, 1])
    dispatcher.issue_query([3, 4], [2, 3])
    ledger.wait(4)
    worker.close()
    dispatcher.close()

    assert seen == [(0, 0), (0, 0), (1, 2), (1, 2)]
    assert dispatcher.completed == (2, 4)


def test_a_worker_given_up_has_its_batches_answered_once() -> None:
    ledger = Ledger()
    dispatcher = build(ledger, cap=2, slots=3)

    class Silent:
        def __init__(self) -> None:
            self.batches: list[Batch] = []

        def submit(self, batch: Batch) -> None:
            self.batches.append(batch)

    silent = Silent()
    dispatcher.start([silent])
    dispatcher.issue_query(list(range(1, 9)), list(range(8)))

    dispatcher.fail("device 0: died with signal SIGKILL", "")
    dispatcher.give_up(0)
    late = silent.batches[0]
    dispatcher.finished(late, Responses.of(np.zeros((2, 1), np.float32)))
    dispatcher.close()

    assert sorted(ledger.ids) == list(range(1, 9))


def test_a_worker_that_cannot_be_reached_fails_the_run_and_loses_no_sample() -> None:
    ledger = Ledger()
    dispatcher = build(ledger, cap=2)

    class Broken:
        def submit(self, batch: Batch) -> None:
            raise BrokenPipeError("gone")

    dispatcher.start([Broken()])
    dispatcher.issue_query([1, 2, 3], [0, 1, 2])
    dispatcher.give_up(0)
    dispatcher.close()

    assert sorted(ledger.ids) == [1, 2, 3]
    assert "BrokenPipeError: gone" in ledger.failures[0].message


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    workers=st.integers(1, 3),
    slots=st.integers(1, 3),
    cap=st.integers(1, 6),
    delay_ns=st.sampled_from([0, 100_000, MS]),
    fail_at=st.one_of(st.none(), st.integers(1, 10)),
)
def test_every_sample_is_completed_exactly_once(  # noqa: PLR0913 - what is varied
    sizes: list[int], workers: int, slots: int, cap: int, delay_ns: int, fail_at: int | None
) -> None:
    ledger = Ledger()
    dispatcher = build(ledger, workers, slots, cap, delay_ns)
    made = [Echo(dispatcher, fail_at if k == 0 else None) for k in range(workers)]
    dispatcher.start(made)
    total = 0
    expected: dict[int, int] = {}
    for size in sizes:
        ids = list(range(total + 1, total + size + 1))
        indices = [random.Random(i).randrange(1000) for i in ids]
        expected.update(zip(ids, indices, strict=True))
        total += size
        dispatcher.issue_query(ids.copy(), indices)
    dispatcher.flush_queries()
    ledger.wait(total)
    dispatcher.close()
    for worker in made:
        worker.close()

    assert sorted(ledger.ids) == list(range(1, total + 1))
    batches = [batch for worker in made for batch in worker.batches]
    assert all(len(batch.ids) <= cap for batch in batches)
    for batch in batches:
        assert batch.ids == sorted(batch.ids)
        assert [expected[i] for i in batch.ids] == batch.indices
    ordered = sorted(ledger.records)
    assert [r[1] for r in ordered] == list(np.cumsum([0] + [r[2] for r in ordered])[:-1])


@pytest.mark.parametrize("threads", [2, 4])
def test_concurrent_finishes_and_arrivals_lose_nothing(threads: int) -> None:
    ledger = Ledger()
    dispatcher = build(ledger, workers=threads, slots=2, cap=3)
    made = [Echo(dispatcher) for _ in range(threads)]
    dispatcher.start(made)
    for k in range(3_000):
        dispatcher.issue_query([k + 1], [k])
    ledger.wait(3_000)
    dispatcher.close()
    for worker in made:
        worker.close()

    assert sorted(ledger.ids) == list(range(1, 3_001))
