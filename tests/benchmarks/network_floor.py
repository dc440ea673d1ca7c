"""What it costs at least that samples travel: bare ZeroMQ, and bare TCP.

Two processes, and no queue, policy or LoadGen: one sends samples in turn, the other receives them
into rows and answers each batch, as often as engines would. What both ends use is processor time,
which depends less than rates do on what else the machine does. Part of tests.benchmarks.network.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import zmq

from sut.serve.network.channel import PieceChannel, Travelling

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LIBRARY, ROWS, BATCH = 20, 64, 4
ANSWER, HEAD = bytes(100), bytes(37)
MS = 1e3
LOOPBACK = "127.0.0.1"


class End(ABC):
    """One end of a connection, that sends samples or receives them. Use it in a `with`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def port(self) -> int:
        """Listen; return where."""

    @abstractmethod
    def connect(self, port: int) -> None:
        """Connect to the other end."""

    @abstractmethod
    def send(self, sample: memoryview) -> None:
        """Send a sample from where it lies."""

    @abstractmethod
    def receive(self, row: memoryview) -> None:
        """Receive a sample into a row."""

    @abstractmethod
    def answer(self) -> None:
        """Answer a batch, to whoever sent the last sample."""

    @abstractmethod
    def wait(self) -> None:
        """Wait for an answer."""


class OverZmq(End):
    """A DEALER and a ROUTER."""

    def __init__(self) -> None:
        super().__init__(ExitStack())
        self._context = self._stack.enter_context(zmq.Context())
        self._peer = b""

    def _socket(self, kind: int) -> None:
        self._sock = self._stack.enter_context(self._context.socket(kind))
        self._sock.set_hwm(0)

    def port(self) -> int:
        self._socket(zmq.ROUTER)
        return self._sock.bind_to_random_port(f"tcp://{LOOPBACK}")

    def connect(self, port: int) -> None:
        self._socket(zmq.DEALER)
        self._sock.connect(f"tcp://{LOOPBACK}:{port}")
        self._channel = PieceChannel(self._sock, lambda _: None)

    def send(self, sample: memoryview) -> None:
        self._channel.send_sample(HEAD, Travelling.of((sample,)))

    def receive(self, row: memoryview) -> None:
        self._peer = self._sock.recv()
        self._sock.recv()
        self._sock.recv_into(row)

    def answer(self) -> None:
        self._sock.send_multipart((self._peer, ANSWER))

    def wait(self) -> None:
        self._sock.recv()


class OverTcp(End):
    """A socket of the system, whose only copies are the kernel's."""

    def __init__(self) -> None:
        super().__init__(ExitStack())
        self._listener: socket.socket | None = None
        self._connected: socket.socket | None = None

    @property
    def _sock(self) -> socket.socket:
        if self._connected is None:
            assert self._listener is not None, "it listens, or has connected"
            self._connected = self._stack.enter_context(self._listener.accept()[0])
        return self._connected

    def port(self) -> int:
        self._listener = self._stack.enter_context(socket.create_server((LOOPBACK, 0)))
        return int(self._listener.getsockname()[1])

    def connect(self, port: int) -> None:
        self._connected = self._stack.enter_context(socket.create_connection((LOOPBACK, port)))
        self._connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, sample: memoryview) -> None:
        self._sock.sendall(sample)

    def receive(self, row: memoryview) -> None:
        _fill(self._sock, row)

    def answer(self) -> None:
        self._sock.sendall(ANSWER)

    def wait(self) -> None:
        _fill(self._sock, memoryview(bytearray(len(ANSWER))))


def _fill(sock: socket.socket, room: memoryview) -> None:
    while room:
        room = room[sock.recv_into(room) :]


BARE: dict[str, type[OverZmq | OverTcp]] = {"ZeroMQ": OverZmq, "TCP": OverTcp}


def floor_ms(way: str, samples: int, rate: float, sample_bytes: int) -> float:
    """Let samples travel; return the processor time of both ends, in ms a sample.

    Args:
        way: a key of BARE.
        samples: a multiple of BATCH, above ROWS.
        rate: that the node answers, in samples/s.
        sample_bytes: of each.
    """
    here, there = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    node = spawn.Process(target=_node, args=(there, way, samples, rate, sample_bytes), daemon=True)
    node.start()
    there.close()  # so that its end is noticed
    library = [memoryview(os.urandom(sample_bytes)) for _ in range(LIBRARY)]
    with BARE[way]() as end:
        end.connect(here.recv())
        used_s = 0.0
        for sent in range(samples):
            if sent >= ROWS and sent % BATCH == 0:
                end.wait()
            if sent == ROWS:
                used_s = time.process_time()
            end.send(library[sent % LIBRARY])
        for _ in range(ROWS // BATCH):
            end.wait()
        used_s = time.process_time() - used_s
        found = (used_s + float(here.recv())) * MS / (samples - ROWS)
        here.send(None)
    node.join()
    return found


def _node(pipe: Connection, way: str, samples: int, rate: float, sample_bytes: int) -> None:
    block = memoryview(bytearray(ROWS * sample_bytes))
    rows = [block[k * sample_bytes : (k + 1) * sample_bytes] for k in range(ROWS)]
    used_s, due_s = 0.0, time.monotonic()
    with BARE[way]() as end:
        pipe.send(end.port())
        for received in range(samples):
            if received == ROWS:
                used_s = time.process_time()
            end.receive(rows[received % ROWS])
            if received % BATCH == BATCH - 1:
                due_s = max(due_s + BATCH / rate, time.monotonic())
                time.sleep(max(0.0, due_s - time.monotonic()))
                end.answer()
        pipe.send(time.process_time() - used_s)
        pipe.recv()  # until the last answer is there
