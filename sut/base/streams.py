"""Standard output and standard error that cannot fail a command: a run is worth more than its text.

A reader may leave early (`| head -1`), a disk may be full, a terminal may be gone.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer

_STANDARD = (0, 1, 2)


class _Steady(io.FileIO):
    """A file that notes the first error of writing, and drops what it cannot write."""

    error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or pretend to."""
        try:
            return super().write(data) or 0
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes


def open_closed() -> None:
    """Open /dev/null for each standard stream that is closed.

    Otherwise the next file that is opened gets its number, and the texts for that stream.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, this one
            os.set_inheritable(number, True)


def steady() -> None:
    """Replace sys.stdout and sys.stderr by streams whose writes and characters never fail."""
    sys.stdout = _stream(1, sys.stdout)
    sys.stderr = _stream(2, sys.stderr)


def lost() -> str | None:
    """Return why a part of standard output could not be written; None if all was, or nobody reads.

    Standard output is that of `steady`; with another one nothing is known.
    """
    sys.stdout.flush()
    file = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = file.error if isinstance(file, _Steady) else None
    return None if error is None or error.errno == errno.EPIPE else error.strerror


def _stream(number: int, before: TextIO | None) -> TextIO:
    file = _Steady(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding="utf-8" if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=True,  # whoever reads a log wants the settings while the test runs
    )
