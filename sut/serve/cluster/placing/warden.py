"""Runs a command, and leaves none of its processes behind: not even when it is killed.

Ray's own processes outlive a head that was killed. The warden adopts every orphan of its command,
so that it finds them all, whatever session or group they chose. Knows
nothing of Ray. It runs on this machine, or at the end of an ssh, a docker exec or an ip netns exec,
so its order comes on standard input and not in words that a shell would read.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from sut.base import ending
from sut.base.descendants import adopt_orphans, end_all
from sut.base.errors import EXIT_FAILED, SutError
from sut.base.files import held
from sut.base.process import exit_words
from sut.base.signals import exit_code, noted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

MODULE = "sut.serve.cluster.placing.warden"
# In the words of a command: a new folder of its own, which goes when the command has ended.
FOLDER = "{folder}"
_SET_PDEATHSIG = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_LOOK_S = 0.1


class Order(msgspec.Struct, frozen=True):
    """What the warden reads as the first line of its standard input, as JSON.

    Attributes:
        command: words; FOLDER in them is replaced.
        environment: added to that of the warden.
        held: a folder that no other warden can hold meanwhile; None: none.
        tied: the command ends when standard input does, so with whoever holds the other end.
        grace_s: seconds between SIGTERM and SIGKILL.
    """

    command: tuple[str, ...]
    environment: dict[str, str] = {}
    held: str | None = None
    tied: bool = False
    grace_s: float = 10.0


def line_of(order: Order) -> bytes:
    """Return an order as the warden reads it."""
    return msgspec.json.encode(order) + b"\n"


def main() -> NoReturn:
    """Do what the order says; exit as the command did, or with 128 and its signal."""
    order = msgspec.json.decode(_first_line(), type=Order)
    adopt_orphans()
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    noted(note)
    with contextlib.ExitStack() as stack:
        if order.held is not None:
            stack.enter_context(held(Path(order.held), "sut cluster up"))
        # Short: the path of a socket in it has at most 107 characters.
        folder = tempfile.mkdtemp(prefix="sut-ray-", dir="/tmp")
        try:
            code = _run(order, folder, asked)
        finally:
            end_all()
            shutil.rmtree(folder, ignore_errors=True)
        # Within the `with`: whoever finds that nobody holds the folder shall find no warden either.
        sys.stderr.flush()
        os._exit(exit_code(-code) if code < 0 else code)


def _first_line() -> bytes:
    """Read a line byte by byte: what follows it stays in the pipe."""
    line = b""
    while not line.endswith(b"\n") and (letter := os.read(0, 1)):
        line += letter
    return line


def _run(order: Order, folder: str, asked: Sequence[int]) -> int:
    prctl = ctypes.CDLL(None).prctl
    process = subprocess.Popen(
        [word.replace(FOLDER, folder) for word in order.command],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **order.environment},
        start_new_session=True,  # a Ctrl-C at the terminal reaches the warden alone
        # If the warden itself is killed, the command is told to end.
        preexec_fn=lambda: prctl(_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),  # noqa: PLW1509 - no threads
    )
    while process.poll() is None and not asked and not (order.tied and _stdin_ended()):
        _bury_others(process.pid)
        time.sleep(_LOOK_S)
    by_itself = process.poll() is not None
    if not by_itself:
        process.terminate()
    ending.end(process, "the command", order.grace_s)
    code = EXIT_FAILED if process.returncode is None else process.returncode
    if code and by_itself:
        print(f"sut: it ended with {exit_words(code)}", file=sys.stderr)
    return code


def _stdin_ended() -> bool:
    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable) and not os.read(0, 1 << 12)


def _bury_others(command: int) -> None:
    """Take note of the end of orphans, so that they leave the table of processes."""
    while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if ended.si_pid == command:
            return
        os.waitpid(ended.si_pid, 0)


if __name__ == "__main__":
    try:
        main()
    except (SutError, msgspec.DecodeError, OSError) as error:
        print(f"sut: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
