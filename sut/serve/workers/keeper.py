"""Worker processes that outlive a test: the engines of a command stay open from test to test.

The process of a LoadGen test is always a new one. Worker processes that a keeper lends to it stay:
to open an engine again, with everything it imports and compiles, can take longer than the test.
Knows processes and sockets; neither engines nor tests.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from select import POLLIN, poll
from typing import TYPE_CHECKING, Self

from sut.base.environment import ROOT, with_device_order
from sut.base.errors import WorkerError
from sut.base.process import exit_words
from sut.config.settings import Lent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import IO

# Room for all slots' frames, so that nobody ever waits to send: an index takes 4 bytes.
SOCKET_BYTES = 1 << 22
# Tells a kept process that a connection and a log file come with this byte.
NEXT_TEST = b"n"


class Keeper:
    """The kept worker processes of one command. Use it in a `with`; leaving it ends them.

    Args:
        close_s: seconds that the engines may take to close; then their processes are killed.
    """

    def __init__(self, close_s: float = 5.0) -> None:
        self._close_s = close_s
        self._kept: dict[tuple[str, str], KeptProcess] = {}

    def __enter__(self) -> Self:
        """Start nothing: a process starts when it is first lent."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let every engine close, and end the processes."""
        kept, self._kept = list(self._kept.values()), {}
        for process in kept:
            process.let_go()
        for process in kept:
            process.end(self._close_s)

    @contextmanager
    def lend(self, workers: Sequence[tuple[str, str]], log: IO[bytes]) -> Iterator[list[Lent]]:
        """Yield one connection for each worker of a test; take them back afterwards.

        After an exception the processes are killed: nobody knows what state they are in.

        Args:
            workers: (name, cores) of each; the same pair gets the same process again.
            log: where they print to during this test.
        """
        processes = [self._process(name, cpus, log) for name, cpus in workers]
        sockets: list[socket.socket] = []
        try:
            sockets += [process.connect(log) for process in processes]
            pids = [process.pid for process in processes]
            yield [Lent(s.fileno(), pid) for s, pid in zip(sockets, pids, strict=True)]
        except WorkerError as error:
            ends = [how for process in processes if (how := process.how_it_ended())]
            self.discard(workers)
            if not ends:
                raise
            text = f"{error} ({', '.join(ends)})"
            raise WorkerError(text, error.worker_traceback) from error
        except BaseException:
            self.discard(workers)
            raise
        finally:
            for sock in sockets:
                sock.close()

    def discard(self, workers: Sequence[tuple[str, str]]) -> None:
        """Kill the processes of these workers; the next test gets new ones."""
        for worker in workers:
            if (process := self._kept.pop(worker, None)) is not None:
                process.let_go()
                process.end(0.0)

    def _process(self, name: str, cpus: str, log: IO[bytes]) -> KeptProcess:
        process = self._kept.get((name, cpus))
        if process is not None and not process.is_alive:
            self.discard([(name, cpus)])
            process = None
        if process is None:
            process = self._kept[name, cpus] = KeptProcess(name, cpus, log)
        return process


class KeptProcess:
    """One kept worker process, as the process that started it sees it."""

    def __init__(self, name: str, cpus: str, log: IO[bytes]) -> None:
        self._name = name
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sut.serve.workers.child"),
                    *(str(theirs.fileno()), name, cpus, "--keep"),
                ],
                cwd=ROOT,
                env=with_device_order(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C at the terminal reaches the parent alone
            )

    @property
    def pid(self) -> int:
        """The process, and its session."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def how_it_ended(self) -> str:
        """Return the signal or exit code that ended it; empty while it runs."""
        code = self._process.poll()
        return "" if code is None else f"{self._name}: {exit_words(code)}"

    def connect(self, log: IO[bytes]) -> socket.socket:
        """Return the other end of the connection that the process serves next."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            with suppress(OSError):  # it died: whoever gets the connection finds it closed
                socket.send_fds(self._control, [NEXT_TEST], [theirs.fileno(), log.fileno()])
        return ours

    def let_go(self) -> None:
        """Tell it that no test follows."""
        self._control.close()

    def end(self, within_s: float) -> None:
        """Wait for its end; kill it when it takes longer."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class LentProcess:
    """A kept worker process, as a test's process sees it: not its child, so it has no exit code.

    Like subprocess.Popen as far as a worker needs it.
    """

    def __init__(self, pid: int) -> None:
        self._pid_file = os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; return None, as the exit code is not known here.

        Raises:
            subprocess.TimeoutExpired: it did not end within `timeout` seconds.
        """
        waiting = poll()
        waiting.register(self._pid_file, POLLIN)
        if not waiting.poll(None if timeout is None else int(timeout * 1e3)):
            raise subprocess.TimeoutExpired("a kept worker process", timeout or 0.0)
        return None

    def close(self) -> None:
        """Let go of it; it goes on."""
        os.close(self._pid_file)

    def kill(self) -> None:
        """Kill it."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pid_file, signal.SIGKILL)


def next_test(control: socket.socket) -> socket.socket | None:
    """Be the kept process: wait for the next connection, and print to its log; None: the end."""
    data, files, _, _ = socket.recv_fds(control, len(NEXT_TEST), 2)
    if not data:
        return None
    connection, log = files
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    return socket.socket(fileno=connection)
