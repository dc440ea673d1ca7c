"""Notices that a process stands still: one that was stopped answers nothing and closes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sut.base.process import is_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

# A debugger that attaches stops a process for some ms, and so does a shell that is asked to.
STOPPED_S = 1.5
STOPPED = "signal SIGSTOP"


class Standing:
    """Looks at one process now and then.

    Args:
        limit_s: how long it may stand still.
        clock: in s.
    """

    def __init__(
        self, limit_s: float = STOPPED_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._since_s: float | None = None  # when it was first seen to stand still

    def too_long(self, pid: int | None) -> bool:
        """Look; return whether the process has stood still at every look for `limit_s`.

        Args:
            pid: of the process; None: nothing is expected of it, so how long counts from anew.
        """
        if pid is None or not is_stopped(pid):
            self._since_s = None
            return False
        now_s = self._clock()
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= self._limit_s
