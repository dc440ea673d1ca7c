"""The QDL's socket to a node: samples leave from where they lie.

libzmq reads them there until they have left, and nobody copies, holds or frees them for it. pyzmq's
own way to send without a copy has a thread of Python that hears of every message that left; it and
its messages take a tenth of what the QDL spends on a sample of 602 kB.
"""

from __future__ import annotations

import ctypes
import errno
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import zmq

from sut.serve.cluster.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.serve.network.packing import Pieces

    # zmq_send(3) and zmq_send_const(3): socket, address or bytes, size, flags.
    Send = Callable[[int, int | bytes, int, int], int]

_NOW, _SEND_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK) | int(zmq.SNDMORE)
_BACKEND = "zmq.backend.cython._zmq"


class Travelling(NamedTuple):
    """A sample as libzmq sends it.

    Attributes:
        pieces: see sut.serve.network.packing; they hold the memory.
        parts: address and size of each, in bytes.
        size: of all, in bytes.
    """

    pieces: Pieces
    parts: tuple[tuple[int, int], ...]
    size: int

    @classmethod
    def of(cls, pieces: Pieces) -> Travelling:
        """Look where the pieces lie."""
        parts = tuple(
            (np.frombuffer(piece, np.uint8).ctypes.data, piece.nbytes) for piece in pieces
        )
        return cls(pieces, parts, sum(size for _, size in parts))


class PieceChannel(Channel):
    """See Channel.

    Args:
        sock: a DEALER.
        wake: see Channel.
        sends: zmq_send and zmq_send_const; none: pyzmq sends.
    """

    def __init__(
        self,
        sock: zmq.Socket[bytes],
        wake: Callable[[Channel], None],
        sends: Sequence[Send] | None = None,
    ) -> None:
        super().__init__(sock, wake)
        self._address = int(sock.underlying)
        self._sends = found_sends() if sends is None else sends

    def send_sample(self, head: bytes, sample: Travelling) -> bool:
        """Send a head and a sample, whose memory stays as it is until it left; else as `send`."""
        with self._lock:
            if self._sock.closed:
                return False
            sent = self._lend(head, sample) if self._sends else self._share(head, sample.pieces)
            missed = self._may_miss()
        if missed:
            self._wake(self)
        return sent

    def _lend(self, head: bytes, sample: Travelling) -> bool:
        (send, send_const), sock = self._sends, self._address
        *first, last = sample.parts
        return (
            _sent(send, sock, (head, len(head)), _SEND_MORE)
            and all(_sent(send_const, sock, part, _SEND_MORE) for part in first)
            and _sent(send_const, sock, last, _NOW)
        )

    def _share(self, head: bytes, pieces: Pieces) -> bool:
        try:
            self._sock.send_multipart((head, *pieces), zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True


def _sent(send: Send, sock: int, part: tuple[int | bytes, int], flags: int) -> bool:
    """Send one frame; False: nobody is there."""
    while send(sock, *part, flags) < 0:
        error = ctypes.get_errno()
        if error == errno.EAGAIN:
            return False
        if error != errno.EINTR:
            raise zmq.ZMQError(error)
    return True


def found_sends() -> Sequence[Send]:
    """Return zmq_send and zmq_send_const of the libzmq that pyzmq uses; none where it hides them.

    They never wait here, so they keep the interpreter's lock.
    """
    path = getattr(sys.modules.get(_BACKEND), "__file__", None)
    if path is None:
        return ()
    library = ctypes.PyDLL(path, use_errno=True)
    try:
        sends = library.zmq_send, library.zmq_send_const
    except AttributeError:  # pyzmq was built with a libzmq of its own inside
        return ()
    for send in sends:
        send.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sends
