"""Runs a module in a new process: bytes in, bytes out, its errors raised here."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sut.base import ending
from sut.base.environment import ROOT
from sut.base.errors import EXIT_FAILED, ConfigError, SutError
from sut.base.standing import STOPPED, Standing
from sut.base.ticker import ticking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Request = TypeVar("_Request")
# How often it looks whether the process was stopped.
_LOOK_S = 0.5


class TrialFailed(SutError):
    """A trial gave no result: a device died, or the program refused the settings."""


def run_module(module: str, request: bytes, what: str, files: Sequence[int] = ()) -> bytes:
    """Run `python -m MODULE`; return what it wrote. A ticker says how long it takes.

    Args:
        module: reads the request on standard input.
        request: what it reads.
        what: what it does, for the message.
        files: descriptors that it inherits.

    Raises:
        ConfigError: the module refused its input.
        TrialFailed: it failed in another way.
    """
    made = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=files,
    )
    with ending.ended(made, what) as process, ticking(what):
        answer, errors = _communicated(process, request, what)
    if process.returncode:
        message = last_line(errors.decode(errors="replace")) or f"exit code {process.returncode}"
        is_bad_input = process.returncode == ConfigError.exit_code
        raise (ConfigError if is_bad_input else TrialFailed)(f"{what} failed: {message}")
    return answer


def _communicated(
    process: subprocess.Popen[bytes], request: bytes, what: str
) -> tuple[bytes, bytes]:
    """Return what a process wrote.

    Raises:
        TrialFailed: it stands still.
    """
    standing = Standing()
    unsent: bytes | None = request
    while True:
        try:
            return process.communicate(unsent, timeout=_LOOK_S)
        except subprocess.TimeoutExpired as error:
            unsent = None
            if standing.too_long(process.pid):
                text = f"{what} failed: its process stands still ({STOPPED}) and was killed"
                raise TrialFailed(text) from error


def answer_request(kind: type[_Request], act: Callable[[_Request], object]) -> int:
    """Act on the request on standard input, and answer on standard output.

    Args:
        kind: of the request.
        act: returns the answer.

    Returns:
        The exit code.
    """
    answer = os.dup(1)
    os.dup2(2, 1)  # what an engine prints must not mix with the answer
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    try:
        os.write(answer, msgspec.json.encode(act(request)))
    except SutError as error:
        print(f"sut: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the parent reports it
        traceback.print_exc()
        print(f"sut: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def last_line(text: str) -> str:
    """Return the last line that the program printed, above the traceback of a worker."""
    said = [line.removeprefix("sut: ") for line in text.splitlines() if line.startswith("sut: ")]
    return said[-1] if said else next(reversed(text.strip().splitlines()), "")
