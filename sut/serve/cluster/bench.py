"""Engines on nodes as they are measured: each call of sut.serve.measure, over the wire of a run.

The worker processes are those that a run has, with its sockets and its heartbeat. Knows no batch.
"""

from __future__ import annotations

import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sut.config.settings import Limits
from sut.serve.cluster.receiver import remote_workers
from sut.serve.dispatcher import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from backends.base import OptionValue
    from sut.serve.batch import Batch
    from sut.serve.cluster.remote import RemoteWorker
    from sut.serve.responses import Responses
    from sut.serve.samples import SampleReader, SampleSource
    from sut.serve.specs import SystemRequest
    from sut.serve.workers.executor import Timing

# Of these messages half the median time there and back is one way.
_ECHOES = 21


class NodeBench:
    """One engine on a node. See sut.serve.measure.Bench."""

    def __init__(self, device: str, worker: RemoteWorker, wanted: int) -> None:
        self.device = device
        self.note = ""
        self.largest = wanted
        self._worker = worker
        self._facts: Future[dict[str, OptionValue]] = worker.open()

    def open(self) -> None:
        """Wait for the engine, which may take only smaller batches."""
        taken = int(self._facts.result()["max_batch_size"])
        if taken < self.largest:
            self.largest = taken
            self.note = f"Device {self.device} takes no batch above {taken} of the sizes tried."

    def load(self, source: SampleSource, _: SampleReader) -> None:
        """Let the node read its own copy of the samples."""
        self._worker.load(source).result()

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Mapping[int, Timing]:
        """See Executor.warm_up."""
        return self._worker.warm_up(indices, sizes, limit_s).result()

    def alone_ns(self, indices: Sequence[int], size: int) -> int:
        """See Executor.alone_ns."""
        return self._worker.alone_ns(indices, size).result()

    def way_in_ns(self, indices: Sequence[int], size: int) -> int | None:
        """See Executor.way_in_ns; None: the engine takes one batch at a time."""
        return self._worker.way_in_ns(indices, size).result()

    def wire_ns(self) -> float:
        """Return one way of an empty message to its node, in ns."""
        times_ns = []
        for _ in range(_ECHOES):
            sent_ns = time.monotonic_ns()
            self._worker.echo().result()
            times_ns.append(time.monotonic_ns() - sent_ns)
        return statistics.median(times_ns) / 2

    def close(self) -> None:
        """Leave the engine open: its node closes it when a run needs another one."""


class _Front:
    """Who hears of losses where there are no batches. See sut.serve.cluster.remote.Front."""

    def __init__(self) -> None:
        self.failure: Failure | None = None

    def finished(self, batch: Batch, responses: Responses | None) -> None:
        """Never: no batch is sent."""

    def fail(self, message: str, traceback: str) -> None:
        """Keep the first failure; the receiver then ends every session."""
        self.failure = self.failure or Failure(message, traceback)

    def lose(self, worker: int, message: str, traceback: str) -> None:
        """Measure on no other: S(b) is wanted of all."""
        self.fail(message, traceback)

    def give_up(self, worker: int) -> None:
        """Its calls have failed by now."""


@contextmanager
def node_benches(request: SystemRequest) -> Iterator[list[NodeBench]]:
    """Yield the engines of all nodes, which are opening; leaving it ends the sessions.

    Args:
        request: the model with its samples, and the settings, whose `chooses_batch` lets a node
            open an engine for half of a batch that it does not take.

    Raises:
        ConfigError: the keys cannot be read.
    """
    harness = request.harness
    workers, receiver = remote_workers(request, _Front(), Limits())
    devices = [device for _, device in harness.worker_devices()]
    benches = [
        NodeBench(device, worker, harness.max_batch_size)
        for device, worker in zip(devices, workers, strict=True)
    ]
    try:
        receiver.start()
        yield benches
    finally:
        receiver.close()
