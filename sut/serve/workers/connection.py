"""The connection of a test to one worker process: started here, or lent by a keeper.

Knows the process and its socket; not what goes over it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base import ending
from sut.base.environment import ROOT
from sut.base.errors import WorkerError
from sut.base.process import exit_words
from sut.base.standing import STOPPED, STOPPED_S, Standing
from sut.serve.workers.failures import describe, one_line
from sut.serve.workers.keeper import SOCKET_BYTES, LentProcess
from sut.serve.workers.wire import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sut.config.settings import Lent
    from sut.serve.workers.executor import ExecutorSpec, Timing

# A batch hangs when it takes this much longer than the worst that warm-up measured.
HANG_FACTOR = 10.0
# A process whose socket closed is killed after this long.
END_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What a worker process is made of.

    Attributes:
        name: of the worker, for messages.
        index: of the worker, from 0.
        executor: what it opens.
        cpus: its cores, such as "0-3"; empty for all.
        hang_floor_s: a batch may take this long, in seconds, however short warm-up's were.
        close_s: the process is killed when its engine takes longer to close.
        stopped_s: how long it may stand still while something is asked of it.
        lent: a kept process to use; None: a process of this worker's own.
    """

    name: str
    index: int
    executor: ExecutorSpec
    cpus: str = ""
    hang_floor_s: float = 1.0
    close_s: float = 5.0
    stopped_s: float = STOPPED_S
    lent: Lent | None = None

    def hang_limit_s(self, measured: Mapping[int, Timing]) -> float:
        """Return after how long a batch hangs, from what warm-up measured."""
        worst_ns = max(timing.median_ns for timing in measured.values())
        return max(HANG_FACTOR * worst_ns / 1e9, self.hang_floor_s)

    def hang_text(self, number: int, limit_s: float) -> str:
        """Say that a batch hangs."""
        return (
            f"{self.name}: batch {number} has no answer after {limit_s:.1f} s, "
            f"{HANG_FACTOR:.0f} times the longest in warm-up; its process was killed"
        )

    def stopped_text(self) -> str:
        """Say that the process stands still."""
        return f"{self.name}: its process stands still ({STOPPED}) and was killed"

    def unusable_text(self, error: Exception) -> str:
        """Say that what the process sent cannot be read. Call it in the `except` block."""
        raised = describe(error)
        return f"{self.name}: what its process answered is unusable: {one_line(raised)}"


class Connection:
    """A worker process and the socket to it. `open` makes both."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec
        self._process: subprocess.Popen[bytes] | LentProcess | None = None
        self._standing = Standing(spec.stopped_s)

    def open(self) -> None:
        """Start the process, or connect to the kept one."""
        lent = self._spec.lent
        if lent is None:
            self._process, self.socket = self._start()
        else:
            self._process, self.socket = LentProcess(lent.pid), socket.socket(fileno=lent.fd)
        self.reader = Reader(self.socket)

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with theirs:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sut.serve.workers.child"),
                    *(str(theirs.fileno()), self._spec.name, self._spec.cpus),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return process, ours

    @property
    def is_open(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def lost_text(self) -> str:
        """Say how the process ended, whose socket is closed; kill it if it has not."""
        assert self._process is not None, "open comes first"
        self.ends_within(END_GRACE_S)
        code = self._process.returncode
        how = "" if code is None else f" with {exit_words(code)}"  # not known of a kept one
        return f"{self._spec.name}: its process ended{how}; see run.log for the reason"

    def ends_within(self, limit_s: float) -> bool:
        """Wait for the end of the process; kill it after `limit_s`, and return False."""
        assert self._process is not None, "open comes first"
        return ending.end(self._process, self._spec.name, limit_s)

    def stands_still(self, *, is_awaited: bool) -> bool:
        """Return whether the process was stopped; look now and then, while it is awaited."""
        awaited = self._process if is_awaited else None
        return self._standing.too_long(None if awaited is None else awaited.pid)

    def close(self) -> None:
        """Close the socket, and let the process end; a kept one stays, for the next test.

        Raises:
            WorkerError: the engine took too long to close; its process was killed.
        """
        if self._process is None:
            return
        self.socket.close()
        if isinstance(self._process, LentProcess):
            self._process.close()
            self._process = None
            return
        if not self.ends_within(self._spec.close_s):
            raise WorkerError(
                f"it took longer than {self._spec.close_s:g} s, and its process was killed"
            )
