"""A worker on a thread of this process: right for engines that release the interpreter lock.

Knows one executor and the batches that it was given; never LoadGen.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from sut.serve.workers.base import settle
from sut.serve.workers.executor import Executor, ExecutorSpec
from sut.serve.workers.lane import Lane, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.serve.dispatcher import Batch
    from sut.serve.samples import LoadedSamples, SampleSource
    from sut.serve.workers.base import Done, Fail
    from sut.serve.workers.executor import Timing

T = TypeVar("T")


class SharedReader:
    """Reads each sample source once for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source: SampleSource | None = None
        self._samples: LoadedSamples | None = None

    def read(self, source: SampleSource) -> LoadedSamples:
        """Return the samples; the first caller reads them, and the ones before are let go."""
        with self._lock:
            if self._samples is None or source is not self._source:
                self._samples = None
                self._source, self._samples = source, source.read()
            return self._samples


@dataclass(frozen=True, slots=True)
class _Call:
    """A function to run on the worker's thread."""

    run: Callable[[Executor], None]
    refuse: Callable[[BaseException], None]


class ThreadWorker:
    """One engine, opened, used and closed by one thread. See sut.serve.workers.base.Worker."""

    def __init__(
        self, name: str, spec: ExecutorSpec, reader: SharedReader, done: Done, fail: Fail
    ) -> None:
        self.name = name
        self._spec = spec
        self._reader = reader
        self._done, self._fail = done, fail
        self._inbox: SimpleQueue[Batch | _Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def open(self) -> Future[dict[str, OptionValue]]:
        """See Worker."""
        self._thread.start()
        return self._call(Executor.facts)

    def load(self, source: SampleSource) -> Future[None]:
        """See Worker. Threads share one copy."""
        return self._call(lambda executor: executor.load(self._reader.read(source)))

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Future[dict[int, Timing]]:
        """See Worker."""
        return self._call(lambda executor: executor.warm_up(indices, sizes, limit_s))

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker."""
        self._inbox.put(batch)

    def close(self) -> None:
        """See Worker."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _call(self, function: Callable[[Executor], T]) -> Future[T]:
        future: Future[T] = Future()

        def run(executor: Executor) -> None:
            try:
                future.set_result(function(executor))
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                future.set_exception(error)

        self._inbox.put(_Call(run, future.set_exception))
        return future

    def _run(self) -> None:
        try:
            executor = Executor(self._spec)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the worker
            while (work := self._inbox.get()) is not None:
                if isinstance(work, _Call):
                    work.refuse(error)
            return
        lane: Lane[Batch] = Lane(executor, self._report)
        lane.open()
        get = self._inbox.get
        while (work := get()) is not None:
            if isinstance(work, _Call):
                work.run(executor)
            else:
                lane.run(work)
        lane.close()
        executor.close()

    def _report(self, batch: Batch, outcome: Outcome) -> None:
        settle(batch, outcome, self.name, self._done, self._fail)
