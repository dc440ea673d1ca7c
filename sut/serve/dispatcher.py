"""One queue in, batches out: takes queries from LoadGen's thread and gives batches to workers.

Each event (a query, a finished batch, a flush, a failure, a timer) goes into one deque. The thread
that gets the lock handles the events of all threads, and checks again after it releases the lock.
So no thread waits for the lock, LoadGen's thread never blocks, and a worker that finishes also
sends itself the next batch.

Knows ids, indices and times. The policy decides what to do, and the worker runs the batch.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sut.serve.batch import Batch
from sut.serve.losses import Loss, Losses
from sut.serve.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.serve.choosing import BatchPolicy
    from sut.serve.policy import Assignment
    from sut.serve.responses import Responses

    Complete: TypeAlias = Callable[[Sequence[int], Responses | None], None]
    Event: TypeAlias = Callable[[], None]


class Recorder(Protocol):
    """Receives the times: `sut.record.trace.TraceWriter`, or a list in tests."""

    def query(self, arrival_ns: int, samples: int) -> None:
        """One call of IssueQuery."""

    def batch(self, number: int, *record: int) -> None:
        """One complete batch, in the order of sut.record.trace.BATCH_FIELDS."""


class BatchWorker(Protocol):
    """What the dispatcher needs from a worker: take a batch now, answer it later."""

    def submit(self, batch: Batch) -> None:
        """Queue `batch`; never blocks. The worker calls Dispatcher.finished for it exactly once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The first failure of a run: what the user reads, and the traceback for the log."""

    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where a system under test sends its answers, times and failures.

    Attributes:
        complete: answers LoadGen: ids, and their responses or None for empty ones; never raises.
        recorder: receives the times.
        on_failure: called once, for the first failure, on the thread that saw it.
        on_loss: called for each lost worker that the run goes on without; None: a lost worker is a
            failure, as in every scenario of LoadGen.
    """

    complete: Complete
    recorder: Recorder
    on_failure: Callable[[Failure], None]
    on_loss: Callable[[Loss], None] | None = None


