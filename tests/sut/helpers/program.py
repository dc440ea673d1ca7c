"""The program as a user runs it: commands in processes of their own, or in this one.

A process runs from a copy of the checkout, so that its cache is the copy's and no test leaves
anything in the checkout itself.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sut.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parents[3]
CONTENTS = ("sut", "backends", "scenarios", "data", "user_confs")
# Every process that a command starts inherits it, whatever its command line says.
MARKER = "SUT_TEST_COMMAND"
_LIMIT_S = 30.0
_AT_ONCE = 2
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        out: standard output.
        err: standard error.
        seconds: from start to end.
    """

    code: int
    out: str
    err: str
    seconds: float


def run_here(*words: object, cwd: Path | None = None) -> Done:
    """Run `sut WORDS` inside this process: for what is refused before anything is made.

    Args:
        words: the command line.
        cwd: its folder; the current one.
    """
    out, err = io.StringIO(), io.StringIO()
    start_s = time.monotonic()
    before = signal.getsignal(signal.SIGINT)
    with (
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # how argparse ends
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGINT, before)
    return Done(code, out.getvalue(), err.getvalue(), time.monotonic() - start_s)


class Running:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[str], marker: str) -> None:
        self._process = process
        self._marker = f"{MARKER}={marker}".encode()
        self._start_s = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._start_s

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command's first process alone."""
        self._process.send_signal(number)

    def catches(self, number: signal.Signals) -> bool:
        """Return whether the command's first process handles a signal by now."""
        lines = _read(self._process.pid, "status").splitlines()
        caught = next((line for line in lines if line.startswith(b"SigCgt:")), b"SigCgt: 0")
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def has_mapped(self, name: str) -> bool:
        """Return whether its first process has loaded a library with such a name by now."""
        return name.encode() in _read(self._process.pid, "maps")

    def finish(self, limit_s: float = _LIMIT_S) -> Done:
        """Wait for its end, and kill it after `limit_s`."""
        try:
            out, err = self._process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
        return Done(self._process.returncode, out, err, self.age_s)

    def processes(self) -> dict[int, str]:
        """Return the command lines, by process id, of all its processes that are alive."""
        return {
            pid: _read(pid, "cmdline").replace(b"\0", b" ").decode()
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if self._marker in _read(pid, "environ").split(b"\0")
        }

    def process_of(self, module: str) -> int:
        """Return the process id of `python -m MODULE`."""
        (found,) = (pid for pid, line in self.processes().items() if f" -m {module} " in line)
        return found


class Program:
    """A copy of the checkout; `root` is its folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def copied_to(cls, root: Path) -> Program:
        """Copy the program, and nothing else of the checkout."""
        for name in CONTENTS:
            shutil.copytree(CHECKOUT / name, root / name)
            _copy_compiled(CHECKOUT / name, root / name)
        return cls(root)

    @contextmanager
    def start(
        self, *words: object, cwd: Path | None = None, before: Sequence[str] = ()
    ) -> Iterator[Running]:
        """Start `sut WORDS` in `cwd`; leaving the `with` kills it if it still runs.

        Args:
            words: the command line.
            cwd: its folder; the checkout's copy.
            before: a command that runs the one that follows it, such as `nice`.
        """
        marker = f"{os.getpid()}-{next(_numbers)}"
        with subprocess.Popen(
            [*before, sys.executable, "-m", "sut", *map(str, words)],
            cwd=cwd or self.root,
            env={**os.environ, "PYTHONPATH": str(self.root), MARKER: marker},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Running(process, marker)
            finally:
                process.kill()

    def run(self, *words: object, cwd: Path | None = None, limit_s: float = _LIMIT_S) -> Done:
        """Run `sut WORDS` to its end."""
        with self.start(*words, cwd=cwd) as running:
            return running.finish(limit_s)

    def run_all(
        self,
        commands: Mapping[str, Sequence[object]],
        folder: Path,
        limit_s: float = _LIMIT_S,
        at_once: int = _AT_ONCE,
    ) -> dict[str, Done]:
        """Run commands by name, each in a folder of its own, FOLDER/NAME.

        Args:
            commands: their words.
            folder: of the folders.
            limit_s: seconds, after which a command is killed.
            at_once: how many run side by side; more than cores where they mostly wait.
        """

        def run(name: str) -> Done:
            (folder / name).mkdir(exist_ok=True)
            return self.run(*commands[name], cwd=folder / name, limit_s=limit_s)

        with ThreadPoolExecutor(at_once) as pool:
            return dict(zip(commands, pool.map(run, commands), strict=True))


def _copy_compiled(source: Path, copy: Path) -> None:
    """Copy what was compiled of a folder: its files keep their times, so it is true of the copy."""
    if sys.pycache_prefix is None:
        return
    prefix = Path(sys.pycache_prefix)
    compiled = prefix / source.relative_to("/")
    if compiled.is_dir():  # leave out what another process is writing
        ignore = shutil.ignore_patterns("*.pyc.*")
        shutil.copytree(compiled, prefix / copy.relative_to("/"), ignore=ignore)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it ended meanwhile
        return b""
