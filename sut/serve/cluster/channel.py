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
from typing import TYPE_CHECKING

import zmq
from zmq.utils.monitor import parse_monitor_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Frames = list[bytes]

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


def has_messages(sock: zmq.Socket[bytes]) -> bool:
    """Say whether a socket has messages that nobody has received."""
    events = sock.EVENTS
    assert isinstance(events, int), "zmq_getsockopt(3): the type of ZMQ_EVENTS"
    return bool(events & zmq.POLLIN)


class Channel:
    """One socket. `Poller.watch` names who hears what comes."""

    def __init__(self, sock: zmq.Socket[bytes], wake: Callable[[Channel], None]) -> None:
        self._sock = sock
        self._wake = wake
        self._lock = threading.Lock()
        self.fd = descriptor_of(sock)

    def send(self, *frames: bytes) -> bool:
        """Send a message; never waits. False: nobody is there. Any thread."""
        with self._lock:
            if self._sock.closed:
                return False
            try:
                self._sock.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                return False
            missed = has_messages(self._sock)
        if missed:
            self._wake(self)
        return True

    def receive(self) -> Iterator[Frames]:
        """Yield every message that has arrived. One thread at a time."""
        while (frames := self._next()) is not None:
            yield frames

    def _next(self) -> Frames | None:
        with self._lock:
            if self._sock.closed:
                return None
            try:
                return self._sock.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; what was sent may still leave for `linger_ms`."""
        with self._lock:
            self._sock.close(linger_ms)


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
        self.call(hear)

    def forget(self, fd: int) -> None:
        """Watch it no longer; call it before the file is closed."""
        if self._heard.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def missed(self, channel: Channel) -> None:
        """Look at a channel although its descriptor does not tell. Any thread."""
        if (hear := self._heard.get(channel.fd)) is not None:
            self.call(hear)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function on the thread that polls. Any thread."""
        self._missed.append(function)
        os.eventfd_write(self._event, 1)

    def poll(self, limit_s: float | None = None) -> None:
        """Wait for at most `limit_s`, and let everybody hear what came."""
        for fd, _ in self._epoll.poll(limit_s):
            if fd == self._event:
                os.eventfd_read(self._event)
            elif (hear := self._heard.get(fd)) is not None:
                hear()
        while self._missed:
            self._missed.popleft()()

    def close(self) -> None:
        """Forget everything."""
        self._epoll.close()
        os.close(self._event)


class Monitor:
    """What happens to the connections of one socket, beside messages."""

    def __init__(self, sock: zmq.Socket[bytes], events: int) -> None:
        self._watched = sock
        self._sock = sock.get_monitor_socket(events)
        self.fd = descriptor_of(self._sock)

    def events(self) -> Iterator[int]:
        """Yield each event that has come: one of zmq.Event."""
        while True:
            try:
                frames = self._sock.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield parse_monitor_message(frames)["event"]

    def close(self) -> None:
        """Stop watching; call it before the socket is closed."""
        self._watched.disable_monitor()
        self._sock.close(0)
