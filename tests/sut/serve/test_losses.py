"""A load that may go on without a lost worker: others get its batches, each sample once."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sut.record.trace import BATCH_FIELDS, Close
from sut.serve.batch import Batch
from sut.serve.batcher import BatcherSettings
from sut.serve.dispatcher import Dispatcher, Outlets
from sut.serve.losses import MOST_WORKERS, Loss
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.responses import Responses
from tests.sut.serve.test_dispatcher import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000


class Held:
    """A worker that keeps its batches until it is told to answer."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        self.batches.append(batch)


class Front:
    """A dispatcher that tolerates loss, with workers that answer when told."""

    def __init__(self, caps: Sequence[int], delay_ns: int | None = 0, slots: int = 1) -> None:
        self.ledger = Ledger()
        self.losses: list[Loss] = []
        limits = [WorkerLimits(slots, cap) for cap in caps]
        self.policy = Policy(BatcherSettings(max(caps), delay_ns), limits)
        ledger = self.ledger
        outlets = Outlets(ledger.complete, ledger, ledger.failures.append, self.losses.append)
        self.dispatcher = Dispatcher(self.policy, outlets)
        self.workers = [Held() for _ in caps]
        self.dispatcher.start(self.workers)

    def ask(self, *ids: int) -> None:
        self.dispatcher.issue_query(list(ids), list(ids))

    def lose(self, worker: int) -> None:
        """Lose a worker as the receiver of a worker process does."""
        self.dispatcher.lose(worker, f"device {worker}: gone", "")
        self.dispatcher.give_up(worker)

    def answer(self, batch: Batch) -> None:
        batch.started_ns = batch.finished_ns = batch.closed_ns + 1
        answers = np.array(batch.indices, np.float32).reshape(-1, 1)
        self.dispatcher.finished(batch, Responses.of(answers))


def test_the_batches_of_a_lost_worker_go_to_the_others() -> None:
    front = Front([4, 4])
    front.ask(1, 2, 3, 4)
    (lost,) = front.workers[0].batches

    front.lose(0)
    (again,) = front.workers[1].batches
    front.answer(again)

    assert (again.ids, again.indices) == (lost.ids, lost.indices)
    assert front.ledger.completed == [([1, 2, 3, 4], False)]
    (loss,) = front.losses
    assert (loss.worker, loss.message) == (0, "device 0: gone")
    assert (loss.batches, loss.samples) == (1, 4)
    assert front.dispatcher.failure is None
    assert front.dispatcher.completed == (1, 4)
    front.dispatcher.close()


def test_its_record_names_the_worker_that_answered_and_why_it_was_closed() -> None:
    front = Front([4, 4])
    front.ask(1, 2, 3, 4)
    arrived_ns = front.workers[0].batches[0].oldest_ns

    front.lose(0)
    front.answer(front.workers[1].batches[0])

    ((number, *fields),) = front.ledger.records
    record = dict(zip(BATCH_FIELDS, fields, strict=True))
    assert number == 0
    assert (record["first_sample"], record["samples"], record["worker"]) == (0, 4, 1)
    assert record["why"] == Close.LOST.value
    assert record["oldest_ns"] == arrived_ns < record["closed_ns"]
    front.dispatcher.close()


def test_a_smaller_device_gets_the_batch_in_parts() -> None:
    front = Front([5, 2])
    front.ask(1, 2, 3, 4, 5)

    front.lose(0)
    small = front.workers[1].batches
    while sum(len(batch.ids) for batch in small) < 5:
        front.answer(small[-1])
    front.answer(small[-1])

    assert [batch.ids for batch in small] == [[1, 2], [3, 4], [5]]
    assert sorted((r[0], r[1], r[2]) for r in front.ledger.records) == [
        (0, 0, 2),
        (1, 2, 2),
        (2, 4, 1),
    ]
    assert front.dispatcher.completed == (3, 5)
    front.dispatcher.close()


def test_a_late_answer_of_a_lost_worker_counts_for_nothing() -> None:
    front = Front([4, 4])
    front.ask(1, 2, 3, 4)
    lost = front.workers[0].batches[0]

    front.lose(0)
    front.answer(lost)
    assert front.ledger.completed == []
    front.answer(front.workers[1].batches[0])
    front.answer(lost)

    assert front.ledger.completed == [([1, 2, 3, 4], False)]
    front.dispatcher.close()


def test_a_lost_batch_waits_for_a_free_slot_and_goes_before_what_came_later() -> None:
    front = Front([1, 1])
    front.ask(1)
    front.ask(2)
    front.ask(3)
    other = front.workers[1].batches

    front.lose(0)
    assert [batch.ids for batch in other] == [[2]]
    for _ in range(3):
        front.answer(other[-1])

    assert [batch.ids for batch in other] == [[2], [1], [3]]
    front.dispatcher.close()


