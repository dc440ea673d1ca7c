"""The bytes between a run and its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sut.serve.cluster import messages, wire
from sut.serve.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION, NUMBER = 0xFEDC_BA98_7654_3210, 7


def equal(records: int, record_bytes: int = 4) -> Responses:
    block = np.arange(records * record_bytes, dtype=np.uint8)
    return Responses(block, record_bytes)


def test_a_batch_comes_back_as_its_number_and_indices() -> None:
    data = wire.pack_batch(SESSION, NUMBER, [5, 0, 2**31 - 1])

    assert wire.head_of(data) == (wire.Kind.BATCH, SESSION)
    assert wire.unpack_batch(data) == (NUMBER, [5, 0, 2**31 - 1])


@pytest.mark.parametrize(
    "responses",
    [equal(3), Responses(np.arange(6, dtype=np.uint8), 0, (1, 0, 5))],
    ids=["equal", "unequal"],
)
def test_an_answer_comes_back_with_its_durations_and_bytes(responses: Responses) -> None:
    data = wire.pack_answer(SESSION, NUMBER, (-1, 2, 3), responses)

    answer = wire.unpack_answer(data)

    assert wire.head_of(data) == (wire.Kind.ANSWER, SESSION)
    assert answer[:4] == (NUMBER, -1, 2, 3)
    assert answer.responses.block.tobytes() == responses.block.tobytes()
    assert answer.responses[1:] == responses[1:]
    assert wire.fits(answer.responses, 3)


@pytest.mark.parametrize(
    ("responses", "samples"),
    [
        (equal(3), 4),
        (equal(3, 0), 3),
        (Responses(np.zeros(6, np.uint8), 0, (1, 5)), 3),
        (Responses(np.zeros(6, np.uint8), 0, (1, 4)), 2),
    ],
)
def test_responses_that_are_not_those_of_the_batch_do_not_fit(
    responses: Responses, samples: int
) -> None:
    is_empty = responses.record_bytes == 0 and not responses.sizes

    assert wire.fits(responses, samples) is is_empty


@pytest.mark.parametrize(
    "message",
    [messages.Hello(1, "2.0", "me"), messages.Bye(spoiled=True)],
)
def test_a_control_message_comes_back_as_it_was(message: messages.ToNode) -> None:
    data = wire.pack(SESSION, message)

    assert wire.head_of(data) == (wire.Kind.CONTROL, SESSION)
    assert wire.unpack(data, messages.TO_NODE) == message


def test_a_side_reads_only_what_the_other_may_send() -> None:
    data = wire.pack(SESSION, messages.Welcome("alpha"))

    with pytest.raises(wire.Malformed, match="no message of this protocol"):
        wire.unpack(data, messages.TO_NODE)


def test_text_that_is_not_utf_8_is_malformed() -> None:
    data = wire.pack(SESSION, messages.Welcome("alpha")).replace(b"alpha", b"\xe5alph")

    with pytest.raises(wire.Malformed, match="can't decode"):
        wire.unpack(data, messages.FROM_NODE)


def outcome(read: Callable[[bytes], object], data: bytes) -> str:
    """Return what became of reading; whatever else is raised fails the test."""
    try:
        read(data)
    except wire.Malformed as error:
        return str(error)
    return "read"


@settings(deadline=None)  # of a busy machine
@given(st.binary(max_size=80))
def test_bytes_that_are_no_message_are_malformed_and_nothing_else(noise: bytes) -> None:
    for kind in wire.Kind:
        data = bytes([kind]) + noise
        for read in (
            wire.head_of,
            wire.unpack_batch,
            wire.unpack_answer,
            lambda it: wire.unpack(it, messages.TO_NODE),
            lambda it: wire.unpack(it, messages.FROM_NODE),
            lambda it: wire.unpack(it, messages.TO_WORKER),
            lambda it: wire.unpack(it, messages.FROM_WORKER),
        ):
            assert outcome(read, data)
