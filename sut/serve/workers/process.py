"""A worker in a process of its own: an interpreter lock, an engine and samples that nobody shares.

The parent's side. Processes are started anew, never forked: threads, CUDA and LoadGen do not
survive a fork. One thread receives for all workers, and notices a process that died or hangs.
Knows no LoadGen and no policy.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

from sut.base.environment import ROOT
from sut.base.errors import WorkerError
from sut.serve.workers.base import settle
from sut.serve.workers.lane import Outcome
from sut.serve.workers.wire import Failed, Kind, Reader, pack_batch, pack_object, unpack_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.serve.dispatcher import Batch
    from sut.serve.samples import SampleSource
    from sut.serve.workers.base import Done, Fail
    from sut.serve.workers.executor import ExecutorSpec, Timing

# A batch that takes this much longer than the worst that warm-up measured is taken as hanging.
HANG_FACTOR = 10.0
HANG_FLOOR_S = 1.0
# How often the receiver looks for hanging workers.
LOOK_S = 0.25
# Room for all slots' frames, so that nobody ever waits to send: an index takes 4 bytes.
SOCKET_BYTES = 1 << 22
# A worker that was asked to end is killed after this long.
END_GRACE_S = 0.5


class ProcessWorker:
    """One engine in one process. See sut.serve.workers.base.Worker."""

    def __init__(  # noqa: PLR0913 - two callbacks besides what it is made of
        self, name: str, index: int, spec: ExecutorSpec, cpus: str, done: Done, fail: Fail
    ) -> None:
        self.name = name
        self.index = index
        self._spec, self._cpus = spec, cpus
        self._done, self._fail = done, fail
        self._calls: deque[Future[Any]] = deque()
        self._batches: dict[int, Batch] = {}
        self._since_ns = 0  # when the oldest batch was sent, or the one before it answered
        self._limit_ns: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False

    def open(self) -> Future[dict[str, OptionValue]]:
        """See Worker. The process starts here."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sut.serve.workers.child"),
                    *(str(theirs.fileno()), self.name, self._cpus),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.socket = ours
        self.reader = Reader(ours)
        return self._call("open", self._spec)

    def load(self, source: SampleSource) -> Future[None]:
        """See Worker. The process reads a copy of its own."""
        return self._call("load", source)

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Future[dict[int, Timing]]:
        """See Worker."""
        future: Future[dict[int, Timing]] = self._call("warm_up", tuple(indices), sizes, limit_s)
        future.add_done_callback(self._set_limit)
        return future

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker. A few slots' frames always fit into the socket."""
        if not self._batches:
            self._since_ns = time.monotonic_ns()
        self._batches[batch.number] = batch
        with contextlib.suppress(OSError):  # it died; the receiver answers for the batch
            self.socket.sendall(pack_batch(batch.number, batch.indices))

    def close(self) -> None:
        """See Worker."""
        self._closing = True
        process = self._process
        if process is None:
            return
        self.socket.close()
        try:
            process.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # the receiver's thread

    def receive(self) -> None:
        """Take what arrived. Raises EOFError or OSError when the process is gone."""
        for kind, body in self.reader.receive():
            if kind == Kind.ANSWER:
                number, started_ns, finished_ns, responses = unpack_answer(body)
                self._settle(number, Outcome(responses, started_ns, finished_ns))
            elif kind == Kind.FAILURE:
                failed: Failed = pickle.loads(body)
                times = (failed.started_ns, failed.finished_ns)
                self._settle(failed.number, Outcome(None, *times, failed.error, failed.traceback))
            else:
                self._answer_call(pickle.loads(body))

    def lost(self) -> str | None:
        """The process is gone: return how, or None when it was closed on purpose."""
        if self._closing or self._process is None:
            return None
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{self.name}: its process ended with {how}; run.log may say why"

    def hangs(self, now_ns: int) -> str | None:
        """Say so when the oldest batch has been there for too long."""
        if not self._batches or self._limit_ns is None or now_ns - self._since_ns < self._limit_ns:
            return None
        number = min(list(self._batches), default=-1)
        return (
            f"{self.name}: batch {number} has no answer after {self._limit_ns / 1e9:.1f} s, "
            f"{HANG_FACTOR:.0f} times the longest in warm-up; its process was killed"
        )

    def end(self, message: str) -> None:
        """Kill what is left of it, and settle all that it owes."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for future in self._calls:
            future.set_exception(WorkerError(message))
        self._calls.clear()
        self._fail(message, "")

    def _call(self, method: str, *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.append(future)
        with contextlib.suppress(OSError):  # it died; the receiver settles the future
            self.socket.sendall(pack_object(Kind.CALL, (method, arguments)))
        return future

    def _answer_call(self, value: object) -> None:
        future = self._calls.popleft()
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)

    def _settle(self, number: int, outcome: Outcome) -> None:
        batch = self._batches.pop(number)
        self._since_ns = time.monotonic_ns()
        settle(batch, outcome, self.name, self._done, self._fail)

    def _set_limit(self, measured: Future[dict[int, Timing]]) -> None:
        if not measured.exception():
            worst_ns = max(timing.median_ns for timing in measured.result().values())
            self._limit_ns = max(HANG_FACTOR * worst_ns, HANG_FLOOR_S * 1e9)


class Receiver:
    """One thread that takes the answers of all worker processes, and watches over them."""

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
            self._selector.register(worker.socket, selectors.EVENT_READ, worker)
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
                    self._end(worker, worker.hangs(now_ns))

    def _watched(self) -> list[ProcessWorker]:
        data = (key.data for key in self._selector.get_map().values())
        return [worker for worker in data if worker is not None]

    def _receive(self, worker: ProcessWorker) -> None:
        try:
            worker.receive()
        except (EOFError, OSError):
            self._selector.unregister(worker.socket)
            message = worker.lost()
            if message is not None:
                worker.end(message)
                self._give_up(worker.index)

    def _end(self, worker: ProcessWorker, message: str | None) -> None:
        if message is not None:
            self._selector.unregister(worker.socket)
            worker.end(message)
            self._give_up(worker.index)
