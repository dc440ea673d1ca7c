"""The QDL's socket to a node: samples leave from where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from sut.serve.cluster.channel import Channel

if TYPE_CHECKING:
    from sut.serve.network.packing import Pieces


class PieceChannel(Channel):
    """See Channel."""

    def send_pieces(self, head: bytes, pieces: Pieces) -> bool:
        """Send a head and pieces, which must not change until they left; else as `send`."""
        with self._lock:
            if self._sock.closed:
                return False
            sent = True
            try:
                self._sock.send_multipart((head, *pieces), zmq.NOBLOCK, copy=False)
            except zmq.Again:
                sent = False
            missed = self._may_miss()
        if missed:
            self._wake(self)
        return sent
