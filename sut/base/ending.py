"""Ends child processes without ever waiting for good: a driver may hold one that was killed."""

from __future__ import annotations

import logging
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, AnyStr, Protocol

from sut.base.errors import SutError
from sut.base.process import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

log = logging.getLogger(__name__)

# A killed process is gone within milliseconds; one with much memory of devices, within seconds.
KILLED_S = 5.0


class Waited(Protocol):
    """A process that can be waited for, like subprocess.Popen."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; raise subprocess.TimeoutExpired after `timeout` seconds."""


class Ended(Waited, Protocol):
    """A process that can be killed as well."""

    def kill(self) -> None:
        """Send it SIGKILL."""


def end(process: Ended, name: str, within_s: float = 0.0) -> bool:
    """Wait for the end of a process, and kill it after `within_s`; return whether it was in time.

    Args:
        process: a child.
        name: what it is, for the warning; see `reap`.
        within_s: seconds.
    """
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        reap(process, name)
        return False
    return True


def output(
    command: Sequence[str], within_s: float, said: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; return its exit code and what it wrote.

    Unlike subprocess.run it waits no longer for one that does not end when it is killed.

    Raises:
        SutError: it does not end within `within_s` seconds.
        OSError: it cannot be started.
    """
    pipe = subprocess.PIPE
    made = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env)
    with ended(made, command[0]) as process:
        try:
            out, err = process.communicate(said, within_s)
        except subprocess.TimeoutExpired as error:
            text = f"{' '.join(command)}: it does not end within {within_s:g} s, and was killed."
            raise SutError(text) from error
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@contextmanager
def ended(process: subprocess.Popen[AnyStr], name: str) -> Iterator[subprocess.Popen[AnyStr]]:
    """Yield a process; kill it afterwards if it has not ended, see `end`, and close its pipes."""
    try:
        yield process
    finally:
        end(process, name)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def reap(process: Waited, name: str, within_s: float = KILLED_S) -> int | None:
    """Wait for the end of a process that was killed; return its exit code.

    None: the system still has it after `within_s` seconds. Nobody can end it then, so it is left
    behind, and a warning names it.
    """
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        warn_left(process.pid, name, within_s)
        return None


def warn_left(pid: int, name: str, after_s: float) -> None:
    """Name a process that does not end although it was killed, if it is still there."""
    state = state_of(pid)
    if state in {"", "Z"}:
        return
    log.warning(
        "%s: process %d (state %s) has not ended %g s after SIGKILL: a driver holds it. It is left "
        "behind, and may keep its device until the driver lets go or the machine is restarted.",
        *(name, pid, state, after_s),
    )
