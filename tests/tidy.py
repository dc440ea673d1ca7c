"""Ends what a benchmark or a demo has started when it ends, whatever ends it.

Processes are known by a variable that all below the benchmark inherit, so those are found too whose
parent is gone, in sessions of their own. A process beside the benchmark looks for them: it is there
after a SIGKILL. A child that is forked without a new program is not found. Linux only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, AnyStr

from sut.base.ending import ended
from sut.base.environment import ROOT
from sut.base.signals import Stopped, stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARKER = "SUT_STARTED_BELOW"
# A cluster's head ends its nodes and Ray within 10 s of SIGTERM.
_GRACE_S, _KILLED_S, _LOOK_S = 15.0, 5.0, 0.02


def tidy(main: Callable[[], int | None]) -> int:
    """Call `main`; return its exit code, or that of the signal that stopped it, as a shell does.

    SIGTERM, SIGINT and SIGHUP unwind `main`. What then still runs of all that it started, or when
    this process is killed, gets SIGTERM, and later SIGKILL.
    """
    if MARKER in os.environ:  # part of another benchmark, which ends all
        return _stoppable(main)
    marker = f"{os.getpid()}-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "tests.tidy", marker]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    watcher = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=null, start_new_session=True)
    assert watcher.stdin is not None, "it is a pipe"
    os.environ[MARKER] = marker
    try:
        return _stoppable(main)
    finally:
        # Nobody waits for it: helpers of multiprocessing end only with this process.
        watcher.stdin.close()


def _stoppable(main: Callable[[], int | None]) -> int:
    try:
        with stopped_by_signals():
            return main() or 0
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.stdout.flush()
        os._exit(stopped.exit_code)  # some thread may wait for what was never asked


@contextmanager
def terminated(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Yield a process; end it afterwards, however the `with` is left."""
    with ended(process, "a process of the benchmark"):
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)


def end_marked(marker: str) -> None:
    """End all processes that have a marker in their environment."""
    for number, within_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _KILLED_S)):
        told: set[int] = set()
        end_s = time.monotonic() + within_s
        while (left := marked(marker)) and time.monotonic() < end_s:
            for pid in left - told:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                    os.kill(pid, signal.SIGCONT)  # some benchmarks stop processes
            told |= left
            time.sleep(_LOOK_S)


def marked(marker: str) -> set[int]:
    """Return the processes that were started with a marker in their environment."""
    wanted = f"{MARKER}={marker}".encode()
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended, or is another user's
            if wanted in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                found.add(int(entry))
    return found


if __name__ == "__main__":
    sys.stdin.buffer.read()  # ends with the benchmark
    end_marked(sys.argv[1])
