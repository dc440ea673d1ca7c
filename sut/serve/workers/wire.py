"""Messages between a test's process and its worker processes, over a socket pair.

To the worker: a batch's number and its data set indices. Back: the number, two times and the
response bytes. Samples and response ids do not travel.

A frame is the length of the rest, its kind, and the body. Integers are little-endian.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import time
from array import array
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEAD = Struct("<IB")
_BATCH = Struct("<Q")  # number; then int32 indices
_ANSWER = Struct("<QqqII")  # number, started_ns, finished_ns, bytes of a record, records
_SIZE_BYTES = 4
# Enough for the answers of many small batches at once; a larger frame grows the buffer.
_RECEIVE_BYTES = 1 << 18
# Who is about to be answered looks for so long before it sleeps. Waking a thread takes about 40 us:
# 1 % of this. A test that stands still uses a core for no longer.
SPIN_NS = 5_000_000


class Kind(IntEnum):
    """The content of a frame."""

    CALL = 0  # pickled (method, arguments)
    RESULT = 1  # pickled value
    BATCH = 2
    ANSWER = 3
    FAILURE = 4  # pickled Failed
    RAISED = 5  # pickled sut.serve.workers.failures.Raised, in place of RESULT or ANSWER
    RUN = 6  # as BATCH, for the thread that receives it; its ANSWER is waited for
    STEP = 7  # UTF-8 text: what it does while the engine opens


class Failed(NamedTuple):
    """A batch that raised."""

    number: int
    started_ns: int
    finished_ns: int
    error: str
    traceback: str


class Answer(NamedTuple):
    """A batch that succeeded."""

    number: int
    started_ns: int
    finished_ns: int
    responses: Responses


def frame(kind: IntEnum, body: bytes) -> bytes:
    """Return a frame."""
    return _HEAD.pack(len(body) + 1, kind) + body


def pack_object(kind: IntEnum, value: object) -> bytes:
    """Return a frame with a pickled object, for control messages."""
    return frame(kind, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def pack_batch(number: int, indices: Sequence[int], kind: Kind = Kind.BATCH) -> bytes:
    """Return the frame of a batch."""
    body = array("i", indices).tobytes()
    return _HEAD.pack(_BATCH.size + len(body) + 1, kind) + _BATCH.pack(number) + body


def unpack_batch(body: memoryview) -> tuple[int, list[int]]:
    """Return a batch's number and its indices."""
    indices = array("i")
    indices.frombytes(body[_BATCH.size :])
    return _BATCH.unpack_from(body)[0], indices.tolist()


def pack_answer(number: int, started_ns: int, finished_ns: int, responses: Responses) -> bytes:
    """Return the frame of an answered batch."""
    sizes = array("I", responses.sizes).tobytes()
    block = responses.block.tobytes()
    head = _ANSWER.pack(
        number, started_ns, finished_ns, responses.record_bytes, len(responses.sizes)
    )
    return frame(Kind.ANSWER, head + sizes + block)


def unpack_answer(body: memoryview) -> Answer:
    """Return an answered batch, with a copy of the bytes in `body`."""
    number, started_ns, finished_ns, record_bytes, records = _ANSWER.unpack_from(body)
    start = _ANSWER.size + records * _SIZE_BYTES
    sizes = array("I", body[_ANSWER.size : start].tobytes()) if records else ()
    block = np.frombuffer(bytes(body[start:]), np.uint8)
    return Answer(number, started_ns, finished_ns, Responses(block, record_bytes, tuple(sizes)))


class Reader:
    """Reads frames from a socket, as many at once as have arrived."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(_RECEIVE_BYTES))
        self._filled = 0

    def receive(
        self, spin_ns: int = 0, limit_s: float | None = None
    ) -> Iterator[tuple[int, memoryview]]:
        """Wait for bytes; yield (kind, body) of every whole frame. A body is valid until the next.

        Args:
            spin_ns: how long to look without sleeping before it sleeps.
            limit_s: how long to sleep at most; None: as long as it takes.

        Raises:
            EOFError: the other end is closed.
            TimeoutError: nothing came within the limit.
            OSError: the socket is broken.
        """
        if self._filled == len(self._view):
            full, self._view = self._view, memoryview(bytearray(2 * self._filled))
            self._view[: self._filled] = full
        room = self._view[self._filled :]
        got = self._look(room, spin_ns) if spin_ns else None
        if got is None:
            got = self._sleep(room, limit_s)
        if not got:
            raise EOFError
        self._filled += got
        view, start, filled = self._view, 0, self._filled
        while filled - start >= _HEAD.size:
            length, kind = _HEAD.unpack_from(view, start)
            end = start + _SIZE_BYTES + length
            if end > filled:
                break
            yield kind, view[start + _HEAD.size : end]
            start = end
        self._filled = filled - start
        if start and self._filled:
            view[: self._filled] = bytes(view[start:filled])

    def _look(self, room: memoryview, spin_ns: int) -> int | None:
        """Receive within `spin_ns` without sleeping; None: nothing came."""
        receive, end_ns = self._sock.recv_into, time.monotonic_ns() + spin_ns
        while True:
            try:
                return receive(room, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.monotonic_ns() >= end_ns:
                    return None
                # Where cores are few, the other end needs this one.
                os.sched_yield()

    def _sleep(self, room: memoryview, limit_s: float | None) -> int:
        if limit_s is not None:
            waiting = select.poll()
            waiting.register(self._sock, select.POLLIN)
            if not waiting.poll(limit_s * 1e3):
                raise TimeoutError
        return self._sock.recv_into(room)
