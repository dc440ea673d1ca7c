"""A node's socket: control messages, and samples that are received into rows of the slab.

libzmq reads a large frame from the network into memory of its own; from there it goes straight
into the row. Nothing of Python is between. Knows no engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import zmq

from sut.serve.cluster.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sut.serve.network.packing import Place


_NOW = int(zmq.NOBLOCK)  # pyzmq's own takes longer than the call


class Room(NamedTuple):
    """Where a sample goes.

    Attributes:
        row: of the slab.
        kind: of the message.
        place: what its frames are received into; empty: they are handed on as they came.
    """

    row: int
    kind: int
    place: Place


class Arrival(NamedTuple):
    """One message.

    Attributes:
        sender: who sent it.
        head: its first frame.
        room: of a sample; None: it is none, or there is no room for it.
        sizes: of the frames that were received into the room, as they were sent.
        pieces: the other frames.
    """

    sender: bytes
    head: bytes
    room: Room | None
    sizes: list[int]
    pieces: list[memoryview]


class SampleChannel(Channel):
    """See Channel. One thread receives with `arrivals`, in place of `receive`.

    Args:
        sock: a ROUTER.
        wake: see Channel.
        room: is told the sender and the head of a message of several frames, and says where its
            other frames go; None: nowhere.
    """

    def __init__(
        self,
        sock: zmq.Socket[bytes],
        wake: Callable[[Channel], None],
        room: Callable[[bytes, bytes], Room | None],
    ) -> None:
        super().__init__(sock, wake)
        self._room = room

    def arrivals(self) -> Iterator[Arrival]:
        """Yield every message that has arrived."""
        looks = False  # the descriptor has told of the first message
        while (arrival := self._arrival(looks=looks)) is not None:
            looks = True
            yield arrival

    def _arrival(self, *, looks: bool) -> Arrival | None:
        with self._lock:
            sock = self._sock
            if sock.closed or (looks and not self._has_messages()):
                return None
            try:
                sender = sock.recv(_NOW)
            except zmq.Again:
                return None
            # All frames of a message arrive together. A frame says itself whether there are more,
            # in a tenth of the time in which the socket does.
            frame = sock.recv(copy=False)
            head, more = frame.bytes, frame.more
            room = self._room(sender, head) if more else None
            sizes: list[int] = []
            pieces: list[memoryview] = []
            for piece in () if room is None else room.place:
                if more:
                    sizes.append(sock.recv_into(piece))
                    more = bool(sock.getsockopt(zmq.RCVMORE))
            while more:
                frame = sock.recv(copy=False)
                pieces.append(memoryview(frame.buffer))
                more = frame.more
            return Arrival(sender, head, room, sizes, pieces)
