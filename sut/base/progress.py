"""Shows the progress of a long step: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeAlias

from sut.base.steps import say_step
from sut.base.ticker import spoke, ticking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Called with (done, total), in bytes or samples; total is None if it is unknown.
    Progress: TypeAlias = Callable[[int, "int | None"], None]

_PLAIN_LINES = 10  # lines for a whole step without a terminal
_MINUTES_FROM = 5  # shorter times are shown in seconds
_QUIET_S = 1.0  # a step that ends sooner prints nothing


@contextmanager
def show_progress(
    title: str, stream: TextIO | None = None, quiet_s: float = _QUIET_S
) -> Iterator[Progress]:
    """Yield a callback that shows (done, total) under `title`, on standard error if None.

    Without a terminal a step that ends within `quiet_s` seconds prints nothing.
    """
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        with ticking(title, lambda line: print(line, file=stream, flush=True)):
            yield _PlainLines(title, stream, quiet_s)
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def duration(seconds: float) -> str:
    """Return a time for people: `45 s`, `12 min`, `28 h 32 min`."""
    minutes = round(seconds / 60)
    if minutes < _MINUTES_FROM:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class _PlainLines:
    """Prints a line after each tenth of a step, if the step takes long enough."""

    def __init__(self, title: str, stream: TextIO, quiet_s: float) -> None:
        self._title = title
        self._stream = stream
        self._printed = 0
        self._quiet_until_s = time.monotonic() + quiet_s

    def __call__(self, done: int, total: int | None) -> None:
        """Print `TITLE: DONE of TOTAL` if another tenth is done."""
        if not total:
            return
        say_step(f"{done} of {total}")
        tenth = done * _PLAIN_LINES // total
        if tenth > self._printed and time.monotonic() >= self._quiet_until_s:
            self._printed = tenth
            print(f"{self._title}: {done} of {total}", file=self._stream, flush=True)
            spoke()
