"""Messages between a test's process and its worker processes, over a socket pair.

To the worker: a batch's number and its data set indices. Back: the number, two times and the
response bytes. Samples and response ids do not travel.

A frame is the length of the rest, its kind, and the body. Integers are little-endian.
"""

from __future__ import annotations

import pickle
from array import array
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sut.serve.responses import Responses

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

_HEAD = Struct("<IB")
_BATCH = Struct("<Q")  # number; then int32 indices
_ANSWER = Struct("<QqqII")  # number, started_ns, finished_ns, bytes of a record, records
_SIZE_BYTES = 4
# Enough for the answers of many small batches at once; a larger frame grows the buffer.
_RECEIVE_BYTES = 1 << 18


class Kind(IntEnum):
    """The content of a frame."""

    CALL = 0  # pickled (method, arguments)
    RESULT = 1  # pickled value
    BATCH = 2
    ANSWER = 3
    FAILURE = 4  # pickled Failed
    RAISED = 5  # pickled sut.serve.workers.failures.Raised, in place of RESULT


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


def frame(kind: Kind, body: bytes) -> bytes:
    """Return a frame."""
    return _HEAD.pack(len(body) + 1, kind) + body


def pack_object(kind: Kind, value: object) -> bytes:
    """Return a frame with a pickled object, for control messages."""
    return frame(kind, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def pack_batch(number: int, indices: Sequence[int]) -> bytes:
    """Return the frame of a batch."""
    body = array("i", indices).tobytes()
    return _HEAD.pack(_BATCH.size + len(body) + 1, Kind.BATCH) + _BATCH.pack(number) + body


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
    sizes = array("I")
    sizes.frombytes(body[_ANSWER.size : start])
    block = np.frombuffer(bytes(body[start:]), np.uint8)
    return Answer(
        number, started_ns, finished_ns, Responses(block, record_bytes, tuple(sizes.tolist()))
    )


class Reader:
    """Reads frames from a socket, as many at once as have arrived."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._filled = 0

    def receive(self) -> Iterator[tuple[int, memoryview]]:
        """Wait for bytes; yield (kind, body) of every whole frame. A body is valid until the next.

        Raises:
            EOFError: the other end is closed.
            OSError: the socket is broken.
        """
        if self._filled == len(self._buffer):
            self._buffer.extend(bytes(len(self._buffer)))
        with memoryview(self._buffer) as view:
            got = self._sock.recv_into(view[self._filled :])
        if not got:
            raise EOFError
        self._filled += got
        yield from self._frames()

    def _frames(self) -> Iterator[tuple[int, memoryview]]:
        start = 0
        with memoryview(self._buffer) as view:
            while self._filled - start >= _HEAD.size:
                length, kind = _HEAD.unpack_from(view, start)
                end = start + _HEAD.size - 1 + length
                if end > self._filled:
                    break
                with view[start + _HEAD.size : end] as body:
                    yield kind, body
                start = end
            rest = bytes(view[start : self._filled]) if start else b""
        if start:
            self._buffer[: len(rest)] = rest
            self._filled = len(rest)
