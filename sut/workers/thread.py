"""A worker on a thread of this process: right for engines that release the interpreter lock.

Knows one executor and the batches that it was given; never LoadGen.
"""

from __future__ import annotations

import threading
import time
import traceback
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from sut.workers.executor import Executor, ExecutorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from sut.dispatcher import Batch
    from sut.responses import Responses

    Done = Callable[[Batch, Responses | None], None]
    Fail = Callable[[str, str], None]

T = TypeVar("T")


class Call(Generic[T]):
    """A function to run on the worker's thread; `result` waits for its value or its exception."""

    def __init__(self, function: Callable[[Executor], T]) -> None:
        self._function = function
        self._done = threading.Event()
        self._value: T
        self._error: BaseException | None = None

    def run(self, executor: Executor) -> None:
        """Run it; never raises."""
        try:
            self._value = self._function(executor)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._error = error
        self._done.set()

    def fail(self, error: BaseException) -> None:
        """Settle it without running it."""
        self._error = error
        self._done.set()

    def wait(self) -> None:
        """Wait until it is settled."""
        self._done.wait()

    def result(self) -> T:
        """Wait for it; return its value or raise its exception."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value


class ThreadWorker:
    """One engine, opened, used and closed by one thread.

    `start` returns at once; the engine opens meanwhile, so that several workers open side by side.
    `call(...).result()` waits for it.
    """

    slots = 1

    def __init__(self, name: str, spec: ExecutorSpec, done: Done, fail: Fail) -> None:
        self.name = name
        self._spec = spec
        self._done = done
        self._fail = fail
        self._inbox: SimpleQueue[Batch | Call[object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, which opens the engine."""
        self._thread.start()

    def call(self, function: Callable[[Executor], T]) -> Call[T]:
        """Run `function` on the worker's thread, after the batches that it already has."""
        call = Call(function)
        self._inbox.put(cast("Call[object]", call))
        return call

    def submit(self, batch: Batch) -> None:
        """Queue a batch; see sut.dispatcher.BatchWorker."""
        self._inbox.put(batch)

    def close(self) -> None:
        """Close the engine and end the thread, after the batches that it already has."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            executor = Executor(self._spec)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the worker
            self._refuse(error)
            return
        get = self._inbox.get
        while (work := get()) is not None:
            if isinstance(work, Call):
                work.run(executor)
            else:
                self._run_batch(executor, work)
        executor.close()

    def _run_batch(self, executor: Executor, batch: Batch) -> None:
        batch.started_ns = time.monotonic_ns()
        try:
            responses = executor.run(batch.indices)
        except BaseException as error:  # noqa: BLE001 - no batch may stay without an answer
            batch.finished_ns = time.monotonic_ns()
            self._fail(failure_line(self.name, batch, error), traceback.format_exc())
            self._done(batch, None)
            return
        batch.finished_ns = time.monotonic_ns()
        self._done(batch, responses)

    def _refuse(self, error: Exception) -> None:
        """The engine did not open: answer every call with the reason, until closed."""
        while (work := self._inbox.get()) is not None:
            if isinstance(work, Call):
                work.fail(error)


def failure_line(worker: str, batch: Batch, error: BaseException) -> str:
    """One line for a batch that raised: the worker and its device, the batch, the exception."""
    reason = str(error).splitlines()
    text = f"{type(error).__name__}: {reason[0]}" if reason else type(error).__name__
    return f"{worker}: batch {batch.number} of {len(batch.ids)} samples failed: {text}"
