"""Samples leave from where they lie, and libzmq reads them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

import zmq

from sut.serve.network.channel import PieceChannel, Travelling, found_sends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.serve.network.channel import Send


def nobody(_: object) -> None:
    raise AssertionError("no message comes back")


def test_the_pyzmq_of_the_lock_lets_libzmq_send_constant_memory() -> None:
    assert len(found_sends()) == 2


@pytest.mark.parametrize("sends", [None, ()], ids=["lent", "by pyzmq"])
def test_a_sample_of_two_inputs_arrives_behind_its_head(sends: Sequence[Send] | None) -> None:
    image = np.arange(200_000, dtype=np.uint8)
    sample = Travelling.of((image.data, memoryview(b"\0place")))
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        with context.socket(zmq.ROUTER) as node:
            port = node.bind_to_random_port("tcp://127.0.0.1")
            sock.connect(f"tcp://127.0.0.1:{port}")
            channel = PieceChannel(sock, nobody, sends)
            sent = channel.send_sample(b"he\0ad", sample)
            found = node.recv_multipart()[1:]
        channel.close()

    assert sent
    assert found == [b"he\0ad", image.tobytes(), b"\0place"]
    assert sample.size == sum(map(len, found[1:]))


@pytest.mark.parametrize("sends", [None, ()], ids=["lent", "by pyzmq"])
def test_without_a_node_or_after_its_end_nothing_is_sent(sends: Sequence[Send] | None) -> None:
    sample = Travelling.of((memoryview(bytes(100_000)),))
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        channel = PieceChannel(sock, nobody, sends)
        without = channel.send_sample(b"head", sample)
        channel.close()
        after = channel.send_sample(b"head", sample)

    assert (without, after) == (False, False)


def test_what_libzmq_refuses_is_an_error() -> None:
    sample = Travelling.of((memoryview(b"sample"),))
    with zmq.Context() as context, context.socket(zmq.SUB) as sock:
        channel = PieceChannel(sock, nobody)
        with pytest.raises(zmq.ZMQError, match="not supported"):
            channel.send_sample(b"head", sample)
