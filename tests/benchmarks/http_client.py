"""Clients that wait for each answer: a process that sends one request on each of N connections.

As light as Python allows, so that the server is what is measured: the request is encoded once, and
an answer is only counted, its status looked at. `python -m tests.benchmarks.http_client` reads a
job from standard input and prints what it saw.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from dataclasses import dataclass

import msgspec
import numpy as np

_CHUNK = 1 << 18
_FINE = b"HTTP/1.1 200"


class Job(msgspec.Struct):
    """What to send.

    Attributes:
        port: of the server, on this machine.
        path: of the request.
        shape: of the input "x", float32.
        connections: how many clients.
        seconds: to measure, after `warm_s`.
        warm_s: to send before.
    """

    port: int
    path: str
    shape: list[int]
    connections: int
    seconds: float
    warm_s: float = 0.5


class Seen(msgspec.Struct):
    """What the clients saw.

    Attributes:
        answers: within the seconds.
        bad: of them, with another status than 200.
        seconds: from the first to the last.
        mean_ms: latency.
        p50_ms: median latency.
        p99_ms: 99th percentile.
    """

    answers: int
    bad: int
    seconds: float
    mean_ms: float
    p50_ms: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


@dataclass(slots=True)
class _Client:
    sock: socket.socket
    sent_ns: int = 0
    got: bytes = b""
    missing: int = -1


def request_bytes(path: str, shape: list[int]) -> bytes:
    """Return an inference request with one binary tensor, as tritonclient sends it."""
    tensor = np.zeros(shape, np.float32).tobytes()
    given = {
        "name": "x",
        "shape": shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(tensor)},
    }
    head = msgspec.json.encode({"inputs": [given], "parameters": {"binary_data_output": True}})
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/octet-stream",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + len(tensor)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + head + tensor


def drive(job: Job) -> Seen:
    """Send, wait and count until the time is over."""
    data = request_bytes(job.path, job.shape)
    selector = selectors.EpollSelector()
    start_ns = time.monotonic_ns() + int(job.warm_s * 1e9)
    end_ns = start_ns + int(job.seconds * 1e9)
    for _ in range(job.connections):
        sock = socket.create_connection(("127.0.0.1", job.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(sock)
        selector.register(sock, selectors.EVENT_READ, client)
        _send(client, data)
    latencies: list[int] = []
    bad, now_ns = 0, 0
    while now_ns < end_ns:
        for key, _ in selector.select(1.0):
            client = key.data
            fine = _receive(client)
            if fine is None:
                continue
            now_ns = time.monotonic_ns()
            if start_ns <= now_ns < end_ns:
                latencies.append(now_ns - client.sent_ns)
                bad += not fine
            _send(client, data)
    p50, p99 = np.percentile(latencies, [50, 99]) / 1e6
    mean_ms = float(np.mean(latencies)) / 1e6
    return Seen(len(latencies), bad, job.seconds, mean_ms, float(p50), float(p99))


def _send(client: _Client, data: bytes) -> None:
    client.got, client.missing = b"", -1
    client.sent_ns = time.monotonic_ns()
    client.sock.sendall(data)


def _receive(client: _Client) -> bool | None:
    """Return whether the answer is fine; None: it is not whole yet."""
    client.got += client.sock.recv(_CHUNK)
    if client.missing < 0:
        end = client.got.find(b"\r\n\r\n")
        if end < 0:
            if not client.got:
                raise ConnectionError("the server closed the connection")
            return None
        head = client.got[:end].lower()
        at = head.find(b"content-length: ") + len(b"content-length: ")
        client.missing = end + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if b"inference-header" in head[:at]:  # the other header that ends like this came first
            raise ValueError("content-length must come before inference-header-content-length")
    return client.got.startswith(_FINE) if len(client.got) >= client.missing else None


if __name__ == "__main__":
    seen = drive(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    sys.stdout.buffer.write(msgspec.json.encode(seen))
