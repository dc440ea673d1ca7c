"""An RTSP server on loopback: one H.264 clip for each connection, RTP interleaved (RFC 2326, 6184).

Interleaved on the connection, no packet can be lost, so a test sees each frame. What goes wrong is
chosen by the path of the address:

401, 404     refused
locked       refused without the password of USER
mute         it never answers DESCRIBE
stalls       it is silent after two frames
leaves       it closes the connection after two frames
camera       its stream ends although it has no length
clip         all frames, and RTCP's BYE
"""

from __future__ import annotations

import base64
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE, RATE, COUNT = (64, 32), 5, 10
USER = "guard:s3cret"
_REASONS = {"401": "Unauthorized", "404": "Not Found"}
_CLOCK, _PAYLOAD, _SSRC, _FIRST = 90_000, 96, 7, 1234
_BROKEN_AT = 2  # frames
_BASIC = f"Authorization: Basic {base64.b64encode(USER.encode()).decode()}"


@dataclass
class RtspServer:
    """Where the server is, and what it was asked.

    Attributes:
        port: on 127.0.0.1.
        asked: method and transport of each request, in order.
    """

    port: int
    asked: list[str] = field(default_factory=list)

    def address(self, path: str = "clip", user: str = "") -> str:
        """Return an address of it."""
        return f"rtsp://{user and f'{user}@'}127.0.0.1:{self.port}/{path}"


@contextmanager
def rtsp_server() -> Iterator[RtspServer]:
    """Serve until the end of the `with`."""
    units = access_units()
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = RtspServer(listening.getsockname()[1])
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # closed
                    return
                talk = _Talk(connection, units, server.asked, ended)
                threads.append(threading.Thread(target=talk.run))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join()


def access_units() -> list[list[bytes]]:
    """Return the NAL units of each frame of a clip; the first frame has SPS and PPS."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height = SIZE
    codec.pix_fmt, codec.framerate = "yuv420p", RATE
    codec.options = {"preset": "ultrafast", "tune": "zerolatency"}
    packets = []
    for number in range(COUNT):
        image = np.full((SIZE[1], SIZE[0], 3), 20 * number, np.uint8)
        packets += codec.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    packets += codec.encode(None)
    return [_nal_units(bytes(packet)) for packet in packets]


def _nal_units(annex_b: bytes) -> list[bytes]:
    return [unit.rstrip(b"\0") for unit in annex_b.split(b"\0\0\1") if unit.strip(b"\0")]


class _Talk:
    """One connection."""

    def __init__(
        self,
        connection: socket.socket,
        units: list[list[bytes]],
        asked: list[str],
        ended: threading.Event,
    ) -> None:
        self._connection, self._units = connection, units
        self._asked, self._ended = asked, ended
        self._number = 0

    def run(self) -> None:
        with self._connection, suppress(ConnectionError):
            self._connection.settimeout(0.02)
            while (request := self._request()) is not None:
                self._asked.append(request.partition(" ")[0] + _transport(request))
                if not self._answer(request):
                    return

    def _request(self) -> str | None:
        """Return the next request; None: the client left, or the server ends."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            if self._ended.is_set():
                return None
            try:
                more = self._connection.recv(1 if data else 4)
            except TimeoutError:
                continue
            if not more:
                return None
            data += more
            if data[:1] == b"$" and len(data) == 4:  # RTCP of the client
                self._connection.recv(struct.unpack(">H", data[2:4])[0])
                data = b""
        return data.decode("ascii")

    def _answer(self, request: str) -> bool:
        """Return False where the server goes away."""
        method, address, _ = request.split(" ", 2)
        path = address.split("/")[3]
        refused = "401" if path == "locked" and _BASIC not in request else path
        if method == "DESCRIBE" and refused in _REASONS:
            asks = 'WWW-Authenticate: Basic realm="x"\r\n'
            self._send(request, f"{refused} {_REASONS[refused]}", asks)
        elif method == "DESCRIBE" and path == "mute":
            self._ended.wait()
        elif method == "DESCRIBE":
            kind = f"Content-Type: application/sdp\r\nContent-Base: {address}/\r\n"
            self._send(request, "200 OK", kind, self._sdp(path != "camera"))
        elif method == "SETUP":
            self._send(request, "200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")
        elif method == "PLAY":
            self._send(request, "200 OK")
            return self._play(path)
        else:
            self._send(request, "200 OK", "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
        return method != "TEARDOWN"

    def _send(self, request: str, status: str, more: str = "", body: str = "") -> None:
        number = next(line for line in request.splitlines() if line.lower().startswith("cseq"))
        head = f"RTSP/1.0 {status}\r\n{number}\r\nSession: 1\r\n{more}"
        text = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
        self._connection.sendall(text.encode("ascii"))

    def _sdp(self, has_length: bool) -> str:
        sets = [unit for unit in self._units[0] if unit[0] & 31 in {7, 8}]
        said = ",".join(base64.b64encode(unit).decode("ascii") for unit in sets)
        lines = [
            "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=clip", "c=IN IP4 0.0.0.0", "t=0 0",
            *([f"a=range:npt=0-{COUNT / RATE}"] if has_length else []),
            f"m=video 0 RTP/AVP {_PAYLOAD}", f"a=rtpmap:{_PAYLOAD} H264/{_CLOCK}",
            f"a=fmtp:{_PAYLOAD} packetization-mode=1;sprop-parameter-sets={said}",
            f"a=framerate:{RATE}", "a=control:track0", "",
        ]  # fmt: skip
        return "\r\n".join(lines)

    def _play(self, path: str) -> bool:
        for number, units in enumerate(self._units):
            if path in {"stalls", "leaves"} and number == _BROKEN_AT:
                return path == "stalls"
            for place, unit in enumerate(units):
                self._rtp(unit, _FIRST + number * _CLOCK // RATE, is_last=place == len(units) - 1)
        bye = struct.pack(">BBHI", 0x81, 203, 1, _SSRC)
        report = struct.pack(">BBHIIIIII", 0x80, 200, 6, _SSRC, 0, 0, 0, 0, 0)
        self._interleave(1, report + bye)
        return True

    def _rtp(self, unit: bytes, at: int, *, is_last: bool) -> None:
        kind = _PAYLOAD | 0x80 * is_last
        self._interleave(0, struct.pack(">BBHII", 0x80, kind, self._number, at, _SSRC) + unit)
        self._number += 1

    def _interleave(self, channel: int, packet: bytes) -> None:
        self._connection.sendall(struct.pack(">cBH", b"$", channel, len(packet)) + packet)


def _transport(request: str) -> str:
    lines = [line for line in request.splitlines() if line.startswith("Transport:")]
    return f" {lines[0].split()[1]}" if lines else ""
