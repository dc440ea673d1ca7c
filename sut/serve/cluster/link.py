"""The session with the agent of one node, as the run sees it: opened, kept alive, ended.

All of it happens on the receiver's thread. Knows the workers of its node, and no batch.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from sut import __version__
from sut.base.errors import SutError, WorkerError
from sut.config.cluster import parse_address
from sut.serve.cluster import messages, wire
from sut.serve.cluster.channel import BROKEN, REFUSED, Channel, Monitor
from sut.serve.cluster.checks import model_files, same
from sut.serve.cluster.remote import guarded
from sut.serve.cluster.security import secure_client
from sut.serve.workers.failures import Raised, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.config.cluster import NodeSpec
    from sut.serve.cluster.channel import Poller
    from sut.serve.cluster.remote import RemoteWorker
    from sut.serve.cluster.security import Keys
    from sut.serve.samples import SampleSource
    from sut.serve.specs import SystemRequest

# How long to ask a node that is just leaving its last run.
BUSY_S = 8.0
# How long the last words to a node may take to leave.
LINGER_MS = 200


@dataclass(frozen=True, slots=True)
class Side:
    """What all links of a run share.

    Attributes:
        poller: of the receiver's thread.
        keys: of the run, or None on loopback.
    """

    poller: Poller
    keys: Keys | None


class NodeLink:
    """One node of the cluster, and this run's workers on it."""

    def __init__(
        self, node: NodeSpec, request: SystemRequest, workers: Sequence[RemoteWorker], side: Side
    ) -> None:
        assert request.harness.remote is not None, "only a cluster has nodes"
        self.node = node
        self.poller = side.poller
        self.keys = side.keys
        self._begin = messages.Begin(
            request.harness.of_node(node), request.harness.remote, model_files(request.workload)
        )
        self._workers = workers
        self._context: zmq.Context[zmq.Socket[bytes]]
        self._session = 0
        self._heard_ns = self._asked_ns = 0
        self._ready: messages.Ready | None = None
        self._lost = self._again = False
        self._channel: Channel | None = None
        for worker in workers:
            worker.link = self

    def connect(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Connect to the agent, and ask for a session."""
        self._context = context
        sock = context.socket(zmq.DEALER)
        sock.setsockopt(zmq.RECONNECT_IVL, -1)
        sock.setsockopt(zmq.IPV6, self.node.address.startswith("["))
        secure_client(sock, self.keys)
        self._monitor = Monitor(sock, BROKEN | REFUSED)
        self._channel = Channel(sock, self.poller.missed)
        sock.connect(f"tcp://{self.node.address}")
        self._heard_ns = self._asked_ns = time.monotonic_ns()
        self.poller.attend(self._channel, guarded(self._hear_all, self.lose, self._who))
        self.poller.attend(self._monitor, guarded(self._look_for_break, self.lose, self._who))
        self._greet()

    def look(self, now_ns: int) -> None:
        """Notice a node that is silent, and a worker that hangs."""
        if self._lost:
            return
        if self._is_silent(now_ns):
            # This thread itself may have stood still, and not have read what came.
            guarded(self._hear_all, self.lose, self._who)()
        if self._is_silent(now_ns):
            self.lose(self._error(f"nothing was heard of it for {messages.SILENT_S:g} s"))
            return
        if self._again:
            self._again = False
            self._greet()
        for worker in self._workers:
            worker.look(now_ns)

    def _is_silent(self, now_ns: int) -> bool:
        return now_ns - self._heard_ns > messages.SILENT_S * 1e9

    def check_samples(self, source: SampleSource) -> None:
        """Refuse a node that has other samples than the run. Any thread, after the workers opened.

        Raises:
            ConfigError: they differ.
        """
        assert self._ready is not None, "a worker is open when its node is ready"
        same(self.node.name, "the number of samples", self._ready.count, source.count)
        same(self.node.name, "the samples' hash", self._ready.digest, source.digest)

    @property
    def is_spoiled(self) -> bool:
        """Whether a worker was lost, or owes an answer."""
        return any(worker.is_gone or worker.is_busy for worker in self._workers)

    def lose(self, error: SutError) -> None:
        """End everything on this node."""
        if self._lost:
            return
        self._lost = True
        for worker in self._workers:
            worker.end(error)
        self.close(spoiled=True)

    def close(self, *, spoiled: bool) -> None:
        """Say farewell, and close all connections of this node."""
        if self._channel is None:
            return
        if self._session:
            self._send(messages.Bye(spoiled))
        for worker in self._workers:
            worker.disconnect()
        for fd in (self._channel.fd, self._monitor.fd):
            self.poller.forget(fd)
        self._monitor.close()
        self._channel.close(LINGER_MS)
        self._channel = None

    def _greet(self) -> None:
        who = f"{socket.gethostname()}, process {os.getpid()}"
        self._send(messages.Hello(messages.PROTOCOL, __version__, who))

    def _send(self, message: messages.Message) -> None:
        if self._channel is not None:
            self._channel.send(wire.pack(self._session, message))

    def _error(self, text: str) -> WorkerError:
        return WorkerError(f"{self._who}: {text}")

    @property
    def _who(self) -> str:
        return f"node {self.node.name} at {self.node.address}"

    def _look_for_break(self) -> None:
        for event, _ in self._monitor.events():
            if event & REFUSED or (event == zmq.EVENT_DISCONNECTED and not self._session):
                raise self._error(
                    "it refused this side's keys, or has none; expected the same folder of sut "
                    "cluster keys on both machines"
                )
            if self._session:
                raise self._error("the connection to it broke")
            raise self._error(
                "nobody listens there. Start it: sut cluster node --name "
                f"{self.node.name} --listen {self.node.address}"
            )

    def _hear_all(self) -> None:
        assert self._channel is not None, "it is watched while it is open"
        for _, data in self._channel.receive():
            _, session = wire.head_of(data)
            message = wire.unpack(data, messages.FROM_NODE)
            self._heard_ns = time.monotonic_ns()
            self._hear(message, session)

    def _hear(self, message: messages.FromNode, session: int) -> None:
        match message:
            case messages.Welcome():
                same(f"at {self.node.address}", "its name", message.name, self.node.name)
                self._session = session
                self._send(self._begin)
            case messages.Refused():
                self._hear_refused(message)
            case messages.Step():
                self._workers[0].hear_step(message.text)
            case messages.Ready():
                self._ready = message
                host, _ = parse_address(self.node.address)
                host = f"[{host}]" if ":" in host else host
                for worker, port in zip(self._workers, message.ports, strict=True):
                    worker.connect(self._context, self, f"tcp://{host}:{port}", session)
            case messages.WorkerEnded():
                worker = self._workers[message.worker]
                text = f"its process ended with {message.how}; see what its node printed"
                worker.end(WorkerError(f"{worker.name}: {text}"))
            case messages.Beat():
                pass

    def _hear_refused(self, refused: messages.Refused) -> None:
        waited_s = (time.monotonic_ns() - self._asked_ns) / 1e9
        if refused.is_busy and waited_s < BUSY_S:
            self._again = True
            return
        raise named(Raised(refused.kinds, refused.text, ""), f"node {self.node.name}", "begin")
