"""Inline and thread workers, and the executor below them, on the null backend and real models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from backends.base import EngineSpec, OptionValue, TensorSpec
from data.tasks.base import Postprocess
from data.tasks.classification import ArgMax
from data.tasks.other import Raw
from sut.base.errors import ConfigError, EngineError, WorkerError
from sut.serve.batch import Batch
from sut.serve.pool import capacity
from sut.serve.responses import Responses
from sut.serve.samples import SampleReader, SampleSource
from sut.serve.workers.executor import (
    WINDOW_BATCHES,
    Executor,
    ExecutorSpec,
    Timing,
    open_executor,
)
from sut.serve.workers.thread import ThreadWorker
from tests.backends.conformance import BOUND, make_samples
from tests.backends.models import THREE, save, three, three_answers
from tests.sut.helpers import own

LIMIT_S = 10.0
CAP = 4
COUNT = 6
INPUT = TensorSpec("x", (3, own.SIZE, own.SIZE), "float32")


def null(**options: OptionValue) -> ExecutorSpec:
    """Return an executor on the null backend."""
    return ExecutorSpec(EngineSpec("null", None, (INPUT,), None, CAP, options=options), Raw())


def real(model: Path, postprocess: Postprocess) -> ExecutorSpec:
    """Return an executor on a model, for batches of all samples."""
    engine = EngineSpec("onnxruntime", str(model), (INPUT,), "logits", COUNT)
    return ExecutorSpec(engine, postprocess)


def source(path: Path | str = "", indices: tuple[int, ...] = tuple(range(COUNT))) -> SampleSource:
    """Return COUNT samples: zeros, or those of a file."""
    return SampleSource((str(path),) if path else (), COUNT, (INPUT,), indices)


def batch(number: int, indices: list[int]) -> Batch:
    """Return a batch with ids that differ from the indices."""
    return Batch(number, 0, [1000 + index for index in indices], indices, 0)


class Ledger:
    """Stands where the dispatcher is."""

    def __init__(self) -> None:
        self.done: list[tuple[int, Responses | None]] = []
        self.failures: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def finished(self, work: Batch, responses: Responses | None) -> None:
        with self._changed:
            self.done.append((work.number, responses))
            self._changed.notify_all()

    def fail(self, message: str, traceback: str) -> None:
        self.failures.append((message, traceback))

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) >= count, LIMIT_S)


@pytest.fixture
def ledger() -> Ledger:
    """An empty ledger."""
    return Ledger()


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A file of COUNT samples of noise."""
    shape = (COUNT, *(size or 1 for size in INPUT.shape))
    path = tmp_path / "samples.npy"
    np.save(path, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    return path


def opens(spec: ExecutorSpec) -> Callable[[], tuple[Executor, str]]:
    return partial(open_executor, spec)


@pytest.fixture
def worker(ledger: Ledger) -> Iterator[ThreadWorker]:
    """A thread worker on the null backend, open and loaded; it fails at its third batch."""
    made = ThreadWorker(
        "device cpu", opens(null(fail_at_batch=3)), SampleReader(), ledger.finished, ledger.fail
    )
    made.open().result(LIMIT_S)
    made.load(source()).result(LIMIT_S)
    yield made
    made.close()


# a worker on a thread


def test_an_open_worker_tells_the_facts_of_its_engine(ledger: Ledger) -> None:
    worker = ThreadWorker("device cpu", opens(null()), SampleReader(), ledger.finished, ledger.fail)

    facts = worker.open().result(LIMIT_S)
    worker.close()

    assert (facts["backend"], facts["simulated"]) == ("null", True)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (null(no_such_option=1), ConfigError),
        (real(Path("gone.onnx"), ArgMax()), EngineError),
    ],
    ids=["option", "model"],
)
def test_an_engine_that_does_not_open_is_reported_to_every_call_and_the_worker_ends(
    ledger: Ledger, spec: ExecutorSpec, error: type[Exception]
) -> None:
    worker = ThreadWorker("device cpu", opens(spec), SampleReader(), ledger.finished, ledger.fail)

    opened = worker.open()
    loaded = worker.load(source())
    warmed = worker.warm_up([0], [1], 1.0)

    for call in (opened, loaded, warmed):
        assert isinstance(call.exception(LIMIT_S), error)
    worker.close()
    worker.close()
    assert ledger.failures == []


def test_an_exception_in_a_call_leaves_the_worker_usable(worker: ThreadWorker) -> None:
    failed = worker.load(source("gone.npy")).exception(LIMIT_S)

    assert isinstance(failed, WorkerError)
    assert str(failed).startswith("device cpu: load failed: FileNotFoundError")
    assert worker.warm_up([0], [1], 0.0).exception(LIMIT_S) is not None  # its third batch
    assert worker.warm_up([0], [1], 0.0).result(LIMIT_S).keys() == {1}


