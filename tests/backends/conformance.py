"""What every backend must do, stated once. A backend fills the fixture and `expected` below."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.base import AsyncEngine, Engine, open_engine
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backends.base import Array, Arrays, EngineSpec

    Open = Callable[[EngineSpec], Engine]

BOUND = 12
# The estimate between a device's clock and ours moves this much with one batch more: an engine
# without graphs on an H200 was 50 us off after two batches.
CLOCK_ERROR_NS = 100_000


class BackendTestCase:
    """The contract of `backends.base.Engine`."""

    @pytest.fixture
    def spec(self) -> EngineSpec:
        """Return what opens the engine: a `max_batch_size` from 2 to BOUND, no open input axis."""
        raise NotImplementedError

    def expected(self, samples: Arrays) -> tuple[Array, ...]:
        """Return what `samples`, all of them, must be answered with: exact, one array an output."""
        raise NotImplementedError

    @staticmethod
    def open(spec: EngineSpec) -> Engine:
        """Open the engine; it can be pickled, for tests in other processes."""
        return open_engine(spec)

    @pytest.fixture
    def samples(self, spec: EngineSpec) -> Arrays:
        return make_samples(spec, seed=1)

    @pytest.fixture
    def engine(self, spec: EngineSpec, samples: Arrays) -> Iterator[Engine]:
        engine = self.open(spec)
        engine.bind(samples)
        yield engine
        engine.close()

    def assert_answers(self, engine: Engine, samples: Arrays, rows: Sequence[int]) -> None:
        answers = engine.infer(rows)
        wanted = self.expected(samples)
        assert len(answers) == len(wanted) == len(engine.outputs)
        for answer, want in zip(answers, wanted, strict=True):
            np.testing.assert_array_equal(answer, want[list(rows)], strict=True)

    # Batches

    def test_a_batch_of_one_is_answered(self, engine: Engine, samples: Arrays) -> None:
        for row in range(BOUND):
            self.assert_answers(engine, samples, [row])

    def test_a_batch_of_the_maximum_is_answered(self, engine: Engine, samples: Arrays) -> None:
        self.assert_answers(engine, samples, list(range(engine.max_batch_size)))
        self.assert_answers(engine, samples, list(range(BOUND - engine.max_batch_size, BOUND)))

    def test_answers_come_in_the_order_of_the_rows(self, engine: Engine, samples: Arrays) -> None:
        ascending = list(range(engine.max_batch_size))

        self.assert_answers(engine, samples, ascending[::-1])
        self.assert_answers(engine, samples, [*ascending[1:], 0])
        self.assert_answers(engine, samples, [BOUND - 1, 0])

    def test_a_row_may_come_twice_in_a_batch(self, engine: Engine, samples: Arrays) -> None:
        self.assert_answers(engine, samples, [3, 3])
        self.assert_answers(engine, samples, [7] * engine.max_batch_size)
        # First and last are as far apart as in a run of rows.
        self.assert_answers(engine, samples, [2, 2, 4][: engine.max_batch_size])

    @pytest.mark.parametrize("kind", [tuple, np.array])
    def test_rows_may_be_any_sequence(self, engine: Engine, kind: type, samples: Arrays) -> None:
        self.assert_answers(engine, samples, kind([4, 5]))
        self.assert_answers(engine, samples, kind([5, 4]))

    def test_a_row_is_answered_with_the_same_bits_in_every_batch(
        self, engine: Engine, samples: Arrays
    ) -> None:
        alone = [[answer.copy() for answer in engine.infer([row])] for row in range(BOUND)]
        choose = random.Random(2)

        for size in [*range(1, engine.max_batch_size + 1)] * 8:
            rows = choose.choices(range(BOUND), k=size)
            for output, answer in enumerate(engine.infer(rows)):
                want = np.concatenate([alone[row][output] for row in rows])
                assert answer.tobytes() == want.tobytes()

    # Refusals

    def test_no_rows_are_refused(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match=r"batch of 0 .*max_batch_size"):
            engine.infer([])

    def test_more_rows_than_the_maximum_are_refused(self, engine: Engine) -> None:
        cap = engine.max_batch_size
        with pytest.raises(EngineError, match=f"batch of {cap + 1} rows.*max_batch_size {cap}"):
            engine.infer([0] * (cap + 1))

    @pytest.mark.parametrize("rows", [[BOUND], [0, BOUND], [BOUND - 1, BOUND], [0, 10**9]])
    def test_a_row_past_the_end_is_refused(self, engine: Engine, rows: list[int]) -> None:
        with pytest.raises(EngineError, match=f"rows .*{rows[-1]} .*{BOUND} samples are bound"):
            engine.infer(rows)

    @pytest.mark.parametrize("rows", [[-1], [-1, 0], [5, -1]])
    def test_a_negative_row_is_refused(self, engine: Engine, rows: list[int]) -> None:
        with pytest.raises(EngineError, match=f"rows -1.*{BOUND} samples are bound"):
            engine.infer(rows)

    def test_a_refused_batch_does_no_harm(self, engine: Engine, samples: Arrays) -> None:
        with pytest.raises(EngineError):
            engine.infer([BOUND])

        self.assert_answers(engine, samples, [0, 1])

    def test_a_batch_before_bind_is_refused(self, spec: EngineSpec) -> None:
        engine = self.open(spec)

        with pytest.raises(EngineError, match=r"bind"):
            engine.infer([0])
        engine.close()

    # Binding

    def test_bind_replaces_the_samples(self, engine: Engine, spec: EngineSpec) -> None:
        others = rows_of(make_samples(spec, seed=2), slice(3))

        engine.bind(others)

        self.assert_answers(engine, others, [2, 0])
        self.assert_answers(engine, others, [1, 2])
        with pytest.raises(EngineError, match="3 samples are bound"):
            engine.infer([3])

    def test_samples_may_be_read_only(self, engine: Engine, samples: Arrays) -> None:
        for array in samples.values():
            array.flags.writeable = False

        engine.bind(samples)

        self.assert_answers(engine, samples, [1, 2])
        self.assert_answers(engine, samples, [2, 1])

    def test_samples_of_another_dtype_are_refused(self, engine: Engine, samples: Arrays) -> None:
        for name, array in samples.items():
            wrong = {**samples, name: array.astype(np.complex64)}
            with pytest.raises(EngineError, match=f'"{name}" takes .*{array.dtype}.*complex64'):
                engine.bind(wrong)

    def test_samples_of_another_shape_are_refused(self, engine: Engine, samples: Arrays) -> None:
        for name, array in samples.items():
            for wrong in (array[..., :-1].copy(), array[0], array[None], array[:0]):
                with pytest.raises(EngineError, match=f'cannot be bound: input "{name}" takes'):
                    engine.bind({**samples, name: wrong})

    def test_samples_without_an_input_are_refused(self, engine: Engine, samples: Arrays) -> None:
        for name in samples:
            left = {other: array for other, array in samples.items() if other != name}
            with pytest.raises(EngineError, match=f'cannot be bound: input "{name}" has none'):
                engine.bind(left)

    def test_samples_of_an_unknown_input_are_refused(self, engine: Engine, samples: Arrays) -> None:
        name, array = next(iter(samples.items()))
        with pytest.raises(EngineError, match=f'no input "{name}s".*Did you mean "{name}"'):
            engine.bind({**samples, f"{name}s": array})

    def test_samples_with_gaps_are_refused(self, engine: Engine, samples: Arrays) -> None:
        with pytest.raises(EngineError, match=r"ascontiguousarray"):
            engine.bind(rows_of(samples, slice(None, None, 2)))

    def test_a_refused_bind_leaves_the_samples(self, engine: Engine, samples: Arrays) -> None:
        with pytest.raises(EngineError):
            engine.bind(rows_of(samples, slice(None, None, 2)))

        self.assert_answers(engine, samples, [BOUND - 1])

    # Arrays that are not bound

    def assert_answers_to(self, engine: Engine, arrays: Arrays) -> None:
        answers = engine.infer_arrays(arrays)
        for answer, want in zip(answers, self.expected(arrays), strict=True):
            np.testing.assert_array_equal(answer, want, strict=True)

    def test_arrays_of_every_size_are_answered(self, engine: Engine, samples: Arrays) -> None:
        for count in range(1, engine.max_batch_size + 1):
            self.assert_answers_to(engine, rows_of(samples, slice(count)))

    def test_arrays_are_answered_with_the_bits_of_bound_samples(
        self, engine: Engine, samples: Arrays
    ) -> None:
        rows = [3, 1]
        bound = [answer.tobytes() for answer in engine.infer(rows)]

        answers = engine.infer_arrays(rows_of(samples, rows))

        assert [answer.tobytes() for answer in answers] == bound

    def test_arrays_need_no_bound_samples(self, spec: EngineSpec, samples: Arrays) -> None:
        engine = self.open(spec)

        self.assert_answers_to(engine, rows_of(samples, slice(2)))
        engine.close()

    def test_arrays_leave_the_bound_samples(
        self, engine: Engine, spec: EngineSpec, samples: Arrays
    ) -> None:
        others = rows_of(make_samples(spec, seed=6), slice(2))
        for rows in ([4, 9], [5, 6]):
            self.assert_answers_to(engine, others)
            self.assert_answers(engine, samples, rows)

    def test_arrays_may_have_gaps_and_be_changed_afterwards(
        self, engine: Engine, samples: Arrays
    ) -> None:
        given = {name: array.copy() for name, array in samples.items()}
        want = [answer[:4:2] for answer in self.expected(samples)]

        answers = engine.infer_arrays(rows_of(given, slice(0, 4, 2)))
        for array in given.values():
            array.fill(0)

        for answer, wanted in zip(answers, want, strict=True):
            np.testing.assert_array_equal(answer, wanted)

    def test_arrays_that_are_no_batch_are_refused(self, engine: Engine, samples: Arrays) -> None:
        cap = engine.max_batch_size
        with pytest.raises(EngineError, match=f"batch of {cap + 1} rows.*max_batch_size {cap}"):
            engine.infer_arrays(rows_of(samples, slice(cap + 1)))
        with pytest.raises(EngineError, match=r"no batch: input .* with N of 1 or more"):
            engine.infer_arrays(rows_of(samples, slice(0)))
        with pytest.raises(EngineError, match=r'no batch: there is no input "other"'):
            engine.infer_arrays({"other": next(iter(samples.values()))})

        self.assert_answers(engine, samples, [0, 1])

    def test_arrays_that_do_not_fit_an_input_are_refused(
        self, engine: Engine, samples: Arrays
    ) -> None:
        batch = rows_of(samples, slice(2))
        for name, array in batch.items():
            for wrong in (array.astype(np.complex64), array[..., None], array[0]):
                with pytest.raises(EngineError, match=f'no batch: input "{name}" takes'):
                    engine.infer_arrays({**batch, name: wrong})

    # Closing

    def test_closing_twice_is_allowed(self, engine: Engine) -> None:
        engine.close()
        engine.close()

        with pytest.raises(EngineError, match="the engine is closed"):
            engine.infer([0])

    def test_use_after_close_is_refused(self, engine: Engine, samples: Arrays) -> None:
        engine.close()

        with pytest.raises(EngineError, match=r"closed"):
            engine.infer([0])
        with pytest.raises(EngineError, match=r"closed"):
            engine.bind(samples)
        with pytest.raises(EngineError, match=r"closed"):
            engine.infer_arrays(rows_of(samples, slice(1)))

    # Description

    def test_the_engine_describes_itself(self, engine: Engine, spec: EngineSpec) -> None:
        assert isinstance(engine, Engine)
        assert engine.inputs == spec.inputs
        assert engine.max_batch_size == spec.max_batch_size
        assert sorted(set(engine.sizes)) == list(engine.sizes)
        assert engine.sizes[-1:] in {(), (spec.max_batch_size,)}
        for output, answer in zip(engine.outputs, engine.infer([0, 1]), strict=True):
            assert answer.shape == (2, *output.shape)
            assert answer.dtype == output.dtype

    def test_the_facts_are_plain_and_complete(self, engine: Engine, spec: EngineSpec) -> None:
        facts = dict(engine.facts)

        assert facts["backend"] == spec.backend
        assert isinstance(facts["simulated"], bool)
        assert all(facts[key] for key in ("version", "provider", "precision"))
        assert json.loads(json.dumps(facts)) == facts

    # Side by side

    def test_two_engines_in_two_threads_do_not_disturb_each_other(self, spec: EngineSpec) -> None:
        bound = [make_samples(spec, seed) for seed in (3, 4)]

        with ThreadPoolExecutor(len(bound)) as threads:
            answers = list(
                threads.map(lambda samples: many_answers(self.open, spec, samples), bound)
            )

        for samples, found in zip(bound, answers, strict=True):
            want = [output[row] for row in some_rows(spec) for output in self.expected(samples)]
            assert found == [answer.tobytes() for answer in want]


class SpawnTestCase(BackendTestCase):
    """The same contract, and that of a process that a worker spawns: once for each backend."""

    @pytest.mark.slow
    def test_a_spawned_process_opens_the_same_engine(
        self, engine: Engine, spec: EngineSpec, samples: Arrays
    ) -> None:
        assert pickle.loads(pickle.dumps(spec)) == spec
        spawn = multiprocessing.get_context("spawn")

        with ProcessPoolExecutor(1, mp_context=spawn) as processes:
            facts, answers = processes.submit(facts_and_answers, self.open, spec, samples).result()

        assert facts == engine.facts
        assert answers == many_answers(self.open, spec, samples)


class SlotsTestCase(BackendTestCase):
    """The same contract, and that of an engine with two slots or more."""

    def test_arrays_take_their_turn_among_the_batches_of_slots(
        self, engine: Engine, samples: Arrays
    ) -> None:
        assert isinstance(engine, AsyncEngine)
        rows = [2, 7]
        for first in (0, 1):
            engine.launch(first, rows)
            engine.launch_arrays(1 - first, rows_of(samples, slice(5, 7)))
            with pytest.raises(EngineError, match="slot 0 is not free"):
                engine.infer_arrays(rows_of(samples, slice(1)))

            bound, (_, bound_ns) = engine.wait(first)
            given, (given_ns, _) = engine.wait(1 - first)

            assert bound_ns <= given_ns + CLOCK_ERROR_NS
            for found, other, want in zip(bound, given, self.expected(samples), strict=True):
                np.testing.assert_array_equal(found, want[rows], strict=True)
                np.testing.assert_array_equal(other, want[5:7], strict=True)


class SeveralInputsTestCase(BackendTestCase):
    """The same contract for a model whose inputs are tests.backends.models.THREE, or as many."""

    def test_inputs_with_other_numbers_of_rows_are_refused(
        self, engine: Engine, samples: Arrays
    ) -> None:
        first, second, _ = samples
        wrong = {**samples, second: samples[second][:4].copy()}

        for call in (engine.bind, engine.infer_arrays):
            given = wrong if call == engine.bind else rows_of(wrong, slice(5))
            said = f'input "{second}" has 4 rows, but "{first}" has '
            with pytest.raises(EngineError, match=said):
                call(given)

    def test_the_order_of_the_arrays_does_not_matter(self, engine: Engine, samples: Arrays) -> None:
        turned = {name: samples[name] for name in reversed(list(samples))}

        engine.bind(turned)

        self.assert_answers(engine, samples, [3, 1])
        self.assert_answers_to(engine, rows_of(turned, slice(2)))


def make_samples(spec: EngineSpec, seed: int) -> dict[str, Array]:
    """Return BOUND samples of small whole numbers: their sums are exact in every order."""
    random = np.random.default_rng(seed)
    return {
        tensor.name: random.integers(-8, 9, (BOUND, *tensor.sizes)).astype(tensor.dtype)
        for tensor in spec.inputs
    }


def rows_of(samples: Arrays, rows: slice | list[int]) -> dict[str, Array]:
    """Return some rows of each input."""
    return {name: array[rows] for name, array in samples.items()}


def some_rows(spec: EngineSpec) -> list[list[int]]:
    """Return the rows of forty batches of all sizes, the same in every call."""
    choose = random.Random(5)
    sizes = [1 + batch % spec.max_batch_size for batch in range(40)]
    return [choose.choices(range(BOUND), k=size) for size in sizes]


def many_answers(open_: Open, spec: EngineSpec, samples: Arrays) -> list[bytes]:
    """Return the bytes of every answer of a new engine to `some_rows`."""
    engine = open_(spec)
    engine.bind(samples)
    found = [answer.tobytes() for rows in some_rows(spec) for answer in engine.infer(rows)]
    engine.close()
    return found


def facts_and_answers(
    open_: Open, spec: EngineSpec, samples: Arrays
) -> tuple[dict[str, str | int | float | bool], list[bytes]]:
    """Return what another process finds out about `spec`; a function here, so that it is found."""
    engine = open_(spec)
    facts = dict(engine.facts)
    engine.close()
    return facts, many_answers(open_, spec, samples)
