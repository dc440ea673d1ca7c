"""A socket on which any thread sends: no message is missed, and none is heard that is forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed")

import zmq

from sut.serve.cluster.channel import Channel, Poller

if TYPE_CHECKING:
    from collections.abc import Iterator

# libzmq looks for commands, such as that of a message, no more than once a millisecond.
LOOKS_AGAIN_S = 0.01


class Ends:
    """A channel whose other end is a ROUTER in this process, and what it heard."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.router = context.socket(zmq.ROUTER)
        dealer = context.socket(zmq.DEALER)
        for sock in (self.router, dealer):
            sock.set_hwm(1)
            sock.linger = 0
        self.router.bind("inproc://ends")
        dealer.connect("inproc://ends")
        self.poller = Poller()
        self.channel = Channel(dealer, self.poller.missed)
        self.heard: list[bytes] = []
        self.poller.attend(self.channel, self.hear)
        self.poller.poll(0)

    def hear(self) -> None:
        self.heard += [data for _, data in self.channel.receive()]

    def fill(self) -> None:
        """Send until nothing more has room."""
        while self.channel.send(b"more"):
            pass


@pytest.fixture
def ends() -> Iterator[Ends]:
    with zmq.Context() as context:
        made = Ends(context)
        yield made
        made.channel.close()
        made.router.close(0)
        made.poller.close()


def test_a_send_in_vain_that_takes_the_notice_of_a_message_wakes_the_receiver(ends: Ends) -> None:
    ends.fill()
    peer, _ = ends.router.recv_multipart()
    time.sleep(LOOKS_AGAIN_S)
    ends.fill()
    ends.router.send_multipart((peer, b"answer"))
    time.sleep(LOOKS_AGAIN_S)

    sent = ends.channel.send(b"no room")
    ends.poller.poll(1)

    assert not sent
    assert ends.heard == [b"answer"]


def test_a_channel_that_was_forgotten_is_not_looked_at(ends: Ends) -> None:
    def must_not_be_called() -> None:
        raise AssertionError("it was forgotten")

    ends.poller.forget(ends.channel.fd)
    ends.poller.attend(ends.channel, must_not_be_called)
    ends.poller.missed(ends.channel)
    ends.poller.forget(ends.channel.fd)

    ends.poller.poll(0)

    assert ends.heard == []
