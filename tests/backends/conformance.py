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

from backends.base import Engine, open_engine
from sut.base.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backends.base import Array, EngineSpec

    Open = Callable[[EngineSpec], Engine]

BOUND = 12


class BackendTestCase:
    """The contract of `backends.base.Engine`."""

    @pytest.fixture
    def spec(self) -> EngineSpec:
        """Return what opens the engine: a `max_batch_size` from 2 to BOUND, no open input axis."""
        raise NotImplementedError

    def expected(self, samples: Array) -> tuple[Array, ...]:
        """Return what `samples`, all of them, must be answered with: exact, one array an output."""
        raise NotImplementedError

    @staticmethod
    def open(spec: EngineSpec) -> Engine:
        """Open the engine; it can be pickled, for tests in other processes."""
        return open_engine(spec)

    @pytest.fixture
    def samples(self, spec: EngineSpec) -> Array:
        return make_samples(spec, seed=1)

    @pytest.fixture
    def engine(self, spec: EngineSpec, samples: Array) -> Iterator[Engine]:
        engine = self.open(spec)
        engine.bind(samples)
        yield engine
        engine.close()

    def assert_answers(self, engine: Engine, samples: Array, rows: Sequence[int]) -> None:
        answers = engine.infer(rows)
        wanted = self.expected(samples)
        assert len(answers) == len(wanted) == len(engine.outputs)
        for answer, want in zip(answers, wanted, strict=True):
            np.testing.assert_array_equal(answer, want[list(rows)], strict=True)

    # Batches

    def test_a_batch_of_one_is_answered(self, engine: Engine, samples: Array) -> None:
        for row in range(BOUND):
            self.assert_answers(engine, samples, [row])

    def test_a_batch_of_the_maximum_is_answered(self, engine: Engine, samples: Array) -> None:
        self.assert_answers(engine, samples, list(range(engine.max_batch_size)))
        self.assert_answers(engine, samples, list(range(BOUND - engine.max_batch_size, BOUND)))

    def test_answers_come_in_the_order_of_the_rows(self, engine: Engine, samples: Array) -> None:
        ascending = list(range(engine.max_batch_size))

        self.assert_answers(engine, samples, ascending[::-1])
        self.assert_answers(engine, samples, [*ascending[1:], 0])
        self.assert_answers(engine, samples, [BOUND - 1, 0])

    def test_a_row_may_come_twice_in_a_batch(self, engine: Engine, samples: Array) -> None:
        self.assert_answers(engine, samples, [3, 3])
        self.assert_answers(engine, samples, [7] * engine.max_batch_size)
        # First and last are as far apart as in a run of rows.
        self.assert_answers(engine, samples, [2, 2, 4][: engine.max_batch_size])

    @pytest.mark.parametrize("kind", [tuple, np.array])
    def test_rows_may_be_any_sequence(self, engine: Engine, kind: type, samples: Array) -> None:
        self.assert_answers(engine, samples, kind([4, 5]))
        self.assert_answers(engine, samples, kind([5, 4]))

    def test_a_row_is_answered_with_the_same_bits_in_every_batch(
        self, engine: Engine, samples: Array
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

    def test_a_refused_batch_does_no_harm(self, engine: Engine, samples: Array) -> None:
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
        others = make_samples(spec, seed=2)[:3]

        engine.bind(others)

        self.assert_answers(engine, others, [2, 0])
        self.assert_answers(engine, others, [1, 2])
        with pytest.raises(EngineError, match="3 samples are bound"):
            engine.infer([3])

    def test_samples_may_be_read_only(self, engine: Engine, samples: Array) -> None:
        samples.flags.writeable = False

        engine.bind(samples)

        self.assert_answers(engine, samples, [1, 2])
        self.assert_answers(engine, samples, [2, 1])

    def test_samples_of_another_dtype_are_refused(self, engine: Engine, samples: Array) -> None:
        wrong = samples.astype(np.complex64)
        with pytest.raises(EngineError, match=f"complex64.*{samples.dtype}"):
            engine.bind(wrong)

    def test_samples_of_another_shape_are_refused(self, engine: Engine, samples: Array) -> None:
        for wrong in (samples[..., :-1].copy(), samples[0], samples[None], samples[:0]):
            with pytest.raises(EngineError, match=r"cannot be bound"):
                engine.bind(wrong)

    def test_samples_with_gaps_are_refused(self, engine: Engine, samples: Array) -> None:
        with pytest.raises(EngineError, match=r"ascontiguousarray"):
            engine.bind(samples[::2])

    def test_a_refused_bind_leaves_the_samples(self, engine: Engine, samples: Array) -> None:
        with pytest.raises(EngineError):
            engine.bind(samples[::2])

        self.assert_answers(engine, samples, [BOUND - 1])

    # Closing

    def test_closing_twice_is_allowed(self, engine: Engine) -> None:
        engine.close()
        engine.close()

        with pytest.raises(EngineError, match="the engine is closed"):
            engine.infer([0])

    def test_use_after_close_is_refused(self, engine: Engine, samples: Array) -> None:
        engine.close()

        with pytest.raises(EngineError, match=r"closed"):
            engine.infer([0])
        with pytest.raises(EngineError, match=r"closed"):
            engine.bind(samples)

    # Description

    def test_the_engine_describes_itself(self, engine: Engine, spec: EngineSpec) -> None:
        assert isinstance(engine, Engine)
        assert engine.inputs == (spec.input,)
        assert engine.max_batch_size == spec.max_batch_size
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

    @pytest.mark.slow
    def test_a_spawned_process_opens_the_same_engine(
        self, engine: Engine, spec: EngineSpec, samples: Array
    ) -> None:
        assert pickle.loads(pickle.dumps(spec)) == spec
        spawn = multiprocessing.get_context("spawn")

        with ProcessPoolExecutor(1, mp_context=spawn) as processes:
            facts, answers = processes.submit(facts_and_answers, self.open, spec, samples).result()

        assert facts == engine.facts
        assert answers == many_answers(self.open, spec, samples)


def make_samples(spec: EngineSpec, seed: int) -> Array:
    """Return BOUND samples of small whole numbers: their sums are exact in every order."""
    values = np.random.default_rng(seed).integers(-8, 9, (BOUND, *map(int_of, spec.input.shape)))
    return values.astype(spec.input.dtype)


def int_of(size: int | None) -> int:
    """Return a size that the spec of a conformance test must state."""
    assert size is not None
    return size


def some_rows(spec: EngineSpec) -> list[list[int]]:
    """Return the rows of forty batches of all sizes, the same in every call."""
    choose = random.Random(5)
    sizes = [1 + batch % spec.max_batch_size for batch in range(40)]
    return [choose.choices(range(BOUND), k=size) for size in sizes]


def many_answers(open_: Open, spec: EngineSpec, samples: Array) -> list[bytes]:
    """Return the bytes of every answer of a new engine to `some_rows`."""
    engine = open_(spec)
    engine.bind(samples)
    found = [answer.tobytes() for rows in some_rows(spec) for answer in engine.infer(rows)]
    engine.close()
    return found


def facts_and_answers(
    open_: Open, spec: EngineSpec, samples: Array
) -> tuple[dict[str, str | int | float | bool], list[bytes]]:
    """Return what another process finds out about `spec`; a function here, so that it is found."""
    engine = open_(spec)
    facts = dict(engine.facts)
    engine.close()
    return facts, many_answers(open_, spec, samples)
