"""A worker in a process of its own: an interpreter lock, an engine and samples that nobody shares.

The parent's side. Processes are spawned, never forked: threads, CUDA and LoadGen do not survive a
fork. One thread receives for all workers, and notices a process that died or hangs. Knows no
LoadGen and no policy.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

from sut.base.errors import WorkerError
from sut.base.steps import listener
from sut.serve.workers.base import settle
from sut.serve.workers.connection import Connection
from sut.serve.workers.failures import Raised, describe, named, naming
from sut.serve.workers.lane import Outcome
from sut.serve.workers.wire import Failed, Kind, pack_batch, pack_object, unpack_answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.base.steps import Hear
    from sut.serve.batch import Batch
    from sut.serve.samples import SampleSource
    from sut.serve.workers.base import Done, Fail
    from sut.serve.workers.connection import ProcessSpec
    from sut.serve.workers.executor import Timing

# How often the receiver checks for hanging workers.
LOOK_S = 0.25
# Only after so much silence does it look whether a process was stopped: not in a run that goes on.
_SILENT_NS = 5e8


class ProcessWorker:
    """One engine in one process. See sut.serve.workers.base.Worker."""

    def __init__(self, spec: ProcessSpec, done: Done, fail: Fail) -> None:
        self.name = spec.name
        self.index = spec.index
        self._spec = spec
        self._done, self._fail = done, fail
        self._calls: deque[tuple[str, Future[Any]]] = deque()
        self._lock = threading.Lock()  # of `_calls` and `_gone`
        self._gone: str | None = None  # how the process ended
        self._batches: dict[int, Batch] = {}
        # When the oldest batch or call was sent, or the one before it answered.
        self._since_ns = 0
        self._limit_ns: float | None = None
        self._link = Connection(spec)
        self._closing = False
        self._hear: Hear | None = None

    def open(self) -> Future[dict[str, OptionValue]]:
        """See Worker. The process starts here, unless it is a kept one."""
        self._hear = listener()  # of the receiver's thread, too
        self._link.open()
        return self._call("open", self._spec.executor)

    def load(self, source: SampleSource) -> Future[None]:
        """See Worker. The process reads its own copy."""
        return self._call("load", source)

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Future[dict[int, Timing]]:
        """See Worker."""
        future: Future[dict[int, Timing]] = self._call("warm_up", tuple(indices), sizes, limit_s)
        future.add_done_callback(self._set_limit)
        return future

    def counts(self) -> Future[dict[str, float]]:
        """See Worker."""
        return self._call("counts")

    @property
    def sock(self) -> socket.socket:
        """What its answers come over; valid from `open` on."""
        return self._link.socket

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker. The frames of all slots fit into the socket."""
        if not self._batches:
            self._since_ns = time.monotonic_ns()
        self._batches[batch.number] = batch
        try:
            self._link.socket.sendall(pack_batch(batch.number, batch.indices))
        except OSError:  # it died; the receiver answers for the batch, if it has not done so yet
            if self._gone is not None:
                self._done(batch, None)

    def close(self) -> None:
        """See Worker.

        Raises:
            WorkerError: the engine took too long to close; its process was killed.
        """
        self._closing = True
        self._link.close()

    # the receiver's thread

    def receive(self) -> None:
        """Take what arrived. Raises EOFError or OSError when the process is gone."""
        for kind, body in self._link.reader.receive():
            if kind == Kind.ANSWER:
                number, started_ns, finished_ns, responses = unpack_answer(body)
                self._settle(number, Outcome(responses, started_ns, finished_ns))
            elif kind == Kind.FAILURE:
                failed: Failed = pickle.loads(body)
                times = (failed.started_ns, failed.finished_ns)
                self._settle(failed.number, Outcome(None, *times, failed.error, failed.traceback))
            elif kind == Kind.STEP:
                self._since_ns = time.monotonic_ns()
                if self._hear is not None:
                    self._hear(str(body, "utf-8"))
            elif kind == Kind.RAISED:
                raised = Raised(*pickle.loads(body))
                method, future = self._next_call()
                future.set_exception(named(raised, self.name, method))
            else:
                value = pickle.loads(body)
                self._next_call()[1].set_result(value)

    def lost(self) -> str | None:
        """The socket is closed: return how the process ended, or None if it was on purpose."""
        if self._closing or not self._link.is_open:
            return None
        return self._link.lost_text()

    def unusable(self, error: Exception) -> str:
        """Return a message about an answer that cannot be read. Call it in the `except` block."""
        return self._spec.unusable_text(error)

    def hangs(self, now_ns: int) -> str | None:
        """Return a message if the process stands still, or the oldest batch takes too long."""
        silent_ns = now_ns - self._since_ns
        if self._batches and self._limit_ns is not None and silent_ns >= self._limit_ns:
            number = min(list(self._batches), default=-1)
            return self._spec.hang_text(number, self._limit_ns / 1e9)
        is_awaited = bool(self._batches or self._calls) and silent_ns >= _SILENT_NS
        return self._spec.stopped_text() if self._link.stands_still(is_awaited=is_awaited) else None

    def end(self, message: str, trace: str = "") -> None:
        """Kill what is left of it, and settle all that it owes, now and later."""
        if self._link.is_open:
            self._link.ends_within(0.0)
        with self._lock:
            self._gone = message
            calls = list(self._calls)
            self._calls.clear()
        self._fail(message, trace)
        for _, future in calls:
            future.set_exception(WorkerError(message, trace))

    def _call(self, method: str, *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        with naming(self.name, method):
            frame = pack_object(Kind.CALL, (method, arguments))
        with self._lock:
            if self._gone is not None:
                future.set_exception(WorkerError(self._gone))
                return future
            if not self._calls and not self._batches:
                self._since_ns = time.monotonic_ns()
            self._calls.append((method, future))
        with contextlib.suppress(OSError):  # it died; the receiver settles the future
            self._link.socket.sendall(frame)
        return future

    def _next_call(self) -> tuple[str, Future[Any]]:
        with self._lock:
            return self._calls.popleft()

    def _settle(self, number: int, outcome: Outcome) -> None:
        batch = self._batches.pop(number)
        self._since_ns = time.monotonic_ns()
        settle(batch, outcome, self.name, self._done, self._fail)

    def _set_limit(self, measured: Future[dict[int, Timing]]) -> None:
        if not measured.exception():
            self._limit_ns = self._spec.hang_limit_s(measured.result()) * 1e9


class Receiver:
    """One thread that receives the answers of all worker processes and watches them."""

    def __init__(self, workers: Sequence[ProcessWorker], give_up: Callable[[int], None]) -> None:
        self._workers = workers
        self._give_up = give_up
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    def start(self) -> None:
        """Start; the workers' sockets are open."""
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        for worker in self._workers:
            self._selector.register(worker.sock, selectors.EVENT_READ, worker)
        self._thread.start()

    def close(self) -> None:
        """Stop receiving."""
        os.write(self._wake_write, b"x")
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        next_look_ns = 0
        while True:
            for key, _ in self._selector.select(LOOK_S):
                if key.data is None:
                    return
                self._receive(cast("ProcessWorker", key.data))
            now_ns = time.monotonic_ns()
            if now_ns >= next_look_ns:
                next_look_ns = now_ns + int(LOOK_S * 1e9)
                for worker in self._watched():
                    if (message := worker.hangs(now_ns)) is not None:
                        self._end(worker, message)

    def _watched(self) -> list[ProcessWorker]:
        data = (key.data for key in self._selector.get_map().values())
        return [worker for worker in data if worker is not None]

    def _receive(self, worker: ProcessWorker) -> None:
        try:
            worker.receive()
        except (EOFError, OSError):
            message = worker.lost()
            if message is None:
                self._selector.unregister(worker.sock)
            else:
                self._end(worker, message)
        except Exception as error:  # noqa: BLE001 - nobody else receives: it must go on
            message, trace = worker.unusable(error), describe(error).traceback
            self._end(worker, message, trace)

    def _end(self, worker: ProcessWorker, message: str, trace: str = "") -> None:
        self._selector.unregister(worker.sock)
        worker.end(message, trace)
        self._give_up(worker.index)
