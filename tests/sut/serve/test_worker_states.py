"""The workers with a free slot: what is looked up in order is what a look at all of them finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sut.serve.worker_states import EQUAL_SHARE, FreeWorkers, WorkerState

CAP = 8
# Of one worker: batches in flight, when it is free, its lead, and S(1) and S(CAP), in us.
STATES = st.tuples(
    st.integers(0, 2), st.integers(0, 3000), st.integers(0, 800), st.integers(1, 400),
    st.integers(400, 900),
)  # fmt: skip


def workers_of(states: list[tuple[int, int, int, int, int]]) -> list[WorkerState]:
    workers = []
    for index, (in_flight, free_us, lead_us, *_, alone_us, full_us) in enumerate(states):
        worker = WorkerState(index, 2, CAP)
        worker.in_flight.extend([(1, 0)] * in_flight)
        worker.free_ns, worker.lead_ns = free_us * 1e3, lead_us * 1e3
        worker.curve.prime({1: alone_us * 1e3, CAP: full_us * 1e3})
        workers.append(worker)
    return workers


@settings(max_examples=60, deadline=None)
@given(
    st.lists(STATES, min_size=1, max_size=20),
    st.lists(STATES, min_size=20, max_size=20),
    st.integers(0, 3000),
    st.integers(1, 12),
)
def test_the_best_and_the_first_due_are_those_of_all_free_workers(
    before: list[tuple[int, int, int, int, int]],
    after: list[tuple[int, int, int, int, int]],
    now_us: int,
    pending: int,
) -> None:
    workers = workers_of(before)
    free = FreeWorkers(workers)
    if any(len(worker.in_flight) < worker.slots for worker in workers):
        free.best(0, pending)
    for worker, changed in zip(workers, workers_of(after[: len(workers)]), strict=True):
        worker.in_flight, worker.curve = changed.in_flight, changed.curve
        worker.free_ns, worker.lead_ns = changed.free_ns, changed.lead_ns
        free.put(worker)
        free.observed(worker)

    now_ns = now_us * 1_000
    able = [worker for worker in workers if len(worker.in_flight) < worker.slots]
    assert free.due_ns() == min((worker.due_ns for worker in able), default=0.0)
    if able:
        ends = [max(w.free_ns, now_ns) + w.curve.predict_ns(min(pending, w.cap)) for w in able]
        limit_ns = min(ends) + EQUAL_SHARE * (min(ends) - now_ns)
        equals = [w for w, end_ns in zip(able, ends, strict=True) if end_ns <= limit_ns]
        assert free.best(now_ns, pending) is min(equals, key=lambda w: w.free_ns)


def test_a_lost_worker_is_looked_at_no_more() -> None:
    one, other = workers = workers_of([(0, 0, 0, 1, 400), (1, 9, 0, 1, 400)])
    free = FreeWorkers(workers)

    one.slots = 0
    free.put(one)

    assert free.best(0, 1) is other
    assert free.due_ns() == other.due_ns
