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
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sut.base.environment import ROOT
from sut.base.errors import WorkerError
from sut.base.process import exit_words
from sut.serve.workers.base import settle
from sut.serve.workers.failures import Raised, describe, named, naming, one_line
from sut.serve.workers.keeper import SOCKET_BYTES, LentProcess
from sut.serve.workers.lane import Outcome
from sut.serve.workers.wire import Failed, Kind, Reader, pack_batch, pack_object, unpack_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.config.settings import Lent
    from sut.serve.dispatcher import Batch
    from sut.serve.samples import SampleSource
    from sut.serve.workers.base import Done, Fail
    from sut.serve.workers.executor import ExecutorSpec, Timing

# A batch hangs when it takes this much longer than the worst that warm-up measured.
HANG_FACTOR = 10.0
# How often the receiver checks for hanging workers.
LOOK_S = 0.25
# A process whose socket closed is killed after this long.
END_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What a worker process is made of.

    Attributes:
        name: of the worker, for messages.
        index: of the worker, from 0.
        executor: what it opens.
        cpus: its cores, such as "0-3"; empty for all.
        hang_floor_s: a batch may take this long, in seconds, however short warm-up's were.
        close_s: the process is killed when its engine takes longer to close.
        lent: a kept process to use; None: a process of this worker's own.
    """

    name: str
    index: int
    executor: ExecutorSpec
    cpus: str = ""
    hang_floor_s: float = 1.0
    close_s: float = 5.0
    lent: Lent | None = None


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
        self._since_ns = 0  # when the oldest batch was sent, or the one before it answered
        self._limit_ns: float | None = None
        self._process: subprocess.Popen[bytes] | LentProcess | None = None
        self._closing = False

    def open(self) -> Future[dict[str, OptionValue]]:
        """See Worker. The process starts here, unless it is a kept one."""
        lent = self._spec.lent
        if lent is None:
            self._process, self.socket = self._start()
        else:
            self._process, self.socket = LentProcess(lent.pid), socket.socket(fileno=lent.fd)
        self.reader = Reader(self.socket)
        return self._call("open", self._spec.executor)

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with theirs:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sut.serve.workers.child"),
                    *(str(theirs.fileno()), self.name, self._spec.cpus),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return process, ours

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

    def not_finite(self) -> Future[int]:
        """See Worker."""
        return self._call("not_finite")

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker. The frames of all slots fit into the socket."""
        if not self._batches:
            self._since_ns = time.monotonic_ns()
        self._batches[batch.number] = batch
        try:
            self.socket.sendall(pack_batch(batch.number, batch.indices))
        except OSError:  # it died; the receiver answers for the batch, if it has not done so yet
            if self._gone is not None:
                self._done(batch, None)

    def close(self) -> None:
        """See Worker.

        Raises:
            WorkerError: the engine took too long to close; its process was killed.
        """
        self._closing = True
        if self._process is None:
            return
        self.socket.close()
        if isinstance(self._process, LentProcess):
            self._process.close()  # it stays, for the next test
            self._process = None
            return
        if not self._ends_within(self._spec.close_s):
            raise WorkerError(
                f"it took longer than {self._spec.close_s:g} s, and its process was killed"
            )

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
            elif kind == Kind.RAISED:
                raised = Raised(*pickle.loads(body))
                method, future = self._next_call()
                future.set_exception(named(raised, self.name, method))
            else:
                value = pickle.loads(body)
                self._next_call()[1].set_result(value)

    def lost(self) -> str | None:
        """The socket is closed: return how the process ended, or None if it was on purpose."""
        if self._closing or self._process is None:
            return None
        self._ends_within(END_GRACE_S)
        code = self._process.wait()
        return f"{self.name}: its process ended{_how(code)}; see run.log for the reason"

    def hangs(self, now_ns: int) -> str | None:
        """Return a message if the oldest batch takes too long."""
        if not self._batches or self._limit_ns is None or now_ns - self._since_ns < self._limit_ns:
            return None
        number = min(list(self._batches), default=-1)
        return (
            f"{self.name}: batch {number} has no answer after {self._limit_ns / 1e9:.1f} s, "
            f"{HANG_FACTOR:.0f} times the longest in warm-up; its process was killed"
        )

    def end(self, message: str, trace: str = "") -> None:
        """Kill what is left of it, and settle all that it owes, now and later."""
        if self._process is not None:
            self._ends_within(0.0)
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
            self._calls.append((method, future))
        with contextlib.suppress(OSError):  # it died; the receiver settles the future
            self.socket.sendall(frame)
        return future

    def _next_call(self) -> tuple[str, Future[Any]]:
        with self._lock:
            return self._calls.popleft()

    def _ends_within(self, limit_s: float) -> bool:
        """Wait for the end of the process; kill it after `limit_s`, and return False."""
        assert self._process is not None, "open comes first"
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def _settle(self, number: int, outcome: Outcome) -> None:
        batch = self._batches.pop(number)
        self._since_ns = time.monotonic_ns()
        settle(batch, outcome, self.name, self._done, self._fail)

    def _set_limit(self, measured: Future[dict[int, Timing]]) -> None:
        if not measured.exception():
            worst_ns = max(timing.median_ns for timing in measured.result().values())
            self._limit_ns = max(HANG_FACTOR * worst_ns, self._spec.hang_floor_s * 1e9)


def _how(code: int | None) -> str:
    """Say how a process ended; the exit code of a kept one is not known."""
    if code is None:
        return ""
    return f" with {exit_words(code)}"


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
                self._selector.unregister(worker.socket)
            else:
                self._end(worker, message)
        except Exception as error:  # noqa: BLE001 - nobody else receives: it must go on
            raised = describe(error)
            message = f"{worker.name}: what its process answered is unusable: {one_line(raised)}"
            self._end(worker, message, raised.traceback)

    def _end(self, worker: ProcessWorker, message: str, trace: str = "") -> None:
        self._selector.unregister(worker.socket)
        worker.end(message, trace)
        self._give_up(worker.index)
