"""A worker on another machine, as the dispatcher sees it.

It has one connection of its own to the worker process there. What it hears, it hears on the
receiver's thread. A connection that breaks is a loss: it is never made again. Knows no LoadGen and
no policy.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import zmq

from sut.base.errors import SutError, WorkerError
from sut.base.steps import listener
from sut.serve.cluster import messages, wire
from sut.serve.cluster.channel import BROKEN, Channel, Monitor
from sut.serve.cluster.security import secure_client
from sut.serve.workers.base import settle
from sut.serve.workers.connection import HANG_FACTOR
from sut.serve.workers.failures import Raised, describe, named, one_line
from sut.serve.workers.lane import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.base import OptionValue
    from sut.base.steps import Hear
    from sut.serve.batch import Batch
    from sut.serve.cluster.channel import Poller
    from sut.serve.cluster.security import Keys
    from sut.serve.dispatcher import Failure
    from sut.serve.responses import Responses
    from sut.serve.samples import SampleSource
    from sut.serve.workers.executor import Timing


# How long an agent may take to say how a worker process ended whose connection broke.
_EXPLAIN_NS = 300_000_000


class Home(Protocol):
    """What a worker needs of the link to its node: see sut.serve.cluster.link.NodeLink."""

    poller: Poller
    keys: Keys | None

    def check_samples(self, source: SampleSource) -> None:
        """Refuse a node that has other samples than the run."""


class Front(Protocol):
    """Who hears of answers and losses: see sut.serve.dispatcher.Dispatcher."""

    @property
    def failure(self) -> Failure | None:
        """The first failure, or None."""

    def finished(self, batch: Batch, responses: Responses | None) -> None:
        """A batch is answered; None: empty."""

    def fail(self, message: str, traceback: str) -> None:
        """Nothing can go on."""

    def lose(self, worker: int, message: str, traceback: str) -> None:
        """A worker is lost."""

    def give_up(self, worker: int) -> None:
        """Nothing of a lost worker will be answered."""


class RemoteWorker:
    """One engine on one device of a node. See sut.serve.workers.base.Worker."""

    def __init__(self, name: str, index: int, front: Front, hang_floor_s: float) -> None:
        self.name = name
        self.link: Home | None = None
        self._hang_floor_s = hang_floor_s
        self._done, self._fail = front.finished, partial(front.lose, index)
        self._give_up = partial(front.give_up, index)
        self._calls: deque[tuple[str, Future[Any]]] = deque()
        self._lock = threading.Lock()  # of `_calls`, `_gone` and `_early`
        self._gone: SutError | None = None
        self._broke_ns: int | None = None  # when the connection did
        self._early: list[messages.Message] = []  # calls before there is a connection
        self._channel: Channel | None = None
        self._monitor: Monitor | None = None
        self._session = 0
        # Batches by number, with when each was sent.
        self._batches: dict[int, tuple[Batch, int]] = {}
        self._since_ns = 0  # when the oldest batch was sent, or the one before it answered
        self._limit_ns: float | None = None
        self._hear: Hear | None = None

    def open(self) -> Future[dict[str, OptionValue]]:
        """See Worker. The call leaves when there is a connection."""
        self._hear = listener()  # of the receiver's thread, too
        return self._call("open", messages.Open())

    def load(self, source: SampleSource) -> Future[None]:
        """See Worker. The node reads its own copy, which must be the same."""
        assert self.link is not None, "its receiver sets it"
        try:
            self.link.check_samples(source)
        except SutError as error:
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed
        return self._call("load", messages.Load(array("i", source.indices).tobytes()))

    def warm_up(
        self, indices: Sequence[int], sizes: Sequence[int], limit_s: float
    ) -> Future[dict[int, Timing]]:
        """See Worker."""
        message = messages.WarmUp(array("i", indices).tobytes(), tuple(sizes), limit_s)
        future: Future[dict[int, Timing]] = self._call("warm_up", message)
        future.add_done_callback(self._set_limit)
        return future

    def counts(self) -> Future[dict[str, float]]:
        """See Worker."""
        return self._call("counts", messages.Count())

    def echo(self) -> Future[None]:
        """Send a message to the worker process, which answers at once."""
        return self._call("echo", messages.Echo())

    def alone_ns(self, indices: Sequence[int], size: int) -> Future[int]:
        """See sut.serve.workers.executor.Executor.alone_ns."""
        return self._call("alone", messages.Alone(array("i", indices).tobytes(), size))

    def way_in_ns(self, indices: Sequence[int], size: int) -> Future[int | None]:
        """See Executor.way_in_ns; None: the engine takes one batch at a time."""
        return self._call("way in", messages.WayIn(array("i", indices).tobytes(), size))

    def submit(self, batch: Batch) -> None:
        """See sut.serve.dispatcher.BatchWorker."""
        now_ns = time.monotonic_ns()
        if not self._batches:
            self._since_ns = now_ns
        self._batches[batch.number] = batch, now_ns
        assert self._channel is not None, "open comes first"
        sent = self._channel.send(wire.pack_batch(self._session, batch.number, batch.indices))
        if not sent and self._gone is not None:  # else the receiver will answer for it
            self._done(batch, None)

    def close(self) -> None:
        """See Worker. The engine stays open on its node, which is told when the session ends."""

    # the receiver's thread

    def connect(
        self, context: zmq.Context[zmq.Socket[bytes]], link: Home, endpoint: str, session: int
    ) -> None:
        """Connect to the worker process, and send what has been asked of it so far.

        A worker that was lost before does not connect: nobody would close its sockets.
        """
        if self.is_gone:
            return
        sock = context.socket(zmq.DEALER)
        sock.set_hwm(0)
        sock.setsockopt(zmq.RECONNECT_IVL, -1)
        sock.setsockopt(zmq.IPV6, endpoint.startswith("tcp://["))
        secure_client(sock, link.keys)
        poller = link.poller
        self._monitor = monitor = Monitor(sock, BROKEN)
        self._channel = channel = self._channel_of(sock, poller)
        self._session = session
        sock.connect(endpoint)
        poller.attend(channel, guarded(self._hear_all, self.end, self.name))
        poller.attend(monitor, self._look_for_break)
        with self._lock:
            early, self._early = self._early, []
        for message in early:
            channel.send(wire.pack(session, message))

    def _channel_of(self, sock: zmq.Socket[bytes], poller: Poller) -> Channel:
        return Channel(sock, poller.missed)

    def hear_step(self, text: str) -> None:
        """Hand on what takes long."""
        if self._hear is not None:
            self._hear(text)

    @property
    def is_busy(self) -> bool:
        """Whether it owes an answer."""
        return bool(self._batches or self._calls)

    def look(self, now_ns: int) -> None:
        """End it if its connection broke, or if the oldest batch takes too long."""
        # When its process ends, its agent knows why, and is about to tell.
        if self._broke_ns is not None and now_ns - self._broke_ns > _EXPLAIN_NS:
            self.end(WorkerError(f"{self.name}: the connection to it broke"))
        if self._is_overdue(now_ns):
            # This thread itself may have stood still, and not have read what came.
            guarded(self._hear_all, self.end, self.name)()
        if not self._is_overdue(now_ns):
            return
        number, limit_s = min(list(self._batches), default=-1), (self._limit_ns or 0.0) / 1e9
        text = f"batch {number} has no answer after {limit_s:.1f} s, {HANG_FACTOR:.0f} times the"
        self.end(WorkerError(f"{self.name}: {text} longest in warm-up"))

    def _is_overdue(self, now_ns: int) -> bool:
        limit_ns = self._limit_ns
        return bool(self._batches) and limit_ns is not None and now_ns - self._since_ns > limit_ns

    def end(self, error: SutError) -> None:
        """Settle all that it owes, now and later."""
        with self._lock:
            if self._gone is not None:
                return
            self._gone = error
            calls = list(self._calls)
            self._calls.clear()
        self._fail(str(error), getattr(error, "worker_traceback", ""))
        for _, future in calls:
            future.set_exception(error)
        self.disconnect()
        self._give_up()
        self._batches.clear()

    @property
    def is_gone(self) -> bool:
        """Whether it was lost."""
        return self._gone is not None

    def disconnect(self) -> None:
        """Close the connection."""
        channel, monitor, self._monitor = self._channel, self._monitor, None
        if channel is None or monitor is None:
            return
        assert self.link is not None, "it connected"
        for fd in (channel.fd, monitor.fd):
            self.link.poller.forget(fd)
        monitor.close()
        channel.close()

    def _look_for_break(self) -> None:
        if self._monitor is not None and any(self._monitor.events()):
            self._broke_ns = self._broke_ns or time.monotonic_ns()

    def _hear_all(self) -> None:
        assert self._channel is not None, "it connected"
        for _, data in self._channel.receive():
            kind, session = wire.head_of(data)
            if session != self._session:
                continue  # of a session before
            if kind == wire.Kind.ANSWER:
                self._settle(wire.unpack_answer(data))
            else:
                self._hear_control(wire.unpack(data, messages.FROM_WORKER))

    def _settle(self, answer: wire.Answer) -> None:
        now_ns = time.monotonic_ns()
        batch, sent_ns = self._batches.pop(answer.number)
        self._since_ns = now_ns
        if not wire.fits(answer.responses, len(batch.ids)):
            raise wire.Malformed(f"batch {batch.number} came back with other bytes than its head")
        # Half of what the batch did not spend there, it spent on each way.
        way_ns = max(0, now_ns - sent_ns - answer.stayed_ns) // 2
        started_ns = min(sent_ns + way_ns + max(0, answer.waited_ns), now_ns)
        finished_ns = min(started_ns + max(0, answer.served_ns), now_ns)
        outcome = Outcome(answer.responses, started_ns, finished_ns)
        settle(batch, outcome, self.name, self._done, self._fail)

    def _hear_control(self, message: messages.FromWorker) -> None:
        match message:
            case messages.Step():
                self.hear_step(message.text)
            case messages.BatchFailed():
                batch, sent_ns = self._batches.pop(message.number)
                now_ns = self._since_ns = time.monotonic_ns()
                outcome = Outcome(None, sent_ns, now_ns, message.error, message.traceback)
                settle(batch, outcome, self.name, self._done, self._fail)
            case messages.CallFailed():
                method, future = self._next_call()
                raised = Raised(message.kinds, message.text, message.traceback)
                future.set_exception(named(raised, self.name, method))
            case messages.Opened():
                self._next_call()[1].set_result(message.facts)
            case messages.Measured():
                self._next_call()[1].set_result(message.timings)
            case messages.Counted():
                self._next_call()[1].set_result(message.counts)
            case messages.Took():
                self._next_call()[1].set_result(message.ns)
            case messages.Loaded():
                self._next_call()[1].set_result(None)

    def _call(self, method: str, message: messages.Message) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._gone is not None:
                future.set_exception(self._gone)
                return future
            self._calls.append((method, future))
            if self._channel is None:
                self._early.append(message)
                return future
        self._channel.send(wire.pack(self._session, message))  # else the receiver settles it
        return future

    def _next_call(self) -> tuple[str, Future[Any]]:
        with self._lock:
            if not self._calls:
                raise wire.Malformed("an answer to no call")
            return self._calls.popleft()

    def _set_limit(self, measured: Future[dict[int, Timing]]) -> None:
        if not measured.exception():
            worst_ns = max(timing.median_ns for timing in measured.result().values())
            self._limit_ns = max(HANG_FACTOR * worst_ns, self._hang_floor_s * 1e9)


def guarded(
    hear: Callable[[], None], lose: Callable[[SutError], None], who: str
) -> Callable[[], None]:
    """Return what hears a connection; whatever goes wrong there is a loss, and nothing else."""

    def hear_or_lose() -> None:
        try:
            hear()
        except SutError as error:
            lose(error)
        except Exception as error:  # noqa: BLE001 - nobody else receives: it must go on
            raised = describe(error)
            text = f"{who}: what it answered is unusable: {one_line(raised)}"
            lose(WorkerError(text, raised.traceback))

    return hear_or_lose
