"""Where the processor time goes while samples travel, by thread.

The kernel counts the time of every thread, and the bytes on loopback say how many samples went by.
Part of tests.benchmarks.network.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

# What runs on each side, by its command line.
SIDES = {"sut.run.trial": "QDL", "sut.serve.received.child": "node"}
ENGINES = "node: engines, batches, answers"
EVERY_S = 0.2
# Of all bytes: before and after are warm-up, and what a run does at its end.
FIRST, LAST = 0.2, 0.9
NS_PER_MS = 1e6
_PROC = Path("/proc")


class Look(NamedTuple):
    """One look: bytes over loopback so far, and the processor time of each thread, in ns."""

    bytes: int
    used_ns: Mapping[tuple[str, int], int]


def watch(run: subprocess.Popen[str], sample_bytes: int) -> dict[str, float]:
    """Look at a run over loopback until it ends; return ms of a core a sample, by part.

    Threads of LoadGen's process that a run without a network has as well are in "QDL: Python".
    """
    looks = []
    while run.poll() is None:
        looks.append(_look())
        time.sleep(EVERY_S)
    begin, end = looks[0].bytes, looks[-1].bytes
    within = [look for look in looks if FIRST < (look.bytes - begin) / (end - begin) < LAST]
    first, last = within[0], within[-1]
    samples = (last.bytes - first.bytes) / sample_bytes
    found: dict[str, float] = {}
    for (part, thread), used_ns in last.used_ns.items():
        grown_ms = (used_ns - first.used_ns.get((part, thread), 0)) / NS_PER_MS
        found[part] = found.get(part, 0.0) + grown_ms / samples
    return found


def _look() -> Look:
    used_ns = {}
    for side, process in _processes():
        for task in (process / "task").iterdir():
            try:
                name = (task / "comm").read_text("utf-8")
                used = int((task / "schedstat").read_text("utf-8").split()[0])
            except OSError:  # it ended
                continue
            used_ns[_part(side, name, task.name == process.name), int(task.name)] = used
    return Look(_loopback_bytes(), used_ns)


def _processes() -> Iterator[tuple[str, Path]]:
    """Yield those that this process started, and those that they started."""
    waiting = [os.getpid()]
    while waiting:
        process = _PROC / str(waiting.pop())
        try:
            words = (process / "cmdline").read_text("utf-8").split("\0")
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text("utf-8").split())
        except OSError:  # it ended
            continue
        for module, side in SIDES.items():
            if module in words:
                yield side, process


def _part(side: str, name: str, is_main: bool) -> str:
    if name.startswith("ZMQ"):
        return f"{side}: ZeroMQ's thread"
    if side == "QDL":
        return "QDL: Python"
    return "node: the receiving thread" if is_main else ENGINES


def _loopback_bytes() -> int:
    for line in (_PROC / "net" / "dev").read_text("utf-8").splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    raise SystemExit("this machine has no loopback")
