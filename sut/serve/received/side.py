"""The system on a node: samples in rows of a slab, batches by the dispatcher, engines on threads.

The same dispatcher, policy and executor as on one machine, and threads instead of processes: the
slab is in the process that receives the samples. Knows no socket.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sut.base.environment import cores
from sut.config.settings import Limits
from sut.serve.dispatcher import Failure, Outlets
from sut.serve.network.counted import BATCHES, SAMPLES
from sut.serve.network.messages import SAMPLE, TRIED_SAMPLE, WARM_SAMPLE
from sut.serve.network.rooms import rows_for
from sut.serve.pool import BatchSystem
from sut.serve.received.executor import SlabExecutor
from sut.serve.received.slab import Slab
from sut.serve.samples import SampleSource
from sut.serve.workers.failures import describe, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from backends.base import OptionValue
    from data.tasks.base import FrameFile
    from scenarios.base import Capacity
    from sut.serve.dispatcher import Dispatcher
    from sut.serve.network.messages import SampleHead
    from sut.serve.network.packing import Place, Unpack
    from sut.serve.responses import Responses
    from sut.serve.specs import SystemRequest

    # Numbers, how long each stayed in ns, how long the engine took in ns, and the records.
    Answer = Callable[[Sequence[int], Sequence[int], int, Responses], None]


class Told(NamedTuple):
    """Where a node sends what it has.

    Attributes:
        answer: the answers of a batch; on the thread of an engine.
        failed: the first failure, on the thread that saw it.
    """

    answer: Answer
    failed: Callable[[Failure], None]


class SutSide:
    """One node's engines, and the samples that are there. One thread receives them.

    Args:
        request: the node's part of the run: its devices, by their own names.
        told: where answers go.
        unpack: for samples that do not travel as they are.
    """

    def __init__(self, request: SystemRequest, told: Told, unpack: Unpack | None = None) -> None:
        inputs = request.workload.inputs
        rows = rows_for(request.harness, inputs)
        self._slab = Slab(inputs, rows)
        self._told = told
        self._unpack = unpack
        self._pool = None if unpack is None else ThreadPoolExecutor(cores(), "unpack")
        self._numbers, self._arrived_ns = [0] * rows, [0] * rows
        self._warm: list[int] = []
        self._unpacking: list[Future[None]] = []  # of the samples to warm up with
        self._batches = self._answered = 0
        self._done = threading.local()  # what `complete` leaves for `batch`
        self._system = BatchSystem(
            request,
            Outlets(self._complete, self, self._fail),
            Limits(),
            open_=partial(SlabExecutor, self._slab),
        )
        self._front: Dispatcher | None = None
        self._issuing = threading.Lock()

    def open(self) -> list[dict[str, OptionValue]]:
        """Open all engines; return the facts of each."""
        return self._system.open()

    def expect(self, count: int, frame: FrameFile | None) -> None:
        """Give the engines the slab, for samples of this data set; see Slab.expect."""
        self._slab.expect(count, frame)
        self._system.load(SampleSource((), 0, (), ()))

    def take(self, head: SampleHead) -> tuple[int, Place] | None:
        """Return the row of a sample that begins to arrive, and its bytes; None: it is no sample.

        The run sends no more than there are rows, and only indices that there are.
        """
        row = self._slab.take(head.sample, head.frame)
        if row is None:
            return None
        self._numbers[row] = head.number
        return row, self._slab.places[row]

    def give_back(self, row: int) -> None:
        """Free the row of a sample that did not arrive as it should."""
        self._slab.free((row,))

    def arrived(self, row: int, kind: int) -> None:
        """A sample is in its row.

        Args:
            row: of the slab.
            kind: SAMPLE, or one of the others of sut.serve.network.messages.
        """
        self._arrived_ns[row] = time.monotonic_ns()
        self._use(row, kind)

    def arrived_packed(self, row: int, pieces: Sequence[memoryview], kind: int) -> None:
        """A sample is here, and not yet in its row."""
        assert self._pool is not None, "packed samples have somebody who unpacks them"
        self._arrived_ns[row] = time.monotonic_ns()
        future = self._pool.submit(self._into, row, pieces, kind)
        if kind != SAMPLE:
            self._unpacking.append(future)

    def settle(self) -> None:
        """Wait until every sample that came before the test is in its row."""
        wait(self._unpacking)
        self._unpacking = []

    def warm_up(self, samples_per_query: int, limit_s: float, bound_ns: float | None) -> Capacity:
        """Warm up with the samples that came for it; from then on samples are run.

        Raises:
            ValueError: none came.
        """
        self.settle()
        if not self._warm:
            raise ValueError("no samples came to warm up with")
        found = self._system.warm_up(self._warm, samples_per_query, limit_s, bound_ns)
        self._slab.free(self._warm)
        self._warm = []
        self._batches = self._answered = 0
        if self._front is None:
            self._front = self._system.front()
        return found

    def flush(self) -> None:
        """The last query of a series has been sent; what waits for others need not."""
        if self._front is not None:
            self._front.flush_queries()

    def counts(self) -> dict[str, float]:
        """Return what the engines counted, and the batches that were made here."""
        batches = {BATCHES: float(self._batches), SAMPLES: float(self._answered)}
        return {**self._system.counts(), **batches}

    def close(self) -> None:
        """Close all engines."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._system.close()
        self._slab.close()

    def query(self, arrival_ns: int, samples: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See sut.serve.dispatcher.Recorder: the batch just completed on this thread, in times."""
        rows, responses = self._done.value
        if responses is None:
            return
        *_, started_ns, finished_ns, now_ns = record
        stayed_ns = [now_ns - self._arrived_ns[row] for row in rows]
        numbers = [self._numbers[row] for row in rows]
        with self._issuing:
            self._batches += 1
            self._answered += len(rows)
        self._slab.free(rows)
        self._told.answer(numbers, stayed_ns, finished_ns - started_ns, responses)

    def _complete(self, rows: Sequence[int], responses: Responses | None) -> None:
        self._done.value = rows, responses

    def _fail(self, failure: Failure) -> None:
        self._told.failed(failure)

    def _use(self, row: int, kind: int) -> None:
        """Do with a sample in its row what it came for. Threads that unpack call it, too."""
        if kind == TRIED_SAMPLE:
            self._slab.free((row,))
        elif kind == WARM_SAMPLE:
            self._warm.append(row)
        else:
            assert self._front is not None, "warm-up comes first"
            self._front.issue_query([row], [row])

    def _into(self, row: int, pieces: Sequence[memoryview], kind: int) -> None:
        """Unpack a sample on a thread of the pool."""
        assert self._unpack is not None, "see arrived_packed"
        try:
            self._unpack(pieces, self._slab.places[row])
        except Exception as error:  # noqa: BLE001 - a sample that cannot be read ends the run
            raised = describe(error)
            text = f"a sample that came cannot be read: {one_line(raised)}"
            self._told.failed(Failure(text, raised.traceback))
            return
        with self._issuing:  # in order of time, as the batcher wants them
            self._use(row, kind)
