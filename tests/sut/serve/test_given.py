"""Queries with their own tensors: whose samples a batch has, and who gets which outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backends.base import EngineSpec, OptionValue, TensorSpec
from data.tasks.other import Raw
from sut.serve.given import ANSWERED, GivenQueries, GivenQuery, Run
from sut.serve.workers.executor import ExecutorSpec
from sut.serve.workers.given import GivenExecutor
from tests.backends.models import SHAPE, linear, linear_answers, save

CAP = 4
X = TensorSpec("x", SHAPE, "float32")


class Delivered:
    """What came back: queries in the order of their last answer, and the batches."""

    def __init__(self) -> None:
        self.done: list[GivenQuery] = []
        self.runs: list[Run | None] = []
        self.queries = GivenQueries((X,), self.deliver)

    def deliver(self, run: Run | None, done: list[GivenQuery]) -> None:
        self.runs.append(run)
        self.done += done

    def add(self, samples: int) -> tuple[GivenQuery, list[int]]:
        noise = np.random.default_rng(samples).integers(-4, 5, (samples, *SHAPE))
        query = GivenQuery((noise.astype(np.float32),), samples, 0)
        return query, self.queries.add(query)[1]

    def executor(self, backend: str, model: str | None, **options: OptionValue) -> GivenExecutor:
        engine = EngineSpec(backend, model, (X,), None, CAP, options=options)
        return GivenExecutor(self.queries, ExecutorSpec(engine, Raw()))


def test_a_batch_names_the_samples_of_several_queries() -> None:
    delivered = Delivered()
    (one, first), (three, second) = delivered.add(1), delivered.add(3)

    parts = delivered.queries.parts([*first, *second[:2]])

    assert [(part.query, part.first, part.samples) for part in parts] == [
        (one, 0, 1),
        (three, 0, 2),
    ]
    assert delivered.queries.parts(second[2:])[0].first == 2


def test_ids_and_indices_are_lists_of_their_own() -> None:
    delivered = Delivered()

    ids, indices = delivered.queries.add(delivered.add(2)[0])

    assert ids == indices
    assert ids is not indices


def test_a_query_over_two_batches_is_done_with_the_second_and_has_its_outputs_in_order(
    tmp_path: Path,
) -> None:
    delivered = Delivered()
    executor = delivered.executor("onnxruntime", save(linear(), tmp_path))
    (one, first), (five, second) = delivered.add(1), delivered.add(5)
    batches = [[*first, *second[:3]], second[3:]]

    for batch in reversed(batches):
        assert executor.run(batch) is ANSWERED
        delivered.queries.complete(batch, ANSWERED)
    executor.close()

    assert delivered.done == [one, five]
    for query in (one, five):
        logits, best = query.outputs()
        np.testing.assert_array_equal(logits, linear_answers(query.arrays[0])[0])
        np.testing.assert_array_equal(best, linear_answers(query.arrays[0])[1])
    runs = [run for run in delivered.runs if run is not None]
    assert [run.samples for run in runs] == [2, 4]
    assert five.started_ns == runs[0].started_ns
    for run in runs:
        assert run.started_ns <= run.ready_ns <= run.computed_ns <= run.ended_ns


def test_a_failed_batch_fails_every_query_in_it_and_only_those() -> None:
    delivered = Delivered()
    (one, first), (two, second), (three, third) = (delivered.add(k) for k in (1, 2, 3))

    delivered.queries.complete([*first, *second[:1]], None)
    delivered.queries.complete(second[1:], None)
    delivered.queries.complete(third, ANSWERED)

    assert [query.failed for query in (one, two, three)] == [True, True, False]
    assert delivered.done == [one, two, three]
    assert delivered.runs == [None, None, None]


def test_an_asynchronous_engine_has_several_such_batches_in_flight() -> None:
    delivered = Delivered()
    executor = delivered.executor("simulated", None, base_ms=0.1)
    (one, first), (two, second) = delivered.add(1), delivered.add(2)

    executor.launch(0, first)
    executor.launch(1, second)
    for slot, indices in enumerate((first, second)):
        _, started_ns, finished_ns = executor.wait(slot, indices)
        delivered.queries.complete(indices, ANSWERED)
        assert started_ns < finished_ns
    executor.close()

    assert delivered.done == [one, two]
    assert [query.outputs()[0].shape for query in (one, two)] == [(1, 1), (2, 1)]
    first_run, second_run = delivered.runs
    assert first_run is not None
    assert second_run is not None
    assert first_run.computed_ns < second_run.computed_ns


def test_warm_up_keeps_only_its_last_outputs() -> None:
    delivered = Delivered()
    executor = delivered.executor("null", None)
    indices = delivered.queries.add_for_warm_up(CAP)

    measured = executor.warm_up(indices, [1, CAP], 0.01)
    (part,) = delivered.queries.parts(indices)
    executor.close()

    assert set(measured) == {1, CAP}
    assert len(part.query.pieces) == 1
    assert part.query.arrays[0].any()


def test_rows_that_a_lost_worker_answered_too_are_in_the_output_once() -> None:
    query = GivenQuery((), 4, 0)
    rows = np.arange(4, dtype=np.float32).reshape(-1, 1)
    query.pieces.extend([(2, (rows[2:],)), (0, (rows[:3],)), (0, (rows[:2],))])

    (output,) = query.outputs()

    np.testing.assert_array_equal(output, rows)


def test_a_part_of_a_lost_batch_is_counted_by_its_own_size() -> None:
    delivered = Delivered()
    query, indices = delivered.add(4)
    delivered.queries.ran(indices, Run([], 4, 0, 0, 0, 0))  # the lost worker, too late

    delivered.queries.complete(indices[:2], ANSWERED)
    assert delivered.done == []
    delivered.queries.complete(indices[2:], ANSWERED)

    assert delivered.done == [query]
