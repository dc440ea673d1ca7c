"""Ends child processes without ever waiting for good: a driver may hold one that was killed."""

from __future__ import annotations

import logging
import subprocess
from typing import Protocol

from sut.base.process import state_of

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
