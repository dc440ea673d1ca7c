"""One process that imports libraries once, and forks each process that needs them.

    with Nursery(Imports("torch", "0", {}, ["sut.sweep.tries.attempt"])) as nursery:
        nursery.wait()                         # it imports meanwhile
        running = nursery.begin(birth, log)    # a child of this process, like a new one

A forked process is this process's own child (see sut.base.adopted), so the kernel tells how it
ended, whatever becomes of the nursery. See sut.run.nursery_process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Self

import msgspec

from sut.base import descendants, ending
from sut.base.adopted import Adopted
from sut.base.environment import ROOT, with_device_order
from sut.base.errors import SutError
from sut.base.process import exit_words
from sut.base.standing import STOPPED, STOPPED_S, Standing
from sut.base.steps import say_step
from sut.base.subprocess_call import last_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from sut.run.birth import Birth

MODULE = "sut.run.nursery_process"
MOST_BYTES = 1 << 16  # of a message
# From a disk that is far away, torch takes more than a minute.
_IMPORT_S = 300.0
# A fork copies the tables of some 100,000 pages: 10 ms.
_FORK_S = 5.0
_LOOK_S = 0.25
# It has nothing to close, and no device.
_END_S = 1.0


class NurseryFailed(SutError):
    """It cannot fork a process; a new one can be started all the same."""


@dataclass(frozen=True, slots=True)
class Imports:
    """What a nursery imports.

    Attributes:
        backend: its libraries; a key of backends.base.FORKABLE, or empty for none.
        device: of the engines.
        options: of the backend.
        modules: others, such as those that its processes run.
        perhaps: those that it imports only if that starts no thread and opens no device.
    """

    backend: str
    device: str
    options: dict[str, str | int | float | bool]
    modules: list[str] = field(default_factory=list)
    perhaps: list[str] = field(default_factory=list)


class Wanted(msgspec.Struct, frozen=True):
    """A process that is asked for; its standard streams come along.

    Attributes:
        module: see Birth.
        request: see Birth.
        variables: of its environment, that differ from those that the nursery began with.
        gone: variables that it does not have.
    """

    module: str
    request: str
    variables: dict[str, str]
    gone: list[str]

    def environment(self, first: Mapping[str, str]) -> dict[str, str]:
        """Return all of its variables; `first` are those that the nursery began with."""
        whole = {**first, **self.variables}
        return {name: text for name, text in whole.items() if name not in self.gone}


class Answer(msgspec.Struct, frozen=True):
    """What a nursery says: that it is ready, or that a process is there.

    Attributes:
        pid: of the process.
        problem: why there is none; empty if there is.
    """

    pid: int = 0
    problem: str = ""


class Nursery:
    """The process that imports and forks. Use it in a `with`, around those of its processes.

    Args:
        imports: what it imports.
        stopped_s: how long it may stand still because a signal or a debugger stopped it.
    """

    def __init__(self, imports: Imports, stopped_s: float = STOPPED_S) -> None:
        self._imports, self._stopped_s = imports, stopped_s
        self._hold = contextlib.ExitStack()
        self._is_ready = False

    def __enter__(self) -> Self:
        """Start it; it imports while this process goes on.

        Raises:
            NurseryFailed: this system has no such thing.
        """
        with contextlib.ExitStack() as hold:
            if not hold.enter_context(descendants.adopting()):
                raise NurseryFailed("this system cannot give processes to another parent")
            self._output = hold.enter_context(tempfile.TemporaryFile())
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket = hold.enter_context(ours)
            # NumPy's OpenBLAS would start threads when it is imported.
            self._variables = {"OPENBLAS_NUM_THREADS": "1", **with_device_order()}
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", MODULE, str(theirs.fileno())],
                    cwd=ROOT,
                    env=self._variables,
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # a Ctrl-C at the terminal reaches the parent alone
                )
            self._process = hold.enter_context(ending.ended(process, "the nursery"))
            ours.settimeout(_LOOK_S)
            self._send(self._imports, ())
            self._hold = hold.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, at once."""
        self._hold.close()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def wait(self) -> None:
        """Wait until it has imported everything.

        Raises:
            NurseryFailed: it has not, or what it imported must not be forked.
        """
        if not self._is_ready:
            say_step(f"importing the libraries of {self._imports.backend}, once for all")
            self._answer(_IMPORT_S)
            self._is_ready = True

    def begin(self, birth: Birth, log: IO[bytes]) -> Adopted:
        """Fork a process; see sut.run.birth.anew. Needs `wait`.

        Raises:
            NurseryFailed: there is none.
        """
        assert not birth.before, "only a new process begins with a command"
        assert not birth.files, "only a new process inherits descriptors"
        ours = self._variables
        wanted = Wanted(
            birth.module,
            birth.request,
            {name: text for name, text in birth.variables.items() if ours.get(name) != text},
            [name for name in ours if name not in birth.variables],
        )
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as own:
            read_in, write_in = os.pipe()
            stdin = own.enter_context(os.fdopen(write_in, "wb"))
            theirs.callback(os.close, read_in)
            read_out, write_out = os.pipe()
            stdout = own.enter_context(os.fdopen(read_out, "rb"))
            theirs.callback(os.close, write_out)
            self._send(wanted, (read_in, write_out, log.fileno()))
            pid = self._answer(_FORK_S).pid
            own.pop_all()
        return Adopted(pid, stdin, stdout)

    def _send(self, message: object, files: Sequence[int]) -> None:
        try:
            socket.send_fds(self._socket, [msgspec.json.encode(message)], list(files))
        except OSError as error:
            raise self._ended(str(error)) from error

    def _answer(self, limit_s: float) -> Answer:
        end_s, standing = time.monotonic() + limit_s, Standing(self._stopped_s)
        while time.monotonic() < end_s:
            try:
                said = self._socket.recv(MOST_BYTES)
            except TimeoutError:
                if standing.too_long(self.pid):
                    raise NurseryFailed(f"it stands still ({STOPPED})") from None
                continue
            except OSError as error:
                raise self._ended(str(error)) from error
            if not said:
                raise self._ended("no answer")
            answer = msgspec.json.decode(said, type=Answer)
            if answer.problem:
                raise NurseryFailed(answer.problem)
            return answer
        raise NurseryFailed(f"it has no answer after {limit_s:g} s")

    def _ended(self, why: str) -> NurseryFailed:
        """Return how it ended; `why` if nobody can tell."""
        ending.end(self._process, "the nursery", _END_S)
        code = self._process.returncode
        self._output.seek(0)
        said = last_line(self._output.read().decode(errors="replace"))
        how = why if code is None else f"it ended with {exit_words(code)}"
        return NurseryFailed(f"{how}: {said}" if said else how)
