"""One process of readers as this process sees it: it starts, is asked, and is given up.

Knows messages and how the process ends; not what the streams do.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from sut.base import ending
from sut.base.environment import ROOT
from sut.base.errors import SutError, WorkerError
from sut.base.process import exit_words
from sut.base.standing import STOPPED, STOPPED_S, Standing
from sut.serve.workers.failures import BAD_INPUT, Raised, one_line
from sut.serve.workers.wire import Reader as Messages
from sut.serve.workers.wire import pack_object
from sut.video.flow.apart.memory import Memory
from sut.video.flow.apart.wire import Kind, pack_answered, pack_room, stream_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.video.flow.apart.memory import Layout
    from sut.video.flow.apart.wire import Answered, Told

MODULE = "sut.video.flow.apart.process"
_LOOK_S = 0.25
_END_S = 1.0  # for the process to end by itself
_LEAST_HANG_S = 5.0  # a busy machine lets a process wait for a while
_SEND_S = 5.0


class Hears(Protocol):
    """What a stream's reader hears of its process, on the thread that hears all of them."""

    def framed(self, body: memoryview) -> None:
        """A frame lies in memory; the message's body says which."""

    def told(self, told: Told) -> None:
        """Something is new of the stream, or it is at its end."""

    def failed(self, error: SutError) -> None:
        """No input can be made of a frame."""

    def lost(self, how: str) -> None:
        """The process is gone."""


class Link:
    """A process and the socket to it. The constructor starts it and does not wait.

    Args:
        stopped_s: how long it may stand still because a signal or a debugger stopped it.
    """

    def __init__(self, stopped_s: float = STOPPED_S) -> None:
        self.streams: Sequence[Hears] = ()
        """Those of the play, in the order in which the process counts them."""
        """It was asked for something."""
        self._file = os.memfd_create("sut-readers")  # it goes with its last user
        self._bytes = 0
        ours, theirs = socket.socketpair()
        ours.settimeout(_SEND_S)
        with theirs:
            files = [theirs.fileno(), self._file]
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, *map(str, files), os.getcwd()],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=files,
                process_group=0,  # a Ctrl-C at the terminal is this process's to act on
            )
        self.socket = ours
        self._messages = Messages(ours)
        self._sending = threading.Lock()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._standing = Standing(stopped_s)
        self._looked_s = 0.0
        self._why = ""  # it was killed
        self.how = ""
        self.lost = threading.Event()
        """It has ended."""

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def memory(self, layout: Layout) -> Memory:
        """Return the memory of a play, as large as it must be, with counts of 0."""
        self._bytes = max(self._bytes, layout.size)
        os.ftruncate(self._file, self._bytes)
        memory = Memory(self._file, layout)
        memory.clear()
        memory.beat_ns = time.monotonic_ns()
        return memory

    def send(self, kind: Kind, value: object) -> None:
        """Send a message; of a process that is gone the hearing thread knows. Any thread."""
        self._send(pack_object(kind, value))

    def say_answered(self, answered: Answered) -> None:
        """Say that the answer to a frame lies in memory. Any thread."""
        self._send(pack_answered(answered))

    def say_room(self, stream: int) -> None:
        """Say that a stream that waits for room has some. Any thread."""
        self._send(pack_room(stream))

    def _send(self, message: bytes) -> None:
        with self._sending, contextlib.suppress(OSError):
            self.socket.sendall(message)

    def answer(self) -> Any:
        """Wait for the answer to what was sent.

        Raises:
            SutError: what was raised there, or the process is gone.
        """
        while True:
            try:
                answer = self._answers.get(timeout=_LOOK_S)
            except Empty:
                if self.lost.is_set():  # that was said before
                    raise WorkerError(f"a process of readers {self.how}") from None
                if self._standing.too_long(self.pid):
                    self.give_up(f"stands still ({STOPPED})")
                continue
            if isinstance(answer, SutError):
                raise answer
            return answer

    def look(self, now_ns: int, memory: Memory, stall_s: float) -> None:
        """Give the process up if it does not go on; call it now and then during a play."""
        if self.lost.is_set() or now_ns / 1e9 - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_ns / 1e9
        limit_s = max(stall_s, _LEAST_HANG_S)
        if self._standing.too_long(self.pid):
            self.give_up(f"stands still ({STOPPED})")
        elif now_ns - memory.beat_ns > limit_s * 1e9:
            self.give_up(f"has not moved for {limit_s:g} s")

    def give_up(self, why: str) -> None:
        """Kill the process; `why` completes what is said of it."""
        self._why = why
        self._process.kill()

    def hear(self) -> bool:
        """Act on all that has come; return False at the end, before `lose`. The hearing thread."""
        try:
            for kind, body in self._messages.receive():
                if kind == Kind.FRAME:
                    self.streams[stream_of(body)].framed(body)
                else:
                    self._hear(Kind(kind), pickle.loads(body))
        except (EOFError, OSError):
            return False
        except Exception as error:  # noqa: BLE001 - the thread hears other processes, too
            self.give_up(f"is not understood ({type(error).__name__}: {error})")
            return False
        return True

    def _hear(self, kind: Kind, said: Any) -> None:
        match kind:
            case Kind.TOLD:
                self.streams[said.stream].told(said)
            case Kind.FAILED:
                self.streams[0].failed(_error_of(said))
            case Kind.RAISED:
                self._answers.put(_error_of(said))
            case _:
                self._answers.put(said)

    def lose(self) -> None:
        """Say to all that the process is gone; from now on its socket may be closed."""
        ending.end(self._process, "a process of readers", _END_S)
        code = self._process.returncode
        how = "does not end" if code is None else f"ended with {exit_words(code)}"
        if self._why:
            how = f"{self._why} and was killed"
        self.how = f"(pid {self.pid}) {how}"
        self.lost.set()
        self._answers.put(WorkerError(f"a process of readers {self.how}"))
        for stream in self.streams:
            stream.lost(self.how)

    def close(self) -> None:
        """End the process, and wait for it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        ending.end(self._process, "a process of readers", _END_S)

    def free(self) -> None:
        """Close the descriptors; nobody hears of it any more."""
        self.socket.close()
        os.close(self._file)


def _error_of(raised: Raised) -> SutError:
    """Return what another process raised."""
    kind = next((BAD_INPUT[name] for name in raised.kinds if name in BAD_INPUT), None)
    if kind is not None:
        return kind(raised.text)
    if SutError.__name__ in raised.kinds:
        return WorkerError(raised.text, raised.traceback)
    return WorkerError(f"the pipeline failed: {one_line(raised)}", raised.traceback)
