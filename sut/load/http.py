"""Serves a model over HTTP: a load whose queries come from clients and bring their own tensors.

Behind the door are the dispatcher, policy and engines of every other load. Workers are threads: the
tensors of a request lie in this process, and engines release the interpreter lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError, WorkerError
from sut.base.kserve import PROTOCOL_NAMES
from sut.base.process import return_memory
from sut.config.settings import Limits
from sut.load.http_door import Door, DoorLimits
from sut.load.http_pages import Pages, Served
from sut.load.http_server import PatientServer, bound, server_config
from sut.load.http_tensors import Codec
from sut.serve.dispatcher import Outlets
from sut.serve.given import GivenQueries
from sut.serve.pool import BatchSystem
from sut.serve.workers.given import GivenExecutor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from scenarios.base import Capacity
    from sut.config.settings import HarnessSettings
    from sut.config.workload import Workload
    from sut.serve.dispatcher import Dispatcher, Failure
    from sut.serve.given import GivenQuery, Run
    from sut.serve.losses import Loss

_WARM_UP_S = 1.0
_HANG_FACTOR = 10.0
# A full queue is several rounds of all workers, and no less than this.
_QUEUE_BATCHES, _LEAST_QUEUE = 8, 1024
_RETURN_NS = 60_000_000_000  # memory is given back this often
MIB = 1 << 20
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """What to serve, and to whom.

    Attributes:
        workload: the model; its samples are not needed.
        harness: how batches are made; `workers` counts as "thread".
        host: to listen on.
        port: 0: any that is free.
        token: that clients must send; None only for loopback.
        bound_ns: latency bound for the choice of the largest batch; None: there is none.
        body_bytes: the largest request.
        json_bytes: the most of it, and of an answer, that may be JSON.
        held_bytes: all requests in memory together.
        queue_samples: the most without an answer; None: some batches of all workers.
        patience_s: how long a client may take to send a request, or to read an answer.
        limits: when an engine that does not go on is given up.
        tolerate_loss: go on without a worker that is lost.
    """

    workload: Workload
    harness: HarnessSettings
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    bound_ns: float | None = None
    body_bytes: int = 64 * MIB
    json_bytes: int = 4 * MIB
    held_bytes: int = 1024 * MIB
    queue_samples: int | None = None
    patience_s: float = 30.0
    limits: Limits = field(default_factory=Limits)
    tolerate_loss: bool = False


class _NoTrace:
    """See sut.serve.dispatcher.Recorder. The door counts by itself, in bounded memory."""

    def query(self, arrival_ns: int, samples: int) -> None:
        """See Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See Recorder."""


class Serving:
    """One server, from its engines to its last answer.

    Args:
        request: what to serve, and to whom.
        say: hears one line, once requests are accepted.
    """

    def __init__(self, request: ServeRequest, say: Callable[[str], None]) -> None:
        self._request = replace(request, harness=replace(request.harness, workers="thread"))
        self._say = say
        self.hang_ns = 0.0
        """A batch that takes longer hangs; known after warm-up."""
        self._returned_ns = time.monotonic_ns()
        self._failure: Failure | None = None
        self._door: Door | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queries = GivenQueries(request.workload.inputs, self._deliver)
        on_loss = self._go_on_without if request.tolerate_loss else None
        outlets = Outlets(self._queries.complete, _NoTrace(), self._fail, on_loss)
        opens = partial(GivenExecutor, self._queries)
        self._system = BatchSystem(self._request, outlets, request.limits, open_=opens)

    def run(self, sock: socket.socket) -> None:
        """Serve until a signal ends it; raise WorkerError if an engine failed."""
        try:
            self._system.open()
            self._check_types()
            capacity = self._warm_up()
            self.front: Dispatcher = self._system.front()
            server = self._server(capacity, sock)
            server.run([sock])
        finally:
            self._system.close()
        if self._failure is not None:
            raise WorkerError(self._failure.message, self._failure.traceback)

    def stop(self) -> None:
        """Answer what was accepted, and let `run` return; any thread, once it has said its line."""
        self._uvicorn.should_exit = True

    def _check_types(self) -> None:
        for tensor in (*self._queries.inputs, *self._queries.outputs):
            if tensor.dtype not in PROTOCOL_NAMES:
                raise ConfigError(
                    f'tensor "{tensor.name}" is {tensor.dtype}, which the protocol cannot carry; '
                    f"expected one of {', '.join(PROTOCOL_NAMES)}."
                )

    def _warm_up(self) -> Capacity:
        harness = self._request.harness
        indices = self._queries.add_for_warm_up(harness.max_batch_size)
        measured = self._system.warm_up(indices, 1, _WARM_UP_S, self._request.bound_ns)
        self._queries.forget_warm_up()
        batch_s = measured.max_batch_size / measured.samples_per_s
        workers = sum(1 for _ in harness.worker_devices())
        longest_s = batch_s * workers * harness.slots
        self.hang_ns = max(self._request.limits.hang_s, _HANG_FACTOR * longest_s) * 1e9
        return measured

    def _server(self, capacity: Capacity, sock: socket.socket) -> PatientServer:
        request, name = self._request, self._request.workload.benchmark
        harness = request.harness
        workers = list(harness.worker_devices())
        rounds = _QUEUE_BATCHES * capacity.max_batch_size * len(workers) * harness.slots
        limits = DoorLimits(
            request.body_bytes,
            request.json_bytes,
            request.held_bytes,
            request.queue_samples or max(_LEAST_QUEUE, rounds),
            capacity.samples_per_s,
        )
        inputs, outputs = self._queries.inputs, self._queries.outputs
        codec = Codec(name, inputs, outputs, request.json_bytes)
        door = self._door = Door(name, codec, limits, request.token)
        delay_us = harness.max_queue_delay_us
        served = Served(
            name=name,
            backend=harness.backend,
            inputs=inputs,
            outputs=outputs,
            max_batch_size=capacity.max_batch_size,
            max_queue_delay_us=None if isinstance(delay_us, str) else delay_us,
            devices=[worker for worker, _ in workers],
        )
        pages = Pages(served, door).application()

        def opened() -> None:
            door.open(self._queries, self.front, pages)
            self._loop = asyncio.get_running_loop()
            if self._failure is not None:
                self._end()
            host, port = sock.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._say(f"{name} is served on http://{shown}:{port}/v2/models/{name}")

        self._uvicorn = PatientServer(server_config(door), request.patience_s, opened, self._look)
        return self._uvicorn

    def _deliver(self, run: Run | None, done: list[GivenQuery]) -> None:
        assert self._door is not None, "nothing is issued before"
        self._door.deliver(run, done)

    def _fail(self, failure: Failure) -> None:
        """Hear of the first failure, on any thread: refuse what comes, and end."""
        if self._failure is None:
            self._failure = failure
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # it ends already
                    self._loop.call_soon_threadsafe(self._end)

    def _go_on_without(self, loss: Loss) -> None:
        """Hear of a lost worker, on any thread."""
        logger.warning("%s. The server goes on without it.", loss.message)
        if self._door is not None:
            self._door.statistics.lost_workers += 1

    def _end(self) -> None:
        assert self._failure is not None, "only after one"
        assert self._door is not None, "only after one"
        self._door.refusal = self._failure.message
        self.stop()

    def _look(self) -> None:
        """Give up an engine that takes much longer than the longest batch of warm-up."""
        now_ns = time.monotonic_ns()
        if now_ns - self._returned_ns > _RETURN_NS:
            self._returned_ns = now_ns
            return_memory()
        text = f"a batch has no answer after {self.hang_ns / 1e9:.1f} s: the engine hangs"
        names = [name for name, _ in self._request.harness.worker_devices()]
        for worker in self.front.overdue(now_ns - int(self.hang_ns)):
            self.front.lose(worker, f"{names[worker]}: {text}", "")
        if self._failure is not None:
            for worker, _ in enumerate(names):
                self.front.give_up(worker)


def serve(request: ServeRequest, say: Callable[[str], None]) -> None:
    """Serve a model until a signal comes; then answer what was accepted, and return.

    Args:
        request: what, and to whom.
        say: hears one line, once requests are accepted.

    Raises:
        ConfigError: the address is not to be had.
        SutError: an engine does not open.
        WorkerError: an engine failed; what it had was answered with status 500.
    """
    with bound(request.host, request.port, request.token) as sock:
        Serving(request, say).run(sock)
