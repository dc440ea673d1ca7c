"""How the process of a test begins: here as a new one; sut.run.nursery forks it instead."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, Protocol, TypeAlias

from sut.base.environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Begin: TypeAlias = Callable[["Birth", IO[bytes]], "Running"]

How = Literal["anew", "forked"]


@dataclass(frozen=True, slots=True)
class Birth:
    """What a process begins with.

    Attributes:
        module: what it runs; see sut.run.child.
        request: the file that it gets.
        variables: of its environment, all of them.
        before: a command that prepares the process and then becomes what follows it.
        files: descriptors that it inherits.
    """

    module: str
    request: str
    variables: Mapping[str, str]
    before: Sequence[str] = ()
    files: Sequence[int] = ()


class Running(Protocol):
    """A process that leads its own session, like a subprocess.Popen with two pipes."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """See subprocess.Popen."""

    def poll(self) -> int | None:
        """See subprocess.Popen."""

    def wait(self, timeout: float | None = None) -> int | None:
        """See subprocess.Popen."""

    def terminate(self) -> None:
        """See subprocess.Popen."""

    def kill(self) -> None:
        """See subprocess.Popen."""


def anew(birth: Birth, log: IO[bytes]) -> Running:
    """Start a new process.

    Args:
        birth: what it begins with.
        log: gets what it prints.
    """
    return subprocess.Popen(
        [*birth.before, sys.executable, "-m", birth.module, birth.request],
        cwd=ROOT,
        env=dict(birth.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=birth.files,
        start_new_session=True,  # a Ctrl-C at the terminal reaches the parent alone
    )
