"""A worker process on a node: what sut.serve.workers.child is, with its batches over ZeroMQ.

The agent of the node starts it as `python -m sut.serve.cluster.worker FD NAME CPUS --keep`, and
tells it over the socket which session it listens for. The run then speaks to it without the agent
between. Knows one session at a time.
"""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import zmq

from sut.base.errors import ConfigError
from sut.serve.cluster import messages, wire
from sut.serve.cluster.channel import Channel, Poller
from sut.serve.cluster.security import Guard, Keys, say, secure_server
from sut.serve.workers.child import Child, main
from sut.serve.workers.failures import describe

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from data.benchmark import Benchmark
    from sut.config.arguments import Travel
    from sut.serve.samples import SampleSource
    from sut.serve.specs import SystemRequest
    from sut.serve.workers.executor import ExecutorSpec
    from sut.serve.workers.lane import Outcome
    from sut.serve.workers.wire import Reader


@dataclass(frozen=True, slots=True)
class Listening:
    """What a worker listens for, as its agent tells it.

    Attributes:
        session: number that every message must have.
        host: to listen at.
        ports: of which a free one is taken; empty: any.
        keys: of the node, or None on loopback.
        executor: what to open.
        source: the samples; its indices follow.
    """

    session: int
    host: str
    ports: Sequence[int]
    keys: Keys | None
    executor: ExecutorSpec
    source: SampleSource


@dataclass(frozen=True, slots=True)
class SystemListening(Listening):
    """What the system on a node listens for, where samples travel: see sut.serve.received.

    Attributes:
        node: its name.
        request: the node's part of the run.
        benchmark: its definition.
        travel: how samples come.
    """

    node: str
    request: SystemRequest
    benchmark: Benchmark
    travel: Travel


@dataclass(slots=True)
class ArrivedWork:
    """A batch in this process, and when it arrived."""

    number: int
    indices: list[int]
    arrived_ns: int


class RemoteChild(Child):
    """Answers the calls and batches of the run whose session it listens for."""

    def __init__(self) -> None:
        super().__init__()
        self._context = zmq.Context(io_threads=1)
        self._guard: Guard | None = None
        self._poller = Poller()
        self._channel: Channel | None = None

    def call_listen(self, listening: Listening) -> int:
        """Listen for a session; return the port."""
        sock = self._context.socket(zmq.ROUTER)
        sock.set_hwm(0)  # the dispatcher's slots are the bound
        sock.setsockopt(zmq.MAXMSGSIZE, wire.LARGEST_BYTES)
        if listening.keys is not None and self._guard is None:
            self._guard = Guard(self._context, listening.keys, self._name)
        secure_server(sock, listening.keys)
        port = _bound(sock, listening.host, listening.ports)
        self._listening = listening
        self._peer: bytes | None = None
        self._channel = channel = self._channel_of(sock)
        self._poller.attend(channel, self._hear_all)
        return port

    def _channel_of(self, sock: zmq.Socket[bytes]) -> Channel:
        return Channel(sock, self._poller.missed)

    def serve(self, sock: socket.socket) -> None:
        """See Child. What is answered after the end of the session goes nowhere."""
        super().serve(sock)
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _answer_all(self, reader: Reader) -> None:
        """Work until the agent ends the session, which raises EOFError."""

        def hear_agent() -> None:
            for _, body in reader.receive():
                self._send(self._call(body))

        agent = self._sock.fileno()
        self._poller.watch(agent, hear_agent)
        try:
            while True:
                self._poller.poll()
        finally:
            self._poller.forget(agent)
            if self._channel is not None:
                self._poller.forget(self._channel.fd)

    def _hear_all(self) -> None:
        assert self._channel is not None, "it is watched from `listen` to the end of the session"
        for sender, data in self._channel.receive():
            arrived_ns = time.monotonic_ns()
            try:
                self._hear(sender, data, arrived_ns)
            except wire.Malformed as error:
                say(f"{self._name}: refused a message: {error}")

    def _hear(self, sender: bytes, data: bytes, arrived_ns: int) -> None:
        kind, session = wire.head_of(data)
        if session != self._listening.session:
            raise wire.Malformed(f"session {session:016x} is not open here")
        if self._peer is None:
            self._peer = sender
        if sender != self._peer:
            raise wire.Malformed(f"session {session:016x} has its run already")
        if kind == wire.Kind.BATCH:
            if self._lane is None:
                raise wire.Malformed("a batch before the engine is open")
            number, indices = wire.unpack_batch(data)
            self._lane.run(ArrivedWork(number, indices, arrived_ns))
        else:
            self._tell(self._answer(wire.unpack(data, messages.TO_WORKER)))

    def _answer(self, call: messages.Call) -> messages.Message:
        answer: messages.Message
        try:
            match call:
                case messages.Open():
                    answer = messages.Opened(self.call_open(self._listening.executor))
                case messages.Load():
                    indices = tuple(wire.int32s(call.indices))
                    self.call_load(replace(self._listening.source, indices=indices))
                    answer = messages.Loaded()
                case messages.WarmUp():
                    indices = tuple(wire.int32s(call.indices))
                    answer = messages.Measured(self.call_warm_up(indices, call.sizes, call.limit_s))
                case messages.Count():
                    answer = messages.Counted(self.call_counts())
                case messages.Echo():
                    answer = messages.Took(None)
                case messages.Alone():
                    indices = tuple(wire.int32s(call.indices))
                    answer = messages.Took(self.call_alone(indices, call.size))
                case messages.WayIn():
                    indices = tuple(wire.int32s(call.indices))
                    answer = messages.Took(self.call_way_in(indices, call.size))
        except Exception as error:  # noqa: BLE001 - raised again where the run is
            answer = messages.CallFailed(*describe(error))
        return answer

    def _report(self, work: ArrivedWork, outcome: Outcome) -> None:
        if outcome.responses is None:
            self._tell(messages.BatchFailed(work.number, outcome.error, outcome.traceback))
            return
        times_ns = (
            outcome.started_ns - work.arrived_ns,
            outcome.finished_ns - outcome.started_ns,
            time.monotonic_ns() - work.arrived_ns,
        )
        session = self._listening.session
        self._put(wire.pack_answer(session, work.number, times_ns, outcome.responses))

    def _say(self, text: str) -> None:
        self._tell(messages.Step(text))

    def _tell(self, message: messages.Message) -> None:
        self._put(wire.pack(self._listening.session, message))

    def _put(self, data: bytes) -> None:
        if self._channel is not None and self._peer is not None:
            self._channel.send(data, self._peer)

    @property
    def _name(self) -> str:
        return threading.current_thread().name


def _bound(sock: zmq.Socket[bytes], host: str, ports: Sequence[int]) -> int:
    """Bind a socket to the first free one of some ports, or to any; return it.

    Raises:
        ConfigError: none is free.
    """
    sock.setsockopt(zmq.IPV6, ":" in host)
    address = f"tcp://[{host}]" if ":" in host else f"tcp://{host}"
    for port in ports or (0,):
        try:
            sock.bind(f"{address}:{port or '*'}")
        except zmq.ZMQError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return int(sock.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
    raise ConfigError(
        f"--worker-ports: none of {ports[0]}-{ports[-1]} is free; expected one for each worker."
    )


if __name__ == "__main__":
    main(RemoteChild)
