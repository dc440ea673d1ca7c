"""A network cable between two namespaces that delays, drops or is cut: a process of its own.

Both ends are TUN devices, so what goes over it are the kernel's own packets. (The kernel's netem is
not everywhere.) Commands come on standard input, one a line: "delay MS", "drop SHARE", "cut",
"join". Its end is that of the cable. Run as `python -m tests.sut.helpers.cable FD FD`.
"""

from __future__ import annotations

import heapq
import os
import random
import select
import sys
import time
from contextlib import suppress

_MTU = 65_536
_SEED = 7


class Cable:
    """What is on its way, and when it arrives."""

    def __init__(self, ends: tuple[int, int]) -> None:
        self._ends = ends
        self._delay_s = self._drop = 0.0
        self._is_cut = False
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._random = random.Random(_SEED)
        self._count = 0

    def run(self) -> None:
        """Carry packets until standard input ends."""
        poll = select.poll()
        for end in (*self._ends, 0):
            poll.register(end, select.POLLIN)
        while True:
            for end, _ in poll.poll(self._wait_ms()):
                if end == 0:
                    if not self._obey(os.read(0, _MTU).decode("ascii")):
                        return
                else:
                    self._take(end, os.read(end, _MTU))
            self._deliver()

    def _wait_ms(self) -> float | None:
        if not self._flying:
            return None
        return max(0.0, (self._flying[0][0] - time.monotonic()) * 1e3)

    def _take(self, end: int, packet: bytes) -> None:
        if self._is_cut or self._random.random() < self._drop:
            return
        other = self._ends[1] if end == self._ends[0] else self._ends[0]
        self._count += 1
        at_s = time.monotonic() + self._delay_s
        heapq.heappush(self._flying, (at_s, self._count, other, packet))

    def _deliver(self) -> None:
        now_s = time.monotonic()
        while self._flying and self._flying[0][0] <= now_s:
            _, _, end, packet = heapq.heappop(self._flying)
            with suppress(OSError):  # that side is down
                os.write(end, packet)

    def _obey(self, commands: str) -> bool:
        for command in commands.splitlines():
            word, _, value = command.partition(" ")
            if word == "delay":
                self._delay_s = float(value) / 1e3
            elif word == "drop":
                self._drop = float(value)
            else:
                self._is_cut = word == "cut"
        return bool(commands)


if __name__ == "__main__":
    Cable((int(sys.argv[1]), int(sys.argv[2]))).run()
