"""Messages between a run and the nodes of its cluster, over ZeroMQ.

A message is one frame: its kind, the number of the session, and a body. A batch and its answer have
fixed heads; everything else is a msgspec structure as MessagePack, never a pickle. To the worker go
a batch's number and its indices. Back come the number, durations and the response bytes: the number
stands for LoadGen's ids, which stay where they are, and no clock of another machine is ever read.

Integers are little-endian. Every body is checked before it is used: it comes from a network.
"""

from __future__ import annotations

from array import array
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
import numpy as np

from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.serve.cluster.messages import Message

T = TypeVar("T")

# Larger messages are not read: the indices of 16 million samples fit.
LARGEST_BYTES = 1 << 26

_HEAD = Struct("<BQ")  # kind, session
_BATCH = Struct("<BQQ")  # and number; then int32 indices
# And number, waited_ns, served_ns, stayed_ns, bytes of a record, records; then uint32 sizes.
_ANSWER = Struct("<BQQqqqII")
_SIZE_BYTES = 4
_encoder = msgspec.msgpack.Encoder()


class Malformed(Exception):
    """A message that is none of ours; the text says why."""


class Kind(IntEnum):
    """The content of a message."""

    CONTROL = 0
    BATCH = 1
    ANSWER = 2


class Answer(NamedTuple):
    """A batch that succeeded.

    Attributes:
        number: of the batch.
        waited_ns: from its arrival at the worker to the start of the engine.
        served_ns: from the engine's start to its finish.
        stayed_ns: from its arrival at the worker until its answer left.
        responses: a copy of the bytes that came.
    """

    number: int
    waited_ns: int
    served_ns: int
    stayed_ns: int
    responses: Responses


def pack(session: int, message: Message) -> bytes:
    """Return the frame of a control message."""
    return _HEAD.pack(Kind.CONTROL, session) + _encoder.encode(message)


def pack_batch(session: int, number: int, indices: Sequence[int]) -> bytes:
    """Return the frame of a batch."""
    return _BATCH.pack(Kind.BATCH, session, number) + array("i", indices).tobytes()


def pack_answer(
    session: int, number: int, times_ns: tuple[int, int, int], responses: Responses
) -> bytes:
    """Return the frame of an answered batch; see Answer for the times."""
    sizes = responses.sizes
    head = _ANSWER.pack(Kind.ANSWER, session, number, *times_ns, responses.record_bytes, len(sizes))
    return b"".join((head, array("I", sizes).tobytes(), responses.block.tobytes()))


def head_of(data: bytes) -> tuple[int, int]:
    """Return the kind and the session of a frame.

    Raises:
        Malformed: it is too short for a head.
    """
    if len(data) < _HEAD.size:
        raise Malformed(f"{len(data)} bytes; expected a head of {_HEAD.size}")
    kind, session = _HEAD.unpack_from(data)
    return kind, session


def unpack(data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Return a control message.

    Raises:
        Malformed: it is no message that `decoder` knows.
    """
    try:
        return decoder.decode(memoryview(data)[_HEAD.size :])
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise Malformed(f"no message of this protocol: {error}") from error


def unpack_batch(data: bytes) -> tuple[int, list[int]]:
    """Return a batch's number and its indices.

    Raises:
        Malformed: it ends too early.
    """
    if len(data) <= _BATCH.size:
        raise Malformed(f"a batch of {len(data)} bytes; expected a head and indices")
    return _BATCH.unpack_from(data)[2], int32s(memoryview(data)[_BATCH.size :])


def int32s(data: bytes | memoryview) -> list[int]:
    """Return the integers in `data`.

    Raises:
        Malformed: it ends within one.
    """
    found = array("i")
    if len(data) % found.itemsize:
        raise Malformed(f"{len(data)} bytes of indices; expected a multiple of {found.itemsize}")
    found.frombytes(data)
    return found.tolist()


def unpack_answer(data: bytes) -> Answer:
    """Return an answered batch.

    Raises:
        Malformed: it ends too early.
    """
    if len(data) < _ANSWER.size:
        raise Malformed(f"an answer of {len(data)} bytes; expected {_ANSWER.size} or more")
    _, _, number, waited_ns, served_ns, stayed_ns, record_bytes, records = _ANSWER.unpack_from(data)
    start = _ANSWER.size + records * _SIZE_BYTES
    if start > len(data):
        raise Malformed(f"an answer of {len(data)} bytes; expected {records} sizes in it")
    sizes = tuple(array("I", data[_ANSWER.size : start])) if records else ()
    block = np.frombuffer(data, np.uint8, offset=start)
    responses = Responses(block, record_bytes, sizes)
    return Answer(number, waited_ns, served_ns, stayed_ns, responses)


def fits(responses: Responses, samples: int) -> bool:
    """Say whether there is a response to each of so many samples, with all of its bytes."""
    if responses.sizes:
        return len(responses.sizes) == samples and sum(responses.sizes) == len(responses.block)
    return responses.record_bytes * samples == len(responses.block)