def test_the_last_worker_ends_the_run_and_every_sample_is_answered_empty() -> None:
    front = Front([2, 2])
    front.ask(1, 2, 3, 4, 5)

    front.lose(0)
    front.lose(1)
    front.ask(6)

    (failure,) = front.ledger.failures
    assert failure.message == "device 1: gone. No worker is left."
    assert sorted(front.ledger.ids) == [1, 2, 3, 4, 5, 6]
    assert all(empty for _, empty in front.ledger.completed)
    front.dispatcher.close()


def test_a_batch_that_is_lost_again_and_again_ends_the_run() -> None:
    front = Front([1] * (MOST_WORKERS + 1))
    front.ask(1)

    for _ in range(MOST_WORKERS):
        holder = next(k for k, w in enumerate(front.workers) if w.batches and w.batches[-1].ids)
        front.workers[holder].batches.clear()
        front.lose(holder)

    (failure,) = front.ledger.failures
    assert f"Batch 0 was lost with {MOST_WORKERS} workers" in failure.message
    assert front.ledger.completed == [([1], True)]
    front.dispatcher.close()


def test_a_worker_that_is_lost_twice_counts_once() -> None:
    front = Front([1, 1])

    front.lose(0)
    front.lose(0)
    front.ask(1)

    assert len(front.losses) == 1
    assert front.workers[0].batches == []
    assert len(front.workers[1].batches) == 1
    front.dispatcher.close()


def test_an_idle_worker_that_is_lost_gets_nothing_more_however_batches_are_closed() -> None:
    front = Front([4, 4, 4], delay_ns=None)
    front.lose(1)

    for k in range(1, 7):
        front.ask(k)
    front.dispatcher.flush_queries()
    for worker in (0, 2):
        while len(front.workers[worker].batches) and not front.policy.has_credit:
            front.answer(front.workers[worker].batches[-1])

    assert front.workers[1].batches == []
    assert front.policy.lost == {1}
    front.dispatcher.close()


def test_a_worker_whose_batch_is_too_old_is_overdue() -> None:
    front = Front([1, 1])
    front.ask(1)
    front.ask(2)
    first, second = (worker.batches[0] for worker in front.workers)
    second.closed_ns = first.closed_ns + MS

    assert front.dispatcher.overdue(first.closed_ns) == set()
    assert front.dispatcher.overdue(second.closed_ns) == {0}
    assert front.dispatcher.overdue(second.closed_ns + 1) == {0, 1}
    front.dispatcher.close()


class Mortal:
    """A worker on a thread that dies at a batch, and says so as a worker of the product does."""

    def __init__(self, front: Dispatcher, index: int, dies_at: int | None) -> None:
        self._front, self._index, self._dies_at = front, index, dies_at
        self._inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        self._inbox.put(batch)

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        seen = 0
        while (batch := self._inbox.get()) is not None:
            seen += 1
            if self._dies_at is not None and seen >= self._dies_at:
                self._front.lose(self._index, f"device {self._index}: died", "")
                self._front.finished(batch, None)
                continue
            batch.started_ns, batch.finished_ns = batch.closed_ns, batch.closed_ns + 1
            answer = np.array(batch.indices, np.float32).reshape(-1, 1)
            self._front.finished(batch, Responses.of(answer))


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    caps=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    slots=st.integers(1, 3),
    delay_ns=st.sampled_from([0, 100_000, None]),
    dies_at=st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=3, max_size=3),
)
def test_every_sample_is_answered_once_as_long_as_a_worker_is_left(
    sizes: list[int],
    caps: list[int],
    slots: int,
    delay_ns: int | None,
    dies_at: list[int | None],
) -> None:
    ledger, losses = Ledger(), list[Loss]()
    policy = Policy(
        BatcherSettings(max(caps), delay_ns), [WorkerLimits(slots, cap) for cap in caps]
    )
    outlets = Outlets(ledger.complete, ledger, ledger.failures.append, losses.append)
    dispatcher = Dispatcher(policy, outlets)
    ends = [*dies_at[: len(caps) - 1], None]  # the last worker lives
    made = [Mortal(dispatcher, k, end) for k, end in enumerate(ends)]
    dispatcher.start(made)
    total = 0
    for size in sizes:
        dispatcher.issue_query(list(range(total, total + size)), list(range(size)))
        total += size
    dispatcher.flush_queries()
    ledger.wait(total)
    dispatcher.close()
    for worker in made:
        worker.close()

    assert sorted(ledger.ids) == list(range(total))
    died_of_its_batch = any("was lost with" in failure.message for failure in ledger.failures)
    if not died_of_its_batch:
        assert ledger.failures == []
        assert not any(empty for _, empty in ledger.completed)
        ordered = sorted(ledger.records)
        assert [r[0] for r in ordered] == list(range(len(ordered)))
        samples = [k for r in ordered for k in range(r[1], r[1] + r[2])]
        assert sorted(samples) == list(range(total))
        assert dispatcher.completed == (len(ordered), total)
