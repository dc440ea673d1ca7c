"""The program's start: `sut`, or `python -m sut`. Signals and streams come before all imports."""

from __future__ import annotations

import os
import sys


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """Print one line for a Ctrl-C in the moments before there is a handler for it."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("sut: interrupted by SIGINT\n")
    else:
        sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]  # what Python gave us


sys.excepthook = _say_interrupted

from sut.base import signals, streams  # noqa: E402 - see _say_interrupted


def main() -> int:
    """Run the command line; return the exit code."""
    # NumPy's OpenBLAS starts a thread for each core, and each spins for a while: on two cores a
    # fifth of what a process needs to start. Nothing here multiplies large matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    streams.open_closed()
    signals.end_at_once()
    streams.steady()
    from sut.cli import main as run  # noqa: PLC0415 - a Ctrl-C meanwhile is one line

    return run()


if __name__ == "__main__":
    sys.exit(main())
