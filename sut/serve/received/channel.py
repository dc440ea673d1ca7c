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


class Room(NamedTuple):
    """Where a sample goes.

    Attributes:
        row: of the slab.
        place: what its frames are received into; empty: they are handed on as they came.
    """

    row: int
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
        while (arrival := self._arrival()) is not None:
            yield arrival

    def _arrival(self) -> Arrival | None:
        with self._lock:
            sock = self._sock
            if sock.closed:
                return None
            try:
                sender = sock.recv(zmq.NOBLOCK)
            except zmq.Again:
                return None
            # All frames of a message arrive together.
            head = sock.recv() if sock.RCVMORE else b""
            room = self._room(sender, head) if sock.RCVMORE else None
            place = () if room is None else room.place
            sizes: list[int] = []
            pieces: list[memoryview] = []
            while sock.RCVMORE:
                if len(sizes) < len(place):
                    sizes.append(sock.recv_into(place[len(sizes)]))
                else:
                    pieces.append(memoryview(sock.recv(copy=False).buffer))
            return Arrival(sender, head, room, sizes, pieces)
