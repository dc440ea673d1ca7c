"""Messages between a test's process and its workers, over a real socket pair."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.serve.responses import Responses
from sut.serve.workers.wire import (
    Kind,
    Reader,
    pack_answer,
    pack_batch,
    pack_object,
    unpack_answer,
    unpack_batch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def frames(reader: Reader, count: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while len(found) < count:
        found += [(kind, bytes(body)) for kind, body in reader.receive()]
    return found


def test_what_comes_while_nobody_sleeps_is_received(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ours.sendall(pack_batch(7, [1], Kind.RUN))

    ((kind, body),) = Reader(theirs).receive(spin_ns=1)

    assert kind == Kind.RUN
    assert unpack_batch(body) == (7, [1])


def test_whoever_may_not_wait_for_ever_hears_that_nothing_came(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(TimeoutError):
        list(Reader(pair[1]).receive(spin_ns=1, limit_s=0.01))


@given(
    number=st.integers(0, 2**64 - 1),
    indices=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=50),
)
def test_a_batch_arrives_as_it_was_sent(number: int, indices: list[int]) -> None:
    data = pack_batch(number, indices)

    assert unpack_batch(memoryview(data)[5:]) == (number, indices)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=10))
def test_records_of_any_sizes_arrive_as_they_were_sent(records: list[bytes]) -> None:
    sent = Responses.of([np.frombuffer(record, np.uint8) for record in records])
    data = pack_answer(7, 100, 200, sent)

    answer = unpack_answer(memoryview(data)[5:])

    assert (answer.number, answer.started_ns, answer.finished_ns) == (7, 100, 200)
    assert answer.responses.sizes == tuple(len(record) for record in records)
    assert answer.responses.block.tobytes() == b"".join(records)


def test_equal_records_are_sent_without_their_sizes() -> None:
    sent = Responses.of(np.arange(6, dtype=np.float32).reshape(3, 2))

    answer = unpack_answer(memoryview(pack_answer(1, 2, 3, sent))[5:])

    assert answer.responses.record_bytes == 8
    assert answer.responses.sizes == ()
    assert answer.responses.block.view(np.float32).tolist() == [0, 1, 2, 3, 4, 5]


@given(cuts=st.lists(st.integers(1, 400), max_size=20))
def test_frames_are_found_however_the_bytes_arrive(cuts: list[int]) -> None:
    data = b"".join(pack_batch(k, list(range(k + 1))) for k in range(12))
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(data[start : start + cut])
        start += cut
    pieces.append(data[start:])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = Reader(ours)
        found: list[tuple[int, list[int]]] = []
        for piece in filter(None, pieces):
            theirs.sendall(piece)
            found += [unpack_batch(body) for _, body in reader.receive()]

    assert found == [(k, list(range(k + 1))) for k in range(12)]


def test_a_frame_larger_than_the_buffer_arrives(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    value = bytes(range(256)) * 400  # 100 kB each: three of them are more than the buffer
    reader = Reader(ours)
    found: list[tuple[int, bytes]] = []
    for _ in range(8):
        theirs.sendall(pack_object(Kind.RESULT, value))
        found += frames(reader, 1)

    assert {kind for kind, _ in found} == {Kind.RESULT}
    assert all(value in body for _, body in found)


def test_a_closed_end_is_an_end_of_file(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()

    with pytest.raises(EOFError):
        list(Reader(ours).receive())
