"""Loads `sut serve` with clients that come, go, stall and send rubbish, and watches its memory.

Steady clients count every request and its answer; the others do what clients should not.
`python -m tests.benchmarks.http_soak [--minutes N]` exits 1 if an answer was lost, if the server
grew by more than 2 %, or if it holds anything at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.http import PATH, SHAPE, free_port, started, write_benchmark
from tests.benchmarks.http_client import request_bytes
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable

STEADY, OTHERS = 6, 2
PATIENCE_S = 2.0
LIMIT_SHARE = 0.02
_ANSWER_LIMIT_S = 60
_LARGEST = 12
_LOOK_S = 2.0
_PAUSE_S = 0.02  # of each client that is not steady
# The server reaches its steady size within this share of the time, at most this long.
_SETTLES_SHARE, _SETTLES_S = 0.25, 120.0
_OPTIONS = ("output_size=2000", "delay_us=1000")


class Soak:
    """The clients, and what they counted."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.over = threading.Event()
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start all clients."""
        kinds = [self.steady] * STEADY + [self.goes, self.stalls, self.rubbish, self.reads_late] * (
            OTHERS
        )
        for seed, kind in enumerate(kinds):
            thread = threading.Thread(target=self._keep, args=(kind, random.Random(seed)))
            thread.start()
            self._threads.append(thread)

    def finish(self) -> None:
        """Let every client finish what it does."""
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _keep(self, visit: Callable[[random.Random], None], noise: random.Random) -> None:
        while not self.over.is_set():
            try:
                visit(noise)
            except OSError as error:
                self._count(f"{visit.__name__}: {type(error).__name__}")
            if visit != self.steady:
                self.over.wait(_PAUSE_S)

    def _count(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def _link(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), _ANSWER_LIMIT_S)

    def steady(self, noise: random.Random) -> None:
        """Send good requests on one connection, and count each and its answer."""
        with self._link() as sock:
            for _ in range(noise.randrange(1, 60)):
                samples = noise.randrange(1, _LARGEST + 1)
                self._count("sent")
                sock.sendall(request_bytes(PATH, [samples, *SHAPE[1:]]))
                answer = http.client.HTTPResponse(sock)
                answer.begin()
                body = answer.read()
                if answer.status == 200 and len(body) > samples * 8000:
                    self._count("answered")
                elif answer.status == 503 and answer.getheader("Retry-After"):
                    self._count("refused for now")
                else:
                    self._count(f"wrong: {answer.status} {body[:60]!r}")

    def goes(self, noise: random.Random) -> None:
        """Send a request and leave before its answer."""
        with self._link() as sock:
            sock.sendall(request_bytes(PATH, [noise.randrange(1, 40), *SHAPE[1:]]))
            self.over.wait(noise.choice([0.0, 0.0005, 0.01]))
        self._count("went")

    def stalls(self, noise: random.Random) -> None:
        """Send a part of a request and wait to be cut off."""
        data = request_bytes(PATH, SHAPE)
        with self._link() as sock:
            sock.sendall(data[: noise.randrange(len(data))])
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1)
        self._count("stalled")

    def rubbish(self, noise: random.Random) -> None:
        """Send a request with some bytes changed, and wait for whatever comes."""
        data = bytearray(request_bytes(PATH, SHAPE))
        for _ in range(noise.randrange(1, 6)):
            data[noise.randrange(400)] = noise.randrange(256)
        with self._link() as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                status = sock.recv(12)[9:]
                self._count(f"rubbish: {status.decode('ascii', 'replace') or 'closed'}")

    def reads_late(self, noise: random.Random) -> None:
        """Ask for a large answer and do not read it."""
        with self._link() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(request_bytes(PATH, [200, *SHAPE[1:]]))
            self.over.wait(noise.uniform(0, 2 * PATIENCE_S))
        self._count("read late")


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process; proc(5)."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * 4096


def metric(port: int, name: str) -> int:
    """Return one number of the server's metrics."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_LIMIT_S)
    link.request("GET", "/metrics")
    page = link.getresponse().read().decode()
    link.close()
    return int(next(x for x in page.splitlines() if x.startswith(f"{name}{{")).split()[-1])


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    port, seconds = free_port(), minutes * 60
    with tempfile.TemporaryDirectory() as folder:
        options = [word for option in _OPTIONS for word in ("--set", option)]
        serve = ("sut", "serve", "-b", write_benchmark(Path(folder)), "--backend", "null")
        more = ("--port", port, "--client-timeout-s", PATIENCE_S)
        with started(None, *serve, *options, *more) as server:
            soak, sizes = Soak(port), []
            soak.start()
            start_s = time.monotonic()
            try:
                while (after_s := time.monotonic() - start_s) < seconds and server.poll() is None:
                    sizes.append((after_s, memory_bytes(server.pid)))
                    soak.over.wait(_LOOK_S)
            finally:
                soak.finish()
            time.sleep(2 * PATIENCE_S)
            waiting = metric(port, "nv_inference_pending_request_count")
            held = metric(port, "sut_held_bytes")
    return _judge(soak.seen, sizes, waiting, held)


def _judge(seen: Counter[str], sizes: list[tuple[float, int]], waiting: int, held: int) -> int:
    """Print what was seen; return the exit code."""
    for what, count in sorted(seen.items()):
        print(f"{count:9,} {what}")
    wrong = [what for what in seen if what.startswith(("wrong", "steady"))]
    lost = seen["sent"] - seen["answered"] - seen["refused for now"]
    settled_s = min(_SETTLES_SHARE * sizes[-1][0], _SETTLES_S)
    late = [size for after_s, size in sizes if after_s >= settled_s]
    part = max(1, len(late) // 4)
    first, last = statistics.median(late[:part]), statistics.median(late[-part:])
    growth = last / first - 1
    print(
        f"after {settled_s:.0f} s {first / 2**20:.1f} MiB, at the end {last / 2**20:.1f} MiB: "
        f"{growth:+.1%}; {lost} answers lost, {waiting} samples and {held} bytes held at the end"
    )
    return int(bool(wrong or lost or waiting or held or growth > LIMIT_SHARE))


if __name__ == "__main__":
    sys.exit(tidy(main))
