"""A ZeroMQ socket that any thread may send on, while one thread receives.

ZeroMQ's sockets belong to one thread at a time: a lock keeps to that. Whoever receives sleeps on
the socket's descriptor, which tells of a message once: a send may take that notice away, and so it
looks, and wakes the receiver. Knows no message.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, cast

import zmq
from zmq.utils.monitor import parse_monitor_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# As plain integers: pyzmq's own take longer than the calls.
_NOW, _SEND_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK) | int(zmq.SNDMORE)
_INCOMING = int(zmq.POLLIN)
# What happens to a connection, beside messages.
BROKEN = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_CONNECT_RETRIED
REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


def descriptor_of(sock: zmq.Socket[bytes]) -> int:
    """Return what can be read when a socket may have messages."""
    descriptor = sock.FD
    assert isinstance(descriptor, int), "zmq_getsockopt(3): the type of ZMQ_FD"
    return descriptor


class Channel:
    """One DEALER or ROUTER. `Poller.attend` names who hears what comes.

    Of what pyzmq offers, this is what costs least for each message: to ask a socket whether it has
    messages takes a system call, and to receive where there are none an exception as well.
    """

    def __init__(self, sock: zmq.Socket[bytes], wake: Callable[[Channel], None]) -> None:
        self._sock = sock
        self._wake = wake
        self._routes = sock.type == zmq.ROUTER
        self._lock = threading.Lock()
        self._receiver = 0  # the thread that receives at this moment
        self.fd = descriptor_of(sock)

    def send(self, data: bytes, to: bytes = b"") -> bool:
        """Send a message, of a ROUTER to whom; never waits. Any thread.

        Returns:
            False: nobody is there.
        """
        with self._lock:
            sock = self._sock
            if sock.closed:
                return False
            sent = True
            try:
                if self._routes:
                    sock.send(to, _SEND_MORE)
                sock.send(data, _NOW)
            except zmq.Again:
                sent = False
            missed = self._may_miss()
        if missed:
            self._wake(self)
        return sent

    def _may_miss(self) -> bool:
        """Whether a send just now, even one in vain, took the notice of a message away."""
        # Whoever receives at this moment looks again before it sleeps.
        return self._receiver != threading.get_ident() and self._has_messages()

    def receive(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield sender and content of every message that has arrived. One thread at a time."""
        self._receiver = threading.get_ident()
        try:
            looks = False  # the descriptor has told of the first message
            while True:
                with self._lock:
                    if self._sock.closed or (looks and not self._has_messages()):
                        return
                    try:
                        message = self._read()
                    except zmq.Again:
                        return
                looks = True
                yield message
        finally:
            self._receiver = 0

    def _read(self) -> tuple[bytes, bytes]:
        sock = self._sock
        sender = sock.recv(_NOW) if self._routes else b""
        frame = sock.recv(_NOW, copy=False)  # it knows whether more follow; to ask takes longer
        data = frame.bytes
        while frame.more:  # none of ours has more
            frame = sock.recv(_NOW, copy=False)
            data += frame.bytes
        return sender, data

    def _has_messages(self) -> bool:
        return bool(cast("int", self._sock.getsockopt(zmq.EVENTS)) & _INCOMING)

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; what was sent may still leave for `linger_ms`."""
        with self._lock:
            self._sock.close(linger_ms)


class SourcedChannel(Channel):
    """A ROUTER that also tells which connection the last message came over."""

    source = -1
    """Of the last message: the descriptor that Monitor names when its connection breaks."""

    def _read(self) -> tuple[bytes, bytes]:
        frames = self._sock.recv_multipart(_NOW, copy=False)
        self.source = frames[-1].get(zmq.SRCFD)
        return frames[0].bytes, b"".join(frame.bytes for frame in frames[1:])


class Poller:
    """Sleeps until one of several channels has messages, or one of several files can be read.

    One thread uses it; any thread may `wake` it.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._heard: dict[int, Callable[[], None]] = {}
        self._missed: deque[Callable[[], None]] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._event, select.EPOLLIN)

    def watch(self, fd: int, hear: Callable[[], None]) -> None:
        """Call `hear` when `fd` can be read."""
        self._heard[fd] = hear
        self._epoll.register(fd, select.EPOLLIN)

    def attend(self, heard: Channel | Monitor, hear: Callable[[], None]) -> None:
        """Call `hear` when messages come, and once now: some may have come before."""
        self.watch(heard.fd, hear)
        self._look_at(heard.fd)

    def forget(self, fd: int) -> None:
        """Watch it no longer; call it before the file is closed."""
        if self._heard.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def missed(self, channel: Channel) -> None:
        """Look at a channel although its descriptor does not tell. Any thread."""
        self._look_at(channel.fd)

    def _look_at(self, fd: int) -> None:
        # By its number: what is forgotten in the meantime, or after an error, is not looked at.
        self.call(lambda: self._hear(fd))

    def _hear(self, fd: int) -> None:
        if (hear := self._heard.get(fd)) is not None:
            hear()

    def call(self, function: Callable[[], None]) -> None:
        """Call a function on the thread that polls. Any thread."""
        self._missed.append(function)
        os.eventfd_write(self._event, 1)

    def poll(self, limit_s: float | None = None) -> None:
        """Wait for at most `limit_s`, and let everybody hear what came."""
        for fd, _ in self._epoll.poll(limit_s):
            if fd == self._event:
                os.eventfd_read(self._event)
            else:
                self._hear(fd)
        while self._missed:
            self._missed.popleft()()

    def close(self) -> None:
        """Forget everything. Call it when nobody polls, calls or wakes it any more."""
        self._epoll.close()
        os.close(self._event)


class Monitor:
    """What happens to the connections of one socket, beside messages."""

    def __init__(self, sock: zmq.Socket[bytes], events: int) -> None:
        self._watched = sock
        self._sock = sock.get_monitor_socket(events)
        self.fd = descriptor_of(self._sock)

    def events(self) -> Iterator[tuple[int, int]]:
        """Yield each event that has come, one of zmq.Event, and the connection's descriptor."""
        while True:
            try:
                frames = self._sock.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            found = parse_monitor_message(frames)
            yield found["event"], found["value"]

    def close(self) -> None:
        """Stop watching; call it before the socket is closed."""
        self._watched.disable_monitor()
        self._sock.close(0)
