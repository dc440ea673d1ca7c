"""Runs one of the tuner's own modules in a fresh process: bytes in, bytes out, errors as errors."""

from __future__ import annotations

import subprocess
import sys

from sut.environment import ROOT
from sut.errors import ConfigError, SutError


class TrialFailed(SutError):
    """A trial had no result: a device died, or the program refused it."""


def run_apart(module: str, request: bytes, what: str) -> bytes:
    """Run `python -m MODULE`; return what it wrote.

    Args:
        module: reads the request on standard input.
        request: for it.
        what: it does, for the message.

    Raises:
        ConfigError: it was given bad input.
        TrialFailed: it failed otherwise.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            answer, errors = process.communicate(request)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        message = last_line(errors.decode(errors="replace")) or f"exit code {process.returncode}"
        is_bad_input = process.returncode == ConfigError.exit_code
        raise (ConfigError if is_bad_input else TrialFailed)(f"{what} failed: {message}")
    return answer


def last_line(text: str) -> str:
    """Return what the program said last; a worker's traceback comes below it."""
    said = [line.removeprefix("sut: ") for line in text.splitlines() if line.startswith("sut: ")]
    return said[-1] if said else next(reversed(text.strip().splitlines()), "")
