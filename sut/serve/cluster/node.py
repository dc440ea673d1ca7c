"""The agent of a node: one process a machine that runs work with, one run at a time.

It speaks with the run, starts and watches the worker processes, and never touches a batch. A
message that is none of a run's is refused in one line, and the session goes on.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import zmq

from sut import __version__
from sut.base.errors import ConfigError
from sut.config.cluster import is_loopback, parse_address
from sut.serve.cluster import messages, wire
from sut.serve.cluster.channel import Monitor, Poller, SourcedChannel
from sut.serve.cluster.security import NODE, Guard, load_keys, say, secure_server
from sut.serve.cluster.session import Keepers, Offer, Place, Session
from sut.serve.workers.keeper import Keeper

if TYPE_CHECKING:
    pass


MS = 1e3  # a second


class Node:
    """The agent. Use it in a `with`; leaving it ends the worker processes."""

    def __init__(
        self, name: str, address: str, offer: Offer | None = None, keys: str | None = None
    ) -> None:
        """Listen at `address`.

        Raises:
            ConfigError: the address is not free, or has no keys and is not on loopback.
        """
        if keys is None and not is_loopback(address):
            raise ConfigError(
                f"--listen {address} is not on loopback, so --keys is needed. Make some: sut "
                "cluster keys DIR."
            )
        host, _ = parse_address(address)
        self.name = name
        self.offer = offer or Offer()
        self._place = Place(name, host, self.offer, load_keys(keys, NODE))
        self._context = zmq.Context(io_threads=1)
        self._sock = self._bound(address)
        self._poller = Poller()
        self._channel = SourcedChannel(self._sock, self._poller.missed)
        self._monitor = Monitor(
            self._sock, zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED
        )
        self._keepers = Keepers(
            Keeper(module="sut.serve.cluster.worker"), Keeper(module="sut.serve.received.child")
        )
        self.address = self._sock.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://")
        """Where it listens; of port 0 the system chose one."""
        # One thread for all sessions: see Session.
        self._worker = ThreadPoolExecutor(1, "sessions")
        self._session: Session | None = None
        self._over: Future[None] = Future()
        self._stopped = False
        self._peer, self._source = b"", -1  # of the run, and of its connection
        self._beat_s = 0.0
        self._known: set[int] = set()  # connections over which a message came
        self._told = 0  # connections whose refusal the guard has told of

    def _bound(self, address: str) -> zmq.Socket[bytes]:
        keys, host = self._place.keys, self._place.host
        if keys is not None:
            Guard(self._context, keys, f"node {self.name}")
        sock = self._context.socket(zmq.ROUTER)
        sock.set_hwm(0)
        sock.setsockopt(zmq.MAXMSGSIZE, wire.LARGEST_BYTES)
        sock.setsockopt(zmq.HEARTBEAT_IVL, round(messages.BEAT_S * MS))
        sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, round(messages.SILENT_S * MS))
        sock.setsockopt(zmq.IPV6, ":" in host)
        secure_server(sock, keys)
        try:
            sock.bind(f"tcp://{address}")
        except zmq.ZMQError as error:
            sock.close(0)
            self._context.term()
            raise ConfigError(
                f"--listen {address}: {error.strerror}; expected a free port of this machine."
            ) from error
        return sock

    def run(self) -> None:
        """Work until `stop`, or until an exception ends it."""
        poller = self._poller
        poller.attend(self._channel, self._hear_all)
        poller.attend(self._monitor, self._hear_all)
        try:
            while not self._stopped:
                poller.poll(messages.BEAT_S)
                self._look()
        finally:
            if self._session is not None:
                self._session.end(spoiled=True)
            self._worker.shutdown()
            for keeper in self._keepers:
                keeper.dismiss()
            self._monitor.close()
            self._channel.close()
            self._context.term()

    def stop(self) -> None:
        """Let `run` end. Any thread."""
        self._poller.call(self._stop)

    def _stop(self) -> None:
        self._stopped = True

    def _look(self) -> None:
        """Send the heartbeat, and let go of a session that is over, and of workers that ended."""
        session, now_s = self._session, time.monotonic()
        if session is None:
            for keeper in self._keepers:
                keeper.bury()
            return
        if self._over.done():
            self._over.result()
            session.close()
            self._session, self._peer = None, b""
            return
        if not self._peer:  # its workers are about to be free
            return
        if now_s - self._beat_s >= messages.BEAT_S:
            self._beat_s = now_s
            self._send(self._peer, session.number, messages.Beat())

    def _hear_all(self) -> None:
        # What was sent before a connection broke is heard before it counts as broken.
        broken = []
        for event, source in self._monitor.events():
            if event == zmq.EVENT_DISCONNECTED:
                broken.append(source)
            else:
                self._told += 1
        for sender, data in self._channel.receive():
            try:
                self._hear(sender, data)
            except wire.Malformed as error:
                say(f"node {self.name}: refused a message: {error}")
            self._known.add(self._channel.source)
        if self._peer and self._source in broken:
            self._end("its connection broke", spoiled=True)
        for source in broken:
            self._let_go(source)

    def _let_go(self, source: int) -> None:
        """Forget a connection that broke; say so if no message ever came over it."""
        if source in self._known:
            self._known.discard(source)
        elif self._told:
            self._told -= 1
        else:
            say(f"node {self.name}: refused a client that does not speak as a run does")

    def _hear(self, sender: bytes, data: bytes) -> None:
        _, number = wire.head_of(data)
        message = wire.unpack(data, messages.TO_NODE)
        session = self._session
        if isinstance(message, messages.Hello):
            self._greet(sender, message)
            return
        if session is None or sender != self._peer or number != session.number:
            raise wire.Malformed(f"session {number:016x} is not open here")
        match message:
            case messages.Begin():
                session.begin(message)
            case messages.Bye():
                self._end("", spoiled=message.spoiled)

    def _greet(self, sender: bytes, hello: messages.Hello) -> None:
        """Open a session, or say why not."""
        ours, theirs = (messages.PROTOCOL, __version__), (hello.protocol, hello.version)
        if ours != theirs:
            text = (
                f"node {self.name}: has version {__version__} (protocol {messages.PROTOCOL}); "
                f"expected {hello.version} (protocol {hello.protocol}), as on the machine of the "
                "run. Install the same version on both."
            )
            self._refuse(sender, hello, messages.Refused((ConfigError.__name__,), text))
            return
        self._look()
        if self._session is not None:
            text = (
                f"node {self.name}: works for {self._session.who}. Wait for its end, or use "
                "another node."
            )
            self._refuse(
                sender, hello, messages.Refused((ConfigError.__name__,), text, is_busy=True)
            )
            return
        self._peer, self._source = sender, self._channel.source

        def tell(message: messages.Message) -> None:
            """Let the agent's own thread speak for the session."""
            self._poller.call(lambda: self._send(sender, session.number, message))

        self._session = session = Session(self._place, hello.who, self._keepers, tell)
        self._over = self._worker.submit(session.run)
        say(f"node {self.name}: works for {hello.who}")
        self._send(sender, session.number, messages.Welcome(self.name))

    def _refuse(self, sender: bytes, hello: messages.Hello, refused: messages.Refused) -> None:
        if not refused.is_busy:
            say(f"node {self.name}: refused {hello.who}: {refused.text}")
        self._send(sender, 0, refused)

    def _end(self, why: str, *, spoiled: bool) -> None:
        session = self._session
        assert session is not None, "only a session ends"
        say(f"node {self.name}: the run of {session.who} has ended{': ' + why if why else ''}")
        self._peer = b""
        session.end(spoiled=spoiled)

    def _send(self, to: bytes, session: int, message: messages.Message) -> None:
        self._channel.send(wire.pack(session, message), to)
