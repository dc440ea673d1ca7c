"""The program's start: `sut`, or `python -m sut`. Signals and streams come before all imports."""

from __future__ import annotations

import sys

from sut.base import signals, streams


def main() -> int:
    """Run the command line; return the exit code."""
    streams.open_closed()
    signals.end_at_once()
    streams.steady()
    from sut.cli import main as run  # noqa: PLC0415 - a Ctrl-C meanwhile is one line

    return run()


if __name__ == "__main__":
    sys.exit(main())
