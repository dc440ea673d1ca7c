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
import time
from contextlib import contextmanager, suppress
from select import POLLIN, poll
from typing import TYPE_CHECKING, Self

from sut.base import descendants, ending
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
# What a kept process is told: that a connection and a log file come with this byte, or that its
# engine is to be closed. And what it says when it has done so, or when the connection has ended.
NEXT_TEST, REST, IDLE = b"n", b"r", b"i"
# A process that was killed just now has at least this long to answer, in s.
LEAST_S = 0.01
# The first engine of a device is the same worker, whether it has others beside it or not.
FIRST = ", instance 0"


class Keeper:
    """The kept worker processes of one command. Use it in a `with`; leaving it ends them.

    Args:
        close_s: seconds that the engines may take to finish and to close; then their processes are
            killed.
        module: what the processes run.
    """

    def __init__(self, close_s: float = 5.0, module: str = "sut.serve.workers.child") -> None:
        self._close_s = close_s
        self._module = module
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
        """End the processes."""
        self.dismiss()

    @contextmanager
    def lend(self, workers: Sequence[tuple[str, str]], log: IO[bytes]) -> Iterator[list[Lent]]:
        """Yield one connection for each worker of a test; take them back afterwards.

        Other kept processes end: the test needs the devices. After an exception the lent ones are
        killed: nobody knows what state they are in.

        Args:
            workers: (name, cores) of each; the same pair gets the same process again.
            log: where they print to during this test.
        """
        keys = [_key(worker) for worker in workers]
        self._end([key for key in self._kept if key not in keys])
        processes = [self._process(key, log) for key in keys]
        sockets: list[socket.socket] = []
        try:
            sockets += [process.connect(log) for process in processes]
            pids = [process.pid for process in processes]
            yield [Lent(s.fileno(), pid) for s, pid in zip(sockets, pids, strict=True)]
        except WorkerError as error:
            ends = [
                f"{process.name}: {how}" for process in processes if (how := process.how_it_ended())
            ]
            self._discard(keys)
            if not ends:
                raise
            text = f"{error} ({', '.join(ends)})"
            raise WorkerError(text, error.worker_traceback) from error
        except BaseException:
            self._discard(keys)
            raise
        finally:
            for sock in sockets:
                sock.close()
        self._wait_for([key for key in keys if key in self._kept])

    def rest(self) -> None:
        """Let every engine close, so that others can use the devices; the processes stay."""
        for process in self._kept.values():
            process.rest()
        self._wait_for(list(self._kept))

    def dismiss(self) -> None:
        """Let every engine close, and end the processes: the next test gets new ones."""
        self._end(list(self._kept))

    def discard(self, workers: Sequence[tuple[str, str]]) -> None:
        """Kill the processes of these workers; the next test gets new ones."""
        self._discard([_key(worker) for worker in workers])

    def bury(self) -> None:
        """Forget the processes that ended by themselves; call it while none is lent."""
        self._discard([key for key, process in self._kept.items() if not process.is_alive])

    def how_it_ended(self, worker: tuple[str, str], within_s: float) -> str:
        """Return what ended the process of a worker; empty if it runs on for `within_s`."""
        return self._kept[_key(worker)].how_it_ended(within_s)

    def busy_s(self) -> float:
        """Return the processor time of the kept processes that run, in s."""
        return sum(process.busy_s() for process in self._kept.values())

    def _wait_for(self, keys: Sequence[tuple[str, str]]) -> None:
        """Wait until the processes have nothing to do; kill those that take too long."""
        end_s = time.monotonic() + self._close_s
        late = [key for key in keys if not self._kept[key].is_idle_by(end_s)]
        self._discard(late)

    def _end(self, keys: Sequence[tuple[str, str]]) -> None:
        ending = [self._kept.pop(key) for key in keys]
        for process in ending:
            process.let_go()
        for process in ending:
            process.end(self._close_s)

    def _discard(self, keys: Sequence[tuple[str, str]]) -> None:
        for key in keys:
            if (process := self._kept.pop(key, None)) is not None:
                process.let_go()
                process.end(0.0)

    def _process(self, key: tuple[str, str], log: IO[bytes]) -> KeptProcess:
        process = self._kept.get(key)
        if process is not None and not process.is_alive:
            self._discard([key])
            process = None
        if process is None:
            process = self._kept[key] = KeptProcess(*key, log, self._module)
        return process


def _key(worker: tuple[str, str]) -> tuple[str, str]:
    """Return what a worker's process is kept under: name and cores."""
    name, cpus = worker
    return name.removesuffix(FIRST), cpus


class KeptProcess:
    """One kept worker process, as the process that started it sees it."""

    def __init__(self, name: str, cpus: str, log: IO[bytes], module: str) -> None:
        self.name = name
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", module),
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

    def how_it_ended(self, within_s: float = 0.0) -> str:
        """Return the signal or exit code that ended it; empty if it runs on for `within_s`."""
        try:
            return exit_words(self._process.wait(within_s))
        except subprocess.TimeoutExpired:
            return ""

    def connect(self, log: IO[bytes]) -> socket.socket:
        """Return the other end of the connection that the process serves next."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            with suppress(OSError):  # it died: whoever gets the connection finds it closed
                socket.send_fds(self._control, [NEXT_TEST], [theirs.fileno(), log.fileno()])
        return ours

    def rest(self) -> None:
        """Tell it to close its engine."""
        with suppress(OSError):  # it died: `is_idle_by` finds that out
            self._control.send(REST)

    def is_idle_by(self, end_s: float) -> bool:
        """Wait until it has done what it was told last; False: it died, or takes longer.

        Args:
            end_s: until when, on time.monotonic().
        """
        self._control.settimeout(max(end_s - time.monotonic(), LEAST_S))
        try:
            return self._control.recv(len(IDLE)) == IDLE
        except OSError:
            return False

    def busy_s(self) -> float:
        """Return its processor time so far, in s, with that of all that it started."""
        return descendants.busy_s(self.pid)

    def let_go(self) -> None:
        """Tell it that no test follows."""
        self._control.close()

    def end(self, within_s: float) -> None:
        """Wait for its end; kill it when it takes longer."""
        ending.end(self._process, self.name, within_s)


class LentProcess:
    """A kept worker process, as a test's process sees it: not its child, so it has no exit code.

    Like subprocess.Popen as far as a worker needs it.
    """

    returncode: int | None = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
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


def orders(control: socket.socket) -> Iterator[socket.socket | None]:
    """Be the kept process: yield the connection of each test; None: close the engine.

    During a test the process prints to its log. Asking for the next order says that the last one is
    done. The end of the orders is that of the process.
    """
    while True:
        data, files, _, _ = socket.recv_fds(control, len(NEXT_TEST), 2)
        if not data:
            return
        if data == REST:
            yield None
        else:
            connection, log = files
            for stream in (1, 2):
                os.dup2(log, stream)
            os.close(log)
            yield socket.socket(fileno=connection)
        with suppress(OSError):  # whoever gave the order is gone, and the next look shows that
            control.send(IDLE)
