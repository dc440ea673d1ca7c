"""A process that another one started for us, and that is our child all the same. Linux only.

The other one starts it through a third that ends at once. The kernel gives such an orphan to the
nearest process above it that adopts them: prctl(2), PR_SET_CHILD_SUBREAPER.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import IO

from sut.base import descendants
from sut.base.errors import EXIT_FAILED

_LOOK_S = 0.002


class Adopted:
    """Such a process, which leads its own session. It can be used like a subprocess.Popen.

    Attributes:
        pid: its number; a child of this process.
        stdin: a pipe that it reads.
        stdout: a pipe that it writes.
        returncode: its exit code; -n: signal n ended it; None: it was not waited for yet.
    """

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None: it runs. What it left in its session ends with it."""
        if self.returncode is not None:
            return self.returncode
        try:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else waited for it, and knows its exit code
            self.returncode = EXIT_FAILED
            return self.returncode
        if ended:
            self.returncode = os.waitstatus_to_exitcode(status)
            descendants.end_session(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it runs after `timeout` seconds.
        """
        end_s = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end_s is not None and time.monotonic() >= end_s:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(_LOOK_S)
        return self.returncode

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:  # nobody else gets its number before we have waited for it
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
