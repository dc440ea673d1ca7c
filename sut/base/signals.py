"""What the signals that end a command do: Ctrl-C, SIGTERM, and SIGHUP of a closed terminal."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A library may swallow the exception: importing numpy.random does at some moments. It is raised
# again until somebody handles it.
_AGAIN_S = 0.2
_CODE_OF_SIGNALS = 128  # a shell's exit code of a command that signal n ended is 128 + n


class Stopped(KeyboardInterrupt):
    """A signal came; the command cleans up and ends."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = exit_code(number)


def exit_code(number: int) -> int:
    """Return the exit code of a command that a signal ended."""
    return _CODE_OF_SIGNALS + number


def end_at_once() -> None:
    """Let signals end the process with one line: while modules load there is nothing to undo."""
    _install(_end)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread when a signal comes; the earlier handlers come back."""
    before = _install(_raise)
    before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        restore(before)


def noted(note: Callable[[int, FrameType | None], None]) -> dict[int, object]:
    """Call `note` when a signal comes, and return the handlers for `restore`."""
    return _install(note)


def restore(before: dict[int, object]) -> None:
    """Put back the handlers that `noted` replaced."""
    for number, handler in before.items():
        signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave us


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[int, object]:
    # nohup ignores SIGHUP, and means it. A shell starts background jobs with SIGINT ignored, but
    # `kill -INT` shall end those too.
    wanted = [n for n in _ENDING if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in wanted}


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    def again(alarm: int, frame: FrameType | None) -> None:
        if not _is_handled():
            raise Stopped(number)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
    raise Stopped(number)


def _is_handled() -> bool:
    """Return whether the code that runs now cleans up after a `Stopped`."""
    error = sys.exception()
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error is not None


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, f"sut: interrupted by {signal.Signals(number).name}\n".encode())
    os._exit(exit_code(number))
