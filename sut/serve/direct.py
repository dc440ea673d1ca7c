"""The shortest path: LoadGen's own thread brings each query to one engine, and waits for it.

The fastest if LoadGen waits for each query anyway (SingleStream, MultiStream). It replaces the
dispatcher: there is no queue, and no batch across queries.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from sut.base.errors import WorkerError
from sut.record.trace import Close
from sut.serve.dispatcher import Failure
from sut.serve.workers.lane import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.base import OptionValue
    from sut.serve.dispatcher import Outlets
    from sut.serve.samples import SampleSource
    from sut.serve.workers.executor import Timed, Timing


class DirectWorker(Protocol):
    """One engine that whoever asks waits for. One thread at a time may use it."""

    name: str

    def open(self) -> dict[str, OptionValue]:
        """Open the engine; return its facts."""

    def load(self, source: SampleSource) -> None:
        """Load these samples into memory in place of the previous ones."""

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> dict[int, Timing]:
        """See sut.serve.workers.executor.Executor.warm_up."""

    def run(self, indices: Sequence[int]) -> Timed:
        """Run one batch; return its responses, and when the engine began and had finished."""

    def counts(self) -> dict[str, float]:
        """See sut.serve.workers.executor.Executor.counts."""

    def close(self) -> None:
        """Close the engine; see sut.serve.workers.closing."""


class DirectSut:
    """LoadGen's system under test on one engine that LoadGen's thread waits for."""

    def __init__(self, worker: DirectWorker, max_batch_size: int, outlets: Outlets) -> None:
        self._name = worker.name
        self._run = worker.run
        self._cap = max_batch_size
        self._complete = outlets.complete
        self._recorder = outlets.recorder
        self._on_failure = outlets.on_failure
        self._batches = self._samples = 0
        self._failure: Failure | None = None
        self._since_ns: int | None = None

    @property
    def failure(self) -> Failure | None:
        """The first failure, or None."""
        return self._failure

    @property
    def waiting_since_ns(self) -> int | None:
        """When the running batch was started; None without one."""
        return self._since_ns

    @property
    def completed(self) -> tuple[int, int]:
        """Batches and samples that are complete."""
        return self._batches, self._samples

    def issue_query(self, ids: list[int], indices: list[int]) -> None:
        """Run the query in batches up to the cap, and complete it before returning."""
        arrived_ns = time.monotonic_ns()
        self._recorder.query(arrived_ns, len(ids))
        cap = self._cap
        if len(ids) <= cap:
            self._run_batch(ids, indices, arrived_ns)
            return
        for start in range(0, len(ids), cap):
            self._run_batch(ids[start : start + cap], indices[start : start + cap], arrived_ns)

    def flush_queries(self) -> None:
        """Do nothing: no sample ever waits."""

    def _run_batch(self, ids: list[int], indices: list[int], arrived_ns: int) -> None:
        if self._failure is not None:
            self._complete(ids, None)
            return
        closed_ns = self._since_ns = time.monotonic_ns()
        try:
            responses, started_ns, finished_ns = self._run(indices)
        except BaseException as error:  # noqa: BLE001 - must not leave a callback of LoadGen
            self._fail(ids, error)
            return
        self._since_ns = None
        self._complete(ids, responses)
        self._recorder.batch(
            self._batches,
            self._samples,
            len(ids),
            0,
            Close.IDLE.value,
            arrived_ns,
            closed_ns,
            started_ns,
            finished_ns,
            time.monotonic_ns(),
        )
        self._batches += 1
        self._samples += len(ids)

    def _fail(self, ids: list[int], error: BaseException) -> None:
        if isinstance(error, WorkerError):  # its process, not the batch
            self._failure = Failure(str(error), error.worker_traceback)
        else:
            outcome = failed(error, 0)
            what = f"batch {self._batches} of {len(ids)} samples failed: {outcome.error}"
            self._failure = Failure(f"{self._name}: {what}", outcome.traceback)
        self._on_failure(self._failure)
        self._complete(ids, None)
