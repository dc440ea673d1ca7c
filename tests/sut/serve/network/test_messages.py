"""Samples and answers on the wire: what is packed is unpacked, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sut.serve.cluster.wire import Malformed
from sut.serve.network.messages import (
    pack_answers,
    pack_sample,
    unpack_answers,
    unpack_sample,
)
from sut.serve.responses import Responses

SESSION = 7


def equal(count: int) -> Responses:
    return Responses.of(np.arange(count * 3, dtype=np.float32).reshape(count, 3))


def unequal(*sizes: int) -> Responses:
    return Responses.of([np.full(size, k, np.float32) for k, size in enumerate(sizes)])


def test_a_sample_says_its_number_its_index_and_where_it_lies() -> None:
    head = unpack_sample(pack_sample(SESSION, 1 << 40, 24_575, (0.5, 0.25, 0.0, 1.0)))

    assert head == (1 << 40, 24_575, (0.5, 0.25, 0.0, 1.0))


@pytest.mark.parametrize(
    "responses",
    [equal(1), equal(4), unequal(2, 0, 5), unequal(0), Responses(np.empty(0, np.uint8), 0)],
    ids=["one", "equal", "unequal", "empty", "nothing at all"],
)
def test_each_sample_gets_its_own_record(responses: Responses) -> None:
    sizes = responses.sizes or (responses.record_bytes,) * (
        len(responses.block) if responses.record_bytes else 1
    )
    numbers = list(range(10, 10 + len(sizes)))
    ends = np.cumsum(sizes).tolist()
    block = responses.block.tobytes()

    found = unpack_answers(pack_answers(SESSION, numbers, [k + 1 for k in numbers], 77, responses))

    assert found.served_ns == 77
    assert found.numbers == numbers
    assert found.stayed_ns == [k + 1 for k in numbers]
    alone = [found.responses.of_those([k == j for k in numbers]) for j in numbers]
    assert [one.block.tobytes() for one in alone] == [
        block[end - size : end] for size, end in zip(sizes, ends, strict=True)
    ]


@given(st.binary(max_size=200))
def test_noise_is_malformed_and_nothing_worse(noise: bytes) -> None:
    for unpack in (unpack_sample, unpack_answers):
        try:
            unpack(noise)
        except Malformed:
            continue
        assert unpack is unpack_sample
        assert len(noise) == len(pack_sample(0, 0, 0))


@pytest.mark.parametrize("cut", [1, 8, 30])
def test_answers_that_end_too_early_or_too_late_are_malformed(cut: int) -> None:
    whole = pack_answers(SESSION, [1, 2], [3, 4], 5, unequal(2, 3))

    for data in (whole[:-cut], whole + bytes(cut)):
        with pytest.raises(Malformed):
            unpack_answers(data)
