"""A worker on a thread of this process, for engines that release the interpreter lock.

Knows one executor and its batches; never LoadGen.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from sut.base.errors import SutError
from sut.base.steps import heard_by, listener
from sut.serve.workers.base import settle
from sut.serve.workers.executor import Executor
from sut.serve.workers.failures import describe, named, naming, one_line
from sut.serve.workers.lane import Lane, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.base.steps import Hear
    from sut.serve.batch import Batch
    from sut.serve.samples import SampleReader, SampleSource
    from sut.serve.workers.base import Done, Fail
    from sut.serve.workers.executor import Timing

    # Opens the executor, on the worker's own thread; the text says if its batches are smaller.
    Opens = Callable[[], tuple[Executor, str]]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call:
    """A function to run on the worker's thread."""

    run: Callable[[Executor], None]
    refuse: Callable[[BaseException], None]


class ThreadWorker:
    """One engine, opened, used and closed by one thread. See sut.serve.workers.base.Worker."""

    def __init__(
        self, name: str, opens: Opens, reader: SampleReader, done: Done, fail: Fail
    ) -> None:
        self.name = name
        self._opens = opens
        self._reader = reader
        self._done, self._fail = done, fail
        self._inbox: SimpleQueue[Batch | _Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._close_error: Exception | None = None
        self._hear: Hear | None = None

    def open(self) -> Future[dict[str, OptionValue]]:
        """See Worker."""
        self._hear = listener()
        self._thread.start()
        return self._call("open", Executor.facts)

    def load(self, source: SampleSource) -> Future[None]:
        """See Worker. Threads share what is in the same memory."""
        reader = self._reader
        return self._call("load", lambda e: e.load(reader.read(source, e.memory)))

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Future[dict[int, Timing]]:
        """See Worker."""
        return self._call("warm_up", lambda executor: executor.warm_up(indices, sizes, limit_s))

    def counts(self) -> Future[dict[str, float]]:
        """See Worker."""
        return self._call("counts", Executor.counts)

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker."""
        self._inbox.put(batch)

    def close(self) -> None:
        """See Worker. Raises what the engine raised when it was closed."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()
        if self._close_error is not None:
            raise self._close_error

    def _call(self, what: str, function: Callable[[Executor], T]) -> Future[T]:
        future: Future[T] = Future()

        def run(executor: Executor) -> None:
            try:
                with naming(self.name, what):
                    value = function(executor)
            except SutError as error:
                future.set_exception(error)
            else:
                future.set_result(value)

        def refuse(error: BaseException) -> None:
            future.set_exception(named(describe(error), self.name, what))

        self._inbox.put(_Call(run, refuse))
        return future

    def _run(self) -> None:
        try:
            with heard_by(self._hear):
                executor, _ = self._opens()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the worker
            self._refuse_all(error)
            return
        try:
            self._work(executor)
        except BaseException as error:  # noqa: BLE001 - no call or batch may stay unanswered
            self._die(error)
            self._refuse_all(error)
        try:
            executor.close()
        except Exception as error:  # noqa: BLE001 - raised again in close
            self._close_error = error

    def _work(self, executor: Executor) -> None:
        lane: Lane[Batch] = Lane(executor, self._report, self._die)
        lane.open()
        get = self._inbox.get
        while (work := get()) is not None:
            if isinstance(work, _Call):
                work.run(executor)
            else:
                lane.run(work)
        lane.close()

    def _refuse_all(self, error: BaseException) -> None:
        """Answer everything that comes until the worker is closed."""
        while (work := self._inbox.get()) is not None:
            if isinstance(work, _Call):
                work.refuse(error)
            else:
                self._done(work, None)

    def _die(self, error: BaseException) -> None:
        """A thread of this worker ends too early: end the run."""
        raised = describe(error)
        self._fail(f"{self.name}: its thread ended with {one_line(raised)}", raised.traceback)

    def _report(self, batch: Batch, outcome: Outcome) -> None:
        settle(batch, outcome, self.name, self._done, self._fail)
