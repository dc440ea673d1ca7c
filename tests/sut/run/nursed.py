"""What a process of a nursery does in tests: says what it sees, then ends as its request says."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from sut.base.errors import EXIT_FAILED
from sut.run import child

if TYPE_CHECKING:
    from sut.run.child import Parent


def act(text: bytes, parent: Parent) -> int:
    """Tell what this process sees; return the exit code that is asked for."""
    asked = msgspec.json.decode(text)
    left = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL).pid if asked["leaves"] else 0
    print("a line for the log", flush=True)
    parent.tell(
        "seen",
        how=parent.how,
        own={"sid": os.getsid(0), "pid": os.getpid(), "left": left},
        imported=[
            name for name in ("imported", "threaded") if f"tests.sut.run.{name}" in sys.modules
        ],
        random=[random.random(), float(np.random.rand())],
        same={
            "cwd": os.getcwd(),
            "argv": sys.argv[1:],
            "variables": {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
            "files": sorted(os.listdir("/proc/self/fd"))[:-1],
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
            "cores": sorted(os.sched_getaffinity(0)),
            "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "handlers": {n: repr(signal.getsignal(n)) for n in signal.valid_signals()},
            "threads": len(os.listdir("/proc/self/task")),
        },
    )
    if asked["waits"] and not sys.stdin.buffer.readline():
        return EXIT_FAILED
    if asked["signal"]:
        os.kill(os.getpid(), asked["signal"])
    return int(asked["code"])


if __name__ == "__main__":
    child.end(child.main(act))