def test_batches_are_answered_in_order(worker: ThreadWorker, ledger: Ledger) -> None:
    for number in range(2):
        worker.submit(batch(number, [number, 5, 0]))
    ledger.wait(2)

    assert [number for number, _ in ledger.done] == [0, 1]
    answers = [responses for _, responses in ledger.done]
    assert [a.record_bytes for a in answers if a] == [4, 4]
    assert ledger.failures == []


def test_a_batch_that_raises_is_reported_before_it_is_answered_empty(
    worker: ThreadWorker, ledger: Ledger
) -> None:
    for number in range(4):
        worker.submit(batch(number, [0, 1]))
    ledger.wait(4)

    assert [(number, responses is None) for number, responses in ledger.done] == [
        (0, False), (1, False), (2, True), (3, False),
    ]  # fmt: skip
    ((message, traceback),) = ledger.failures
    assert message.startswith("device cpu: batch 2 of 2 samples ")
    assert "RuntimeError: null backend" in message
    assert traceback.startswith("Traceback")


def test_a_worker_that_is_closed_has_answered_what_it_was_given(ledger: Ledger) -> None:
    worker = ThreadWorker("device cpu", opens(null()), SampleReader(), ledger.finished, ledger.fail)
    worker.open()
    worker.load(source()).result(LIMIT_S)

    for number in range(20):
        worker.submit(batch(number, [0]))
    worker.close()
    worker.close()

    assert [number for number, _ in ledger.done] == list(range(20))


def test_threads_share_one_copy_of_the_samples(samples: Path) -> None:
    reader, wanted = SampleReader(), source(samples)

    first, second = reader.read(wanted), reader.read(wanted)
    other = reader.read(source(samples, (3, 1)))

    assert first is second
    assert list(other.indices) == [3, 1]


# the executor


@pytest.mark.parametrize("loaded", [tuple(range(COUNT)), (4, 2, 0, 5), (3, 1, 3)])
def test_answers_are_those_of_the_samples_asked_for(
    own_yaml: Path, samples: Path, loaded: tuple[int, ...]
) -> None:
    executor = Executor(real(own_yaml.with_name(own.MODEL), Raw()))
    executor.load(source(samples).read())
    alone = {k: executor.run([k]).block.tobytes() for k in range(COUNT)}

    executor.load(source(samples, loaded).read())
    wanted = list(reversed(loaded))
    responses = executor.run(wanted)
    executor.close()

    assert responses.record_bytes == own.CLASSES * 4
    assert responses.block.tobytes() == b"".join(alone[k] for k in wanted)


def test_the_responses_of_several_inputs_are_those_of_numpy(tmp_path: Path) -> None:
    engine = EngineSpec("onnxruntime", save(three(), tmp_path), THREE, "logits", CAP)
    samples = make_samples(engine, seed=4)
    paths = tuple(str(tmp_path / f"{name}.npy") for name in samples)
    for path, array in zip(paths, samples.values(), strict=True):
        np.save(path, array)
    executor = Executor(ExecutorSpec(engine, Raw()))
    executor.load(SampleSource(paths, BOUND, THREE, (7, 2, 9, 4)).read())

    responses = executor.run([9, 7, 2])
    executor.close()

    logits = three_answers(**samples)[0]
    assert responses.block.tobytes() == logits[[9, 7, 2]].tobytes()


def test_warm_up_measures_every_size_on_the_samples_there_are() -> None:
    executor = Executor(null(delay_us=300, delay_us_per_sample=100))
    executor.load(source("", (0,)).read())

    measured = executor.warm_up([0], [1, CAP], 1.0)

    assert list(measured) == [1, CAP]
    assert measured[1].median_ns >= measured[1].fastest_ns >= 400e3
    assert measured[CAP].median_ns >= measured[CAP].fastest_ns >= 700e3


def test_warm_up_without_time_takes_one_window() -> None:
    executor = Executor(null(fail_at_batch=WINDOW_BATCHES + 1))
    executor.load(source().read())

    assert executor.warm_up([0], [2], 0.0).keys() == {2}


def test_workers_add_up_to_the_capacity() -> None:
    one = {1: Timing(2e6, 1e6), 4: Timing(4e6, 2e6)}
    other = {1: Timing(3e6, 2e6), 4: Timing(8e6, 4e6)}

    both = capacity([one, other], 8)

    assert both.samples_per_s == pytest.approx(4 / 4e-3 + 4 / 8e-3)
    assert both.peak_samples_per_s == pytest.approx(4 / 2e-3 + 4 / 4e-3)
    assert both.latency_ns == 2e6  # two batches of four, side by side
