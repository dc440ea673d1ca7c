"""Which worker gets the next batch, and when: the whole policy, with the time as an argument.

Pure: the dispatcher drives it with the monotonic clock, the queue model with a virtual clock. It
counts samples, and never sees ids, indices, tensors, threads or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.record.trace import Close
from sut.serve.batcher import Batcher, BatcherSettings
from sut.serve.returning import Returning
from sut.serve.worker_states import FreeWorkers, WorkerState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# To wait for clients must save at least the rest of the time for each sample.
WORTH = 0.95
# The shortest timer: to wake a thread takes this long anyway.
MIN_WAIT_NS = 20_000


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one worker can take: `slots` batches in flight, each of at most `max_batch_size`."""

    slots: int
    max_batch_size: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """A closed batch and the worker that gets it.

    Attributes:
        worker: index of the worker.
        samples: size of the batch.
        oldest_ns: arrival of its oldest sample.
        why: what closed it.
    """

    worker: int
    samples: int
    oldest_ns: int
    why: Close


class Policy:
    """The state of the queue and of the workers; decides which batch goes where."""

    __slots__ = (
        "_batcher",
        "_by_index",
        "_credit",
        "_due_ns",
        "_free",
        "_is_late",
        "_least_cap",
        "_returning",
        "_wait_ns",
        "_workers",
    )

    def __init__(self, settings: BatcherSettings, workers: Sequence[WorkerLimits]) -> None:
        self._batcher = Batcher(settings)
        self._by_index = [
            WorkerState(index, limits.slots, min(settings.max_batch_size, limits.max_batch_size))
            for index, limits in enumerate(workers)
        ]
        self._free = FreeWorkers(self._by_index)
        self._workers = list(self._by_index)  # without the lost ones
        self._credit = sum(w.slots for w in workers)
        self._least_cap = min((w.cap for w in self._workers), default=0)
        self._is_late = settings.max_queue_delay_ns is None
        self._due_ns = 0.0  # late closing: no device with a free slot needs its next batch before
        self._wait_ns = 0.0  # until then somebody is expected who belongs into the next batch
        self._returning = Returning()

    @property
    def has_credit(self) -> bool:
        """Whether any worker has a free slot."""
        return self._credit > 0

    @property
    def has_workers(self) -> bool:
        """Whether any worker is left."""
        return bool(self._workers)

    @property
    def lost(self) -> set[int]:
        """The workers that are not."""
        return {worker.index for worker in self._by_index if not worker.slots}

    def prime(
        self, worker: int, measured_ns: Mapping[int, float], sizes: Sequence[int] = ()
    ) -> None:
        """Start with the measured S(b) of a worker, ns by batch size, and its engine's ladder."""
        primed = self._by_index[worker]
        primed.curve.prime(measured_ns, sizes)
        self._free.observed(primed)

    def limit(self, worker: int, cap: int) -> None:
        """Give a worker no batch above `cap`; call it before the first batch."""
        chosen = self._by_index[worker]
        chosen.cap = min(chosen.cap, cap)
        self._least_cap = min(w.cap for w in self._workers)
        self._free.observed(chosen)

    def arrive(self, now_ns: int, samples: int) -> None:
        """A query of `samples` arrived."""
        self._batcher.add(now_ns, samples)
        if self._is_late:  # nothing else waits for clients
            self._returning.arrive(now_ns, samples)

    def flush(self) -> None:
        """The last query of a series arrived."""
        self._batcher.flush()

    def next_batch(self, now_ns: int) -> Assignment | None:
        """Close the next batch and reserve its slot; None if there is nothing to send now."""
        batcher = self._batcher
        if not self._credit or not batcher.can_close(now_ns, self._least_cap, self._due_ns):
            return None
        worker = self._free.best(now_ns, batcher.pending)
        samples = min(batcher.pending, worker.cap)
        due_ns = worker.due_ns
        why = batcher.close(now_ns, worker.cap, not worker.in_flight, due_ns)
        if why is None:
            self._due_ns = due_ns  # the device that would answer first is not the first to be free
            self._wait_ns = 0.0
            return None
        if why is Close.LATE:  # only then the others may wait for the next batch
            has_waited = bool(self._wait_ns)
            if self._must_wait(worker, now_ns):
                return None
            why = Close.CLIENTS if has_waited else why
            samples = worker.curve.best_part(samples)
        self._wait_ns = 0.0
        self._reserve(worker, samples, now_ns)
        return Assignment(worker.index, samples, batcher.take(samples), why)

    def rests(self, now_ns: int) -> bool:
        """Whether `next_batch` would find nothing to send; then it changes nothing, either."""
        return not self._credit or not self._batcher.can_close(
            now_ns, self._least_cap, self._due_ns
        )

    def next_again(self, now_ns: int, samples: int) -> tuple[int, int] | None:
        """Reserve a slot for `samples` of a worker that was lost; they have waited long enough.

        Returns:
            The worker, and how many of them it takes; None: no slot is free.
        """
        if not self._credit:
            return None
        worker = self._free.best(now_ns, samples)
        samples = min(samples, worker.cap)
        self._reserve(worker, samples, now_ns)
        return worker.index, samples

    def lose(self, worker_index: int) -> bool:
        """Give a worker no further batch, and forget those that it has; False: it was lost before.

        Whoever has these batches asks `next_again` where each of them goes.
        """
        worker = self._by_index[worker_index]
        if not worker.slots:
            return False
        self._credit -= worker.slots - len(worker.in_flight)
        worker.slots = 0
        worker.in_flight.clear()
        self._workers.remove(worker)
        self._least_cap = min((w.cap for w in self._workers), default=0)
        self._moved(worker)
        return True

    def due_ns(self, now_ns: int) -> int | None:
        """When to call `next_batch` again without another event; None: only after an event."""
        free_ns = max(self._due_ns, self._wait_ns)
        due_ns = self._batcher.due_ns(free_ns) if self._credit else None
        return None if due_ns is None else max(due_ns, now_ns + MIN_WAIT_NS)

    def finish(self, worker_index: int, now_ns: int, service_ns: float) -> None:
        """The oldest batch of a worker finished after `service_ns` on its device."""
        worker = self._by_index[worker_index]
        if not worker.slots:  # lost; its batches are counted where they went
            return
        samples, closed_ns = worker.in_flight.popleft()
        worker.curve.observe(samples, service_ns)
        self._free.observed(worker)
        if self._is_late:
            self._returning.leave(now_ns, samples)
            worker.learn_lead(closed_ns, now_ns - int(service_ns))
        worker.finished_ns = now_ns
        self._credit += 1
        predict = worker.curve.predict_ns
        worker.free_ns = now_ns + sum(predict(samples) for samples, _ in worker.in_flight)
        self._moved(worker)

    def _moved(self, worker: WorkerState) -> None:
        self._free.put(worker)
        if self._is_late:
            self._due_ns = self._free.due_ns()

    def _reserve(self, worker: WorkerState, samples: int, now_ns: int) -> None:
        worker.in_flight.append((samples, now_ns))
        worker.free_ns = max(now_ns, worker.free_ns) + worker.curve.predict_ns(samples)
        self._credit -= 1
        self._moved(worker)

    def _must_wait(self, worker: WorkerState, now_ns: int) -> bool:
        """Whether a batch waits for clients that come back."""
        if self._wait_ns and now_ns >= self._wait_ns:
            self._returning.missed()
        self._wait_ns = self._wait_for_clients(worker, now_ns)
        return self._wait_ns > now_ns

    def _wait_for_clients(self, worker: WorkerState, now_ns: int) -> float:
        """Return until when a batch waits for clients that come back; 0.0 if that does not pay.

        In a closed loop, whoever is not in this batch waits for it and makes a batch of its own.
        Two groups take turns, each smaller than it could be. To wait for more pays if the device
        then runs more samples a second, although it stands idle. It never waits beyond that.
        """
        ending = sum(samples for samples, _ in worker.in_flight)
        expected = self._returning.expected(now_ns, ending, worker.free_ns)
        if expected is None:
            return 0.0
        pending = self._batcher.pending
        idle = sum(not other.in_flight for other in self._workers) or 1
        together = min(worker.cap, -(-(pending + expected.samples) // idle))
        if pending >= together:
            return 0.0
        predict, others = worker.curve.predict_ns, min(worker.cap, -(-expected.samples // idle))
        apart_ns = (predict(pending) + predict(others)) / (pending + others)  # for each sample
        gain_ns = WORTH * together * apart_ns - predict(together) - worker.lead_ns
        limit_ns = max(worker.free_ns, self._batcher.oldest_ns) + gain_ns
        pays = expected.usual_ns(together - pending) < limit_ns
        return min(expected.latest_ns, limit_ns) if pays else 0.0