class Dispatcher:
    """LoadGen's system under test, in front of workers in other threads or processes."""

    def __init__(
        self, policy: BatchPolicy, outlets: Outlets, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._policy = policy
        self._complete = outlets.complete
        self._recorder = outlets.recorder
        self._on_failure = outlets.on_failure
        self._clock = clock
        self._workers: Sequence[BatchWorker] = ()
        self._events: deque[Query | Batch | Event] = deque()
        self._queries: deque[Query] = deque()  # not yet in a batch, oldest first
        self._offset = 0  # samples of the oldest query that are already in a batch
        self._batches = self._samples = 0
        self._in_flight: dict[int, Batch] = {}
        self._recording: dict[int, Batch] = {}  # answered, and maybe not yet in the trace
        self._lock = threading.Lock()
        self._timer = Timer(self._wake, clock)
        self._failure: Failure | None = None
        self._losses = None if outlets.on_loss is None else Losses(outlets.on_loss)

    def start(self, workers: Sequence[BatchWorker]) -> None:
        """Start with `workers`, in the order of the policy."""
        self._workers = workers
        self._timer.start()

    def close(self) -> None:
        """Stop the timer. Call it when no query is outstanding."""
        self._timer.close()

    # LoadGen's thread

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        """Take a query; O(1), never blocks on a worker. The caller gives the lists away."""
        now_ns = self._clock()
        samples = len(ids)
        self._events.append((now_ns, ids, indices))
        self._recorder.query(now_ns, samples)
        if self._policy.has_credit or self._failure is not None:
            self._pump()
        # else: the worker that frees a slot finds the query

    def flush_queries(self) -> None:
        """Send everything without delay: LoadGen has issued the last query of a series."""
        self._post(self._policy.flush)

    # workers' threads

    def finished(self, batch: Batch, responses: Responses | None) -> None:
        """Complete `batch` (empty for None, after `fail`) and free its slot. Any thread.

        Ignores a batch that is already complete because its worker was given up, and one without an
        answer that another worker gets.
        """
        if responses is None and self._losses is not None and self._failure is None:
            return
        self._recording[batch.number] = batch
        if self._in_flight.pop(batch.number, None) is None:
            self._recording.pop(batch.number, None)
            return
        self._finish((batch,), batch.ids, responses)

    def _finish(
        self, batches: Sequence[Batch], ids: Sequence[int], responses: Responses | None
    ) -> None:
        """Complete batches that are no longer in flight, with the answers of all their samples."""
        self._events.extend(batches)  # before what an answer makes a load send at once
        self._complete(ids, responses)
        for batch in batches:
            sizes = (batch.first_sample, len(batch.ids), batch.worker, batch.why)
            times_ns = (batch.oldest_ns, batch.closed_ns, batch.started_ns, batch.finished_ns)
            self._recorder.batch(batch.position, *sizes, *times_ns, self._clock())
            self._recording.pop(batch.number, None)
        self._pump()

    def fail(self, message: str, traceback: str) -> None:
        """End the run: keep the first failure, and answer every sample empty from now on."""
        if self._failure is None:
            self._failure = Failure(message, traceback)
            self._on_failure(self._failure)
        self._wake()

    def lose(self, worker: int, message: str, traceback: str) -> None:
        """A worker is lost: end the run as `fail` does, or let others have its batches."""
        if self._losses is None:
            self.fail(message, traceback)
        else:
            self._post(partial(self._go_on_without, worker, message, traceback))

    def give_up(self, worker: int) -> None:
        """Complete the batches of a dead worker with empty responses. Call `lose` first."""
        for batch in [b for b in self._in_flight.copy().values() if b.worker == worker]:
            self.finished(batch, None)

    @property
    def failure(self) -> Failure | None:
        """The first failure, or None."""
        return self._failure

    @property
    def waiting_since_ns(self) -> int | None:
        """When the oldest batch in flight was sent; None without one."""
        return min((batch.closed_ns for batch in list(self._in_flight.values())), default=None)

    def overdue(self, since_ns: int) -> set[int]:
        """Return the workers that have had a batch since before `since_ns`."""
        flying = list(self._in_flight.values())
        return {batch.worker for batch in flying if batch.closed_ns < since_ns}

    @property
    def completed(self) -> tuple[int, int]:
        """Batches and samples that are complete and recorded.

        Other threads go on meanwhile, so in this order: what is sent just now or answered just now
        may count as missing, and never the other way round.
        """
        batches, samples = self._batches, self._samples
        waiting = [] if self._losses is None else list(self._losses.waiting)
        missing = self._in_flight.copy() | self._recording.copy()
        late = [*waiting, *missing.values()]
        return batches - len(late), samples - sum(len(batch.ids) for batch in late)

    # whoever holds the lock

    def _post(self, event: Event) -> None:
        self._events.append(event)
        self._pump()

    def _wake(self) -> None:
        self._post(_nothing)

    def _pump(self) -> None:
        """Handle all events, or leave them to the thread that holds the lock."""
        while self._events:
            if not self._lock.acquire(blocking=False):
                return  # its holder checks the events again after it releases the lock
            try:
                self._drain()
            except Exception as error:  # noqa: BLE001 - must not leave a callback of LoadGen
                self._failure = self._failure or _internal(error)
                self._on_failure(self._failure)
                self._drop_pending()
            finally:
                self._lock.release()

    def _drain(self) -> None:
        events, policy = self._events, self._policy
        while events:
            event = events.popleft()
            if isinstance(event, tuple):
                self._queries.append(event)
                policy.arrive(event[0], len(event[1]))
            elif isinstance(event, Batch):
                policy.finish(event.worker, event.finished_ns, event.finished_ns - event.started_ns)
            else:
                event()
        if self._failure is not None:
            self._drop_pending()
            return
        now_ns = self._clock()
        if self._losses is not None and self._losses.waiting:
            self._send_again(self._losses, now_ns)
        while (assignment := policy.next_batch(now_ns)) is not None:
            self._send(assignment, now_ns)
        due_ns = policy.due_ns(now_ns)
        if due_ns is not None:
            self._timer.arm(due_ns)

    def _send(self, assignment: Assignment, now_ns: int) -> None:
        ids, indices = self._cut(assignment.samples)
        batch = Batch(self._batches, self._samples, ids, indices, assignment.worker)
        batch.oldest_ns, batch.closed_ns = assignment.oldest_ns, now_ns
        batch.why = assignment.why.value
        if self._losses is not None:
            batch.number += self._losses.sent
        self._in_flight[batch.number] = batch  # before it counts: see `completed`
        self._batches += 1
        self._samples += len(ids)
        self._workers[batch.worker].submit(batch)

    def _go_on_without(self, worker: int, message: str, traceback: str) -> None:
        """Take a lost worker's batches back; `_send_again` sends them."""
        if self._losses is None or not self._policy.lose(worker):
            return
        loss = Loss(worker, message, self._clock())
        is_last = not self._policy.has_workers
        why_not = self._losses.take_back(self._in_flight, loss, is_last=is_last)
        if why_not is not None:
            self.fail(why_not, traceback)

    def _send_again(self, losses: Losses, now_ns: int) -> None:
        """Send the batches of lost workers; a smaller device gets a part of one."""
        while losses.waiting:
            place = self._policy.next_again(now_ns, len(losses.waiting[0].ids))
            if place is None:
                return
            worker, samples = place
            batch, is_part = losses.next(samples, self._batches)
            self._batches += is_part  # the rest is one more
            batch.worker, batch.closed_ns = worker, now_ns
            self._in_flight[batch.number] = batch
            self._workers[worker].submit(batch)

    def _cut(self, samples: int) -> tuple[list[int], list[int]]:
        """Take the oldest `samples`, without a copy if they are one whole query."""
        queries, offset = self._queries, self._offset
        _, ids, indices = queries[0]
        if len(ids) - offset > samples:  # a slice of a large query, as in Offline
            self._offset = end = offset + samples
            return ids[offset:end], indices[offset:end]
        queries.popleft()
        self._offset = 0
        if offset:
            ids, indices = ids[offset:], indices[offset:]
        while len(ids) < samples:
            _, more_ids, more_indices = queries[0]
            missing = samples - len(ids)
            if len(more_ids) > missing:
                self._offset = missing
                more_ids, more_indices = more_ids[:missing], more_indices[:missing]
            else:
                queries.popleft()
            ids += more_ids
            indices += more_indices
        return ids, indices

    def _drop_pending(self) -> None:
        """Complete all waiting samples, empty: LoadGen returns only when all are complete."""
        while self._losses is not None and self._losses.waiting:
            self._complete(self._losses.waiting.popleft().ids, None)
        while self._queries:
            _, ids, _ = self._queries.popleft()
            ids = ids[self._offset :]
            self._offset = 0
            self._complete(ids, None)


if TYPE_CHECKING:
    Query: TypeAlias = tuple[int, list[int], list[int]]  # arrival_ns, ids, indices


def _nothing() -> None:
    """The event that only makes the dispatcher check the queue again."""


def _internal(error: Exception) -> Failure:
    import traceback  # noqa: PLC0415 - only needed when the dispatcher itself is wrong

    text = "".join(traceback.format_exception(error))
    return Failure(f"dispatcher: {type(error).__name__}: {error}", text)
