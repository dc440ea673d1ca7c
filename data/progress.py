"""Show how far a long step is: a bar on a terminal, plain lines elsewhere. Knows no step."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Called with (done, total), in bytes or samples; total is None where nobody knows it.
    Progress: TypeAlias = Callable[[int, "int | None"], None]

_PLAIN_LINES = 10  # lines that a whole step prints without a terminal


@contextmanager
def show_progress(title: str, stream: TextIO | None = None) -> Iterator[Progress]:
    """Yield a callback that shows (done, total) under `title`, on standard error if None."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield _PlainLines(title, stream)
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _PlainLines:
    """Prints a line each tenth of the way."""

    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._printed = 0

    def __call__(self, done: int, total: int | None) -> None:
        """Print `TITLE: DONE of TOTAL` if a further tenth is done."""
        if not total:
            return
        tenth = done * _PLAIN_LINES // total
        if tenth > self._printed:
            self._printed = tenth
            print(f"{self._title}: {done} of {total}", file=self._stream, flush=True)
