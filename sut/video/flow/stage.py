"""A stage of a pipeline: a model behind the dispatcher of every other load, fed with tensors.

The mux across streams is the dispatcher's own policy and batcher: samples are batched in the order
in which they were asked. Knows no stream, no frame and no codec.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from sut.base.errors import SutError
from sut.config.settings import Limits
from sut.serve.dispatcher import Failure, Outlets
from sut.serve.given import GivenQueries, GivenQuery
from sut.serve.pool import BatchSystem
from sut.serve.workers.apart import ApartEngine
from sut.serve.workers.given import GivenExecutor
from sut.video.flow.answers import Answers
from sut.video.flow.prepare import Preparer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backends.base import Array, OptionValue, TensorSpec
    from data.benchmark import Benchmark
    from scenarios.base import Capacity
    from sut.config.settings import HarnessSettings
    from sut.config.workload import Workload
    from sut.serve.dispatcher import Dispatcher
    from sut.serve.given import Run
    from sut.video.pipeline_file import StageSpec

_HANG_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class StagePlan:
    """All that opens a stage.

    Attributes:
        spec: of the pipeline's file.
        benchmark: its model's.
        workload: the model; it needs no samples.
        harness: how its batches are made; workers are threads.
        apart: each engine has a process of its own.
        limits: when an engine that does not go on is given up.
    """

    spec: StageSpec
    benchmark: Benchmark
    workload: Workload
    harness: HarnessSettings
    apart: bool = False
    limits: Limits = field(default_factory=Limits)


class Answer(Protocol):
    """What a stage answered for the samples of one frame.

    Attributes:
        failed: its engine did; there are no outputs.
        started_ns: when the first batch with samples of it was taken.
        ended_ns: when the last one was answered.
    """

    failed: bool
    started_ns: int
    ended_ns: int

    def outputs(self) -> tuple[Array, ...]:
        """Return one array an output, [samples, ...]."""


class StreamsStage(Protocol):
    """A stage as streams know it, of this process or of the one that started it.

    Attributes:
        name: of it.
        spec: of the pipeline's file.
        preparer: makes its input.
        answers: reads what it answers.
    """

    name: str
    spec: StageSpec
    preparer: Preparer
    answers: Answers

    def room(self, frame: int, samples: int) -> Array | None:
        """Return where so many samples of the frame that is taken as this one are made.

        None: in new memory.
        """

    def ask(self, samples: Array, answered: Callable[[Answer], None], frame: int) -> None:
        """See Stage.ask; of the frame that is taken as this one, which has one stage at a time."""


class Asked(GivenQuery):
    """Samples of one frame, and who hears that they are answered. See Answer.

    Attributes:
        answered: called once on a worker's thread; it returns at once and raises nothing.
        ended_ns: when the last batch with samples of it was answered.
    """

    __slots__ = ("answered", "ended_ns")

    def __init__(self, samples: Array, answered: Callable[[Asked], None]) -> None:
        super().__init__((samples,), len(samples), time.monotonic_ns())
        self.answered = answered
        self.ended_ns = 0


@dataclass(slots=True)
class Work:
    """What a stage did.

    Attributes:
        batches: that were answered.
        samples: in them.
        busy_ns: time that its engines computed, added up.
        queue_ns: time that frames waited for their batch to start, added up.
        queries: frames or sets of crops that were answered.
        longest_queue_ns: the longest wait.
    """

    batches: int = 0
    samples: int = 0
    busy_ns: int = 0
    queue_ns: int = 0
    queries: int = 0
    longest_queue_ns: int = 0


class Stage:
    """One model and its engines.

    Args:
        plan: what to open.
        on_failure: called on any thread for the first failure of an engine, which it names.
    """

    def __init__(self, plan: StagePlan, on_failure: Callable[[Failure], None]) -> None:
        self.plan = plan
        self.spec = plan.spec
        self.name = plan.spec.name
        self.preparer = Preparer(plan.benchmark)
        self._on_failure = on_failure
        self._queries = GivenQueries(plan.workload.inputs, self._deliver)
        self._lock = threading.Lock()
        self._work_lock = threading.Lock()
        self._work = Work()
        request = replace(plan, harness=replace(plan.harness, workers="thread"))
        outlets = Outlets(self._queries.complete, _NoTrace(), self._fail)
        opens = partial(GivenExecutor, self._queries)
        if plan.apart:
            opens = partial(opens, open_=ApartEngine)
        self._system = BatchSystem(request, outlets, plan.limits, open_=opens)
        self.facts: list[dict[str, OptionValue]] = []
        """Of each engine, once it is open."""

    def open(self, warm_up_s: float) -> None:
        """Open the engines and measure S(b).

        Args:
            warm_up_s: seconds at most for each batch size.

        Raises:
            SutError: an engine does not open; the message names the stage.
        """
        try:
            self.facts = self._system.open()
            most = self.plan.harness.max_batch_size
            indices = self._queries.add_for_warm_up(most)
            self.capacity: Capacity = self._system.warm_up(indices, 1, warm_up_s)
        except SutError as error:
            raise type(error)(f"stage {self.name}: {error}") from error
        self._queries.forget_warm_up()
        pretends = bool(self.facts[0]["simulated"]) or self.plan.harness.backend == "null"
        self.answers = Answers(self.plan.spec, self.plan.benchmark, pretends=pretends)
        self.answers.load()
        self._front: Dispatcher = self._system.front()
        batch_s = self.capacity.max_batch_size / self.capacity.samples_per_s
        longest_s = batch_s * self.workers * self.plan.harness.slots
        self.hang_ns = max(self.plan.limits.hang_s, _HANG_FACTOR * longest_s) * 1e9
        """A batch that takes longer hangs."""

    @property
    def workers(self) -> int:
        """Engines."""
        return sum(1 for _ in self.plan.harness.worker_devices())

    @property
    def max_batch_size(self) -> int:
        """Samples of a full batch, known once it is open."""
        return self.capacity.max_batch_size

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Of the model, known once it is open."""
        return self._queries.outputs

    @property
    def simulated(self) -> bool:
        """Whether its engines only take time."""
        return bool(self.facts[0]["simulated"])

    def room(self, frame: int, samples: int) -> Array | None:
        """See StreamsStage."""
        return None

    def ask(self, samples: Array, answered: Callable[[Asked], None], frame: int = 0) -> None:
        """Queue samples of one frame; `answered` hears of all of them together. Any thread.

        Args:
            samples: [n, *input shape]; read until they are answered.
            answered: see Asked. A query whose engine failed is answered too, with `failed` set.
            frame: see StreamsStage; it does not matter here.
        """
        query = Asked(samples, answered)
        with self._lock:  # the order of frames is the order of batches
            ids, indices = self._queries.add(query)
            self._front.issue_query(ids, indices)

    def look(self) -> None:
        """Give up an engine that takes much longer than in warm-up; call it now and then."""
        since_ns = self._front.waiting_since_ns
        if since_ns is None or time.monotonic_ns() - since_ns <= self.hang_ns:
            return
        seconds = self.hang_ns / 1e9
        self._front.fail(f"a batch has no answer after {seconds:.1f} s: the engine hangs", "")
        for worker in range(self.workers):
            self._front.give_up(worker)

    def taken_work(self) -> Work:
        """Return what was done since the last call."""
        with self._work_lock:
            work, self._work = self._work, Work()
        return work

    def close(self) -> None:
        """Close the engines; closing what was not opened is allowed."""
        self._system.close()

    def _deliver(self, run: Run | None, done: list[GivenQuery]) -> None:
        asked = cast("list[Asked]", done)
        if run is not None:
            self._count(run, asked)
        for query in asked:
            if run is not None:
                query.ended_ns = run.ended_ns
            query.answered(query)

    def _count(self, run: Run, done: list[Asked]) -> None:
        with self._work_lock:
            work = self._work
            work.batches += 1
            work.samples += run.samples
            work.busy_ns += run.computed_ns - run.ready_ns
            for query in done:
                waited_ns = query.started_ns - query.arrived_ns
                work.queries += 1
                work.queue_ns += waited_ns
                work.longest_queue_ns = max(work.longest_queue_ns, waited_ns)

    def _fail(self, failure: Failure) -> None:
        named = f"stage {self.name}: {failure.message}"
        self._on_failure(Failure(named, failure.traceback))


class _NoTrace:
    """See sut.serve.dispatcher.Recorder: a stage counts by itself."""

    def query(self, arrival_ns: int, samples: int) -> None:
        """See Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See Recorder."""


def facts_of(stage: Stage) -> Mapping[str, object]:
    """Return what a result says of a stage that is open."""
    plan = stage.plan
    model = plan.workload.model
    return {
        "benchmark": plan.benchmark.name,
        "model_sha256": None if model is None else model.identity,
        "model": None if model is None else model.origin,
        "input_dtype": plan.workload.inputs[0].dtype,
        "backend": plan.harness.backend,
        "devices": list(plan.harness.devices),
        "engines": stage.workers,
        "workers": "process" if plan.apart else "thread",
        "max_batch_size": stage.max_batch_size,
        "max_queue_delay_us": plan.harness.max_queue_delay_us,
        "simulated": stage.simulated,
        "engine": dict(stage.facts[0]),
        "alone_samples_per_s": stage.capacity.samples_per_s,
    }
