"""What travels besides the control messages of sut.serve.cluster.wire: samples and their answers.

A sample is a message of several frames: a fixed head, then its pieces (sut.serve.network.packing).
It is one sample of one query: nothing is batched before the node. The head says which answer is
meant (`number`), the data set index that records of boxes name, and where the sample lies in its
image. Back come the numbers of one batch of the node, durations, and the response bytes.

Integers are little-endian. Every message is checked before it is used: it comes from a network.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sut.serve.cluster.wire import Malformed
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Sequence

# Kinds beside those of sut.serve.cluster.wire.Kind. A sample to warm up with has no answer, and one
# that only tries the way is let go when it is in its row.
SAMPLE, WARM_SAMPLE, ANSWERS, TRIED_SAMPLE = 16, 17, 18, 19
NO_FRAME = (0.0, 0.0, 0.0, 0.0)

# Kind, session, number, data set index; scale_y, scale_x, offset_y, offset_x of the sample.
_SAMPLE = Struct("<BQQi4f")
# Kind, session, served_ns, samples, bytes of a record (0: they differ). Then for each sample its
# number and how long it stayed (uint64 each), its size if they differ (uint32), and the bytes.
_ANSWERS = Struct("<BQqII")
_UINT64, _UINT32 = 8, 4


class SampleHead(NamedTuple):
    """What a node is told of a sample.

    Attributes:
        number: that its answer has.
        sample: its data set index.
        frame: where it lies in its image; see data.tasks.base.Frames.
    """

    number: int
    sample: int
    frame: tuple[float, float, float, float]


class Answers(NamedTuple):
    """The answers of one batch of a node.

    Attributes:
        served_ns: how long the engine took for it.
        numbers: of its samples.
        stayed_ns: of each, from its arrival at the node until its answer left.
        responses: of all.
    """

    served_ns: int
    numbers: list[int]
    stayed_ns: list[int]
    responses: Responses


def pack_sample(
    session: int, number: int, sample: int, frame: Sequence[float] = NO_FRAME, kind: int = SAMPLE
) -> bytes:
    """Return the first frame of a sample."""
    return _SAMPLE.pack(kind, session, number, sample, *frame)


def unpack_sample(data: bytes) -> SampleHead:
    """Return what the first frame of a sample says.

    Raises:
        Malformed: it has another size.
    """
    if len(data) != _SAMPLE.size:
        raise Malformed(f"the head of a sample has {len(data)} bytes; expected {_SAMPLE.size}")
    _, _, number, sample, *frame = _SAMPLE.unpack(data)
    return SampleHead(number, sample, (frame[0], frame[1], frame[2], frame[3]))


def pack_answers(
    session: int,
    numbers: Sequence[int],
    stayed_ns: Sequence[int],
    served_ns: int,
    responses: Responses,
) -> bytes:
    """Return the message that answers the samples of one batch."""
    head = _ANSWERS.pack(ANSWERS, session, served_ns, len(numbers), responses.record_bytes)
    sizes = array("I", () if responses.record_bytes else responses.sizes or [0] * len(numbers))
    stayed = array("Q", stayed_ns).tobytes()
    parts = (head, array("Q", numbers).tobytes(), stayed, sizes.tobytes())
    return b"".join((*parts, responses.block.tobytes()))


def unpack_answers(data: bytes) -> Answers:
    """Return what a message says that answers the samples of one batch.

    Raises:
        Malformed: the parts do not add up to the message.
    """
    if len(data) < _ANSWERS.size:
        raise Malformed(f"answers of {len(data)} bytes; expected {_ANSWERS.size} or more")
    _, _, served_ns, samples, record_bytes = _ANSWERS.unpack_from(data)
    at = _ANSWERS.size
    sized = 0 if record_bytes else _UINT32
    bytes_at = at + samples * (2 * _UINT64 + sized)
    if not samples or bytes_at > len(data):
        raise Malformed(f"answers to {samples} samples in {len(data)} bytes")
    sizes_at = at + 2 * samples * _UINT64
    numbers_and_stayed = memoryview(data)[at:sizes_at].cast("Q").tolist()
    sizes = () if record_bytes else tuple(memoryview(data)[sizes_at:bytes_at].cast("I"))
    block_bytes = record_bytes * samples or sum(sizes)
    if bytes_at + block_bytes != len(data):
        raise Malformed(f"answers of {block_bytes} bytes in a message of {len(data)}")
    responses = Responses(np.frombuffer(data, np.uint8, offset=bytes_at), record_bytes, sizes)
    return Answers(served_ns, numbers_and_stayed[:samples], numbers_and_stayed[samples:], responses)
