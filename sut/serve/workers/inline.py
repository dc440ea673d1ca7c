"""The shortest path: LoadGen's own thread runs the engine.

The fastest if LoadGen waits for each query anyway (SingleStream, MultiStream). It replaces the
dispatcher: there is no queue, and no batch across queries.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sut.record.trace import Close
from sut.serve.dispatcher import Failure
from sut.serve.workers.lane import failed

if TYPE_CHECKING:
    from sut.serve.dispatcher import Outlets
    from sut.serve.workers.executor import Executor


class InlineSut:
    """LoadGen's system under test on one engine and LoadGen's thread."""

    def __init__(
        self, name: str, executor: Executor, max_batch_size: int, outlets: Outlets
    ) -> None:
        self._name = name
        self._run = executor.run
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
        started_ns = self._since_ns = time.monotonic_ns()
        try:
            responses = self._run(indices)
        except BaseException as error:  # noqa: BLE001 - must not leave a callback of LoadGen
            self._fail(ids, error)
            return
        finished_ns = time.monotonic_ns()
        self._since_ns = None
        self._complete(ids, responses)
        self._recorder.batch(
            self._batches,
            self._samples,
            len(ids),
            0,
            Close.IDLE.value,
            arrived_ns,
            started_ns,
            started_ns,
            finished_ns,
            time.monotonic_ns(),
        )
        self._batches += 1
        self._samples += len(ids)

    def _fail(self, ids: list[int], error: BaseException) -> None:
        outcome = failed(error, 0)
        self._failure = Failure(
            f"{self._name}: batch {self._batches} of {len(ids)} samples failed: {outcome.error}",
            outcome.traceback,
        )
        self._on_failure(self._failure)
        self._complete(ids, None)
