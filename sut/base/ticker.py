"""A line at least every ten seconds about what says nothing else: `predicting: 412 of 960, 18 s`.

One thread for all that a command does. It belongs into the process that waits, never into one that
holds LoadGen or a worker.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base.steps import heard_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Say = Callable[[str], None]

# A line at least every 10 s, however late the thread wakes up; later than a live line's own.
EVERY_S = 9.5


@dataclass(slots=True, eq=False)
class _Activity:
    what: str
    since_s: float
    of_s: float | None = None
    step: str = ""


class Ticker:
    """What is done now, and when a line about it is due. Any thread may call it.

    Args:
        say: prints a line.
        every_s: the longest silence.
        clock: in s.
    """

    def __init__(
        self, say: Say, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._every_s, self._clock = say, every_s, clock
        self._doing: list[_Activity] = []
        self._due_s = clock() + every_s

    def spoke(self) -> None:
        """Somebody else has printed a line; the next one is due later."""
        self._due_s = self._clock() + self._every_s

    @contextmanager
    def doing(self, what: str, of_s: float | None = None) -> Iterator[None]:
        """Name what is done inside the `with`; its steps (sut.base.steps) come into the line.

        Args:
            what: a few words.
            of_s: how long it takes, if that is known.
        """
        activity = _Activity(what, self._clock(), of_s)
        self._doing.append(activity)

        def hear(step: str) -> None:
            activity.step = step

        try:
            with heard_by(hear):
                yield
        finally:
            self._doing.remove(activity)
            for outer in self._doing[-1:]:  # it begins again: what is done next takes its own time
                outer.since_s, outer.step = self._clock(), ""

    def tick(self) -> float:
        """Print a line if one is due; return how many seconds are left until one may be."""
        now_s = self._clock()
        if now_s >= self._due_s:
            if activities := list(self._doing):
                self._say(_line(activities, now_s))
            self._due_s = now_s + self._every_s
        return self._due_s - now_s


def _line(activities: Sequence[_Activity], now_s: float) -> str:
    *_, last = activities
    # The outermost says what the command does where nothing else has a name.
    names = ": ".join(each.what for each in activities[1:] or activities)
    step = f"{last.step}, " if last.step else ""
    of = "" if last.of_s is None else f" of {last.of_s:.0f}"
    return f"{names}: {step}{now_s - last.since_s:.0f}{of} s"


_current: ContextVar[Ticker | None] = ContextVar("_current", default=None)


@contextmanager
def ticking(
    what: str,
    say: Say | None = None,
    every_s: float = EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Ticker]:
    """Let a line be printed whenever nothing was for a while, inside the `with`.

    Inside another one, it only names what is done.

    Args:
        what: is done, where `doing` does not say more.
        say: prints a line; None: on standard error.
        every_s: the longest silence.
        clock: in s.
    """
    outer = _current.get()
    if outer is not None:
        with outer.doing(what):
            yield outer
        return
    ticker = Ticker(say or _on_standard_error, every_s, clock)
    over = threading.Event()

    def run() -> None:
        while not over.wait(ticker.tick()):
            pass

    thread = threading.Thread(target=run, name="ticker", daemon=True)
    token = _current.set(ticker)
    thread.start()
    try:
        with ticker.doing(what):
            yield ticker
    finally:
        _current.reset(token)
        over.set()
        thread.join()


@contextmanager
def doing(what: str, of_s: float | None = None) -> Iterator[None]:
    """Name what is done inside the `with`, see Ticker.doing. Without a ticker nobody hears it."""
    ticker = _current.get()
    if ticker is None:
        yield
        return
    with ticker.doing(what, of_s):
        yield


def spoke() -> None:
    """Somebody has printed a line, so the ticker need not."""
    ticker = _current.get()
    if ticker is not None:
        ticker.spoke()


def _on_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
