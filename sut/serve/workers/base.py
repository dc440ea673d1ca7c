"""The contract of a worker behind the dispatcher: open, load, warm up, take batches, close.

Knows neither LoadGen nor the policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sut.serve.dispatcher import BatchWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from backends.base import OptionValue
    from sut.serve.batch import Batch
    from sut.serve.responses import Responses
    from sut.serve.samples import SampleSource
    from sut.serve.workers.executor import Timing
    from sut.serve.workers.lane import Outcome

    Done = Callable[[Batch, Responses | None], None]
    Fail = Callable[[str, str], None]


class Worker(BatchWorker, Protocol):
    """One engine on one device. Its methods return futures, so that workers run in parallel."""

    name: str

    def open(self) -> Future[dict[str, OptionValue]]:
        """Open the engine; returns its facts, or raises its error."""

    def load(self, source: SampleSource) -> Future[None]:
        """Load these samples into memory in place of the previous ones."""

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Future[dict[int, Timing]]:
        """See sut.serve.workers.executor.Executor.warm_up."""

    def counts(self) -> Future[dict[str, float]]:
        """See sut.serve.workers.executor.Executor.counts."""

    def close(self) -> None:
        """Finish the batches that it has, close the engine, and end. Closing twice is allowed.

        It may take as long as the engine takes: see sut.serve.workers.closing.
        """


def settle(batch: Batch, outcome: Outcome, worker: str, done: Done, fail: Fail) -> None:
    """Report an outcome to the dispatcher: a failure ends the run before the batch is completed."""
    batch.started_ns, batch.finished_ns = outcome.started_ns, outcome.finished_ns
    if outcome.responses is None:
        text = f"{worker}: batch {batch.number} of {len(batch.ids)} samples failed: {outcome.error}"
        fail(text, outcome.traceback)
    done(batch, outcome.responses)
