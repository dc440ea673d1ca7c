"""The processes below another one: their processor time, and their end. From Linux's /proc.

A compiler of a backend starts processes of its own, and those start more. The kernel counts the
time of a process for its parent only when the parent has waited for it. What nobody waits for looks
like somebody else's work on this machine.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.ending import warn_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # <linux/prctl.h>
# Of /proc/PID/stat after the name (proc(5)): ppid; session; utime, stime, cutime, cstime.
_PARENT, _SESSION, _TIMES = 1, 3, slice(11, 15)
# A killed process is gone within milliseconds, unless a driver holds it.
_END_S, _LOOK_S = 1.0, 0.002


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends; see prctl(2)."""
    prctl = _prctl()
    if prctl is not None:
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def adopting() -> Iterator[bool]:
    """Adopt orphans inside the `with`, as `adopt_orphans` does; yield whether the system can."""
    prctl, before = _prctl(), ctypes.c_int()
    if prctl is None or prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0):
        yield False
        return
    adopt_orphans()
    try:
        yield True
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


def busy_s(pid: int) -> float:
    """Return the processor time of a process and all below it so far, in s; 0 if it is gone.

    That of a descendant that ended counts once its parent has waited for it.
    """
    return sum(_times_s(each) for each in (pid, *_below(pid)))


def end_all() -> None:
    """Kill every process below this one, and wait for their ends, a second at most.

    A warning names what has not ended by then.

    For a process that adopts orphans and is about to end: whoever waits for it then knows the
    processor time of all.
    """
    end_s = time.monotonic() + _END_S
    while time.monotonic() < end_s:
        for pid in _below(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(_LOOK_S)
    for pid in _below(os.getpid()):
        warn_left(pid, f"below process {os.getpid()}", _END_S)


def end_session(session: int) -> None:
    """Kill what is left of a session whose leader is gone, and reap what this process adopted."""
    end_s = time.monotonic() + _END_S
    while (left := left_in_session(session)) and time.monotonic() < end_s:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_LOOK_S)


def left_in_session(session: int) -> list[int]:
    """Return the processes of a session whose leader is gone; none while it is there."""
    found = [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and (fields := _fields(int(entry))) and int(fields[_SESSION]) == session
    ]
    return [] if session in found else found


def _prctl() -> Callable[..., int] | None:
    """Return prctl(2); None: the system has none."""
    return getattr(ctypes.CDLL(None), "prctl", None)


def _below(pid: int) -> list[int]:
    """Return every process below one, from the parents of all: few kernels list the children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _fields(int(entry))):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry))
    found = children.pop(pid, [])
    for each in found:  # it grows meanwhile; a number that is used again comes once
        found += children.pop(each, ())
    return found


def _times_s(pid: int) -> float:
    return sum(map(int, _fields(pid)[_TIMES])) / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
