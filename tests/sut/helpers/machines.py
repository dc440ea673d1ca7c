"""A cluster of machines on this one: nodes in network namespaces, a run beside them, and faults.

Each node has one device. Whoever breaks something here must find, with `sut` alone, that the run
ended and named the node.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from sut.base.environment import ROOT
from sut.serve.cluster.security import make_keys
from tests.sut.helpers.namespaces import Namespaces
from tests.sut.helpers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

NAMES = ("alpha", "beta", "gamma", "delta")
PORT = 7700
SUT = (sys.executable, "-m", "sut")


class Node:
    """The agent of one machine, and what it started."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._before = log.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a priority counts within its session
            )

    def until_listening(self) -> None:
        """Wait until it listens."""
        wait_until(lambda: "listens at" in self.said(self._before), f"{self.name} listens", 60)

    def said(self, start: int = 0) -> str:
        """Return what it printed from a byte on."""
        return self._log.read_bytes()[start:].decode()

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.said(self._before).partition("listens at ")[2].split()[0]

    @property
    def pid(self) -> int:
        """The agent's process."""
        assert self._process is not None, "it is started"
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the worker processes that the agent has started and that still run."""
        return [pid for pid in children(self.pid) if "cluster.worker" in cmdline(pid)]

    def is_alive(self) -> bool:
        """Whether the agent runs."""
        return self._process is not None and self._process.poll() is None

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the agent and its workers, as if the machine stopped."""
        for pid in (self.pid, *self.workers()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Kill the agent alone."""
        assert self._process is not None, "it is started"
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.is_alive():
            self.signal_all(signal.SIGCONT)
            self.kill()


class Run:
    """A command of `sut` on LoadGen's side.

    Attributes:
        folder: of the run.
        started_s: on time.monotonic().
    """

    def __init__(self, command: Sequence[str], folder: Path, output: IO[bytes]) -> None:
        self.folder = folder
        self.started_s = time.monotonic()
        self._output = Path(output.name)
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def trial(self) -> int | None:
        """Return the process of the test, which the command started; None: there is none."""
        return next((pid for pid in children(self.pid) if "sut.run." in cmdline(pid)), None)

    def is_asking(self) -> bool:
        """Whether LoadGen, or another load, sends queries."""
        return any(path.stat().st_size > 0 for path in self.folder.rglob("mlperf_log_detail.txt"))

    def until_asking(self) -> None:
        """Wait until queries are sent."""
        wait_until(lambda: self.is_asking() or self.code is not None, "queries are sent", 60)
        assert self.code is None, self.said()

    def ends_within(self, limit_s: float) -> float | None:
        """Return after how many s the command ended; None: it did not."""
        start_s = time.monotonic()
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - start_s

    def said(self) -> str:
        """Return what it printed."""
        return self._output.read_text("utf-8")

    def kill(self) -> None:
        """Kill the command alone."""
        self._process.kill()

    def stop(self) -> None:
        """End it."""
        if self.code is None:
            self._process.kill()
        self._process.wait()


class Machines:
    """Some nodes, and LoadGen's side. Use it in a `with`.

    Args:
        folder: for keys, the cluster's file, logs and run folders.
        nodes: how many.
    """

    def __init__(self, folder: Path, nodes: int = 2) -> None:
        self._folder = folder
        self.network = Namespaces(nodes)
        self._count = nodes
        self._stack = ExitStack()
        self.nodes: list[Node] = []
        self._runs = 0

    def __enter__(self) -> Self:
        """Make the keys and the machines, and start all nodes."""
        keys = self._folder / "keys"
        make_keys(keys)
        try:
            self._stack.enter_context(self.network)
            for index in range(self._count):
                self._add(index, keys)
            for node in self.nodes:
                node.until_listening()
        except BaseException:
            self._stack.close()
            raise
        lines = [f"keys: {keys}", "nodes:"]
        for index, node in enumerate(self.nodes):
            address = f"{self.network.address(index)}:{PORT}"
            lines.append(f'  - {{name: {node.name}, address: "{address}", devices: ["{index}"]}}')
        self._file.write_text("\n".join(lines) + "\n", "utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        self._stack.close()

    def run(self, *words: str, verb: str = "run") -> Run:
        """Start `sut VERB` with simulated devices on the nodes; words replace nothing."""
        self._runs += 1
        out = self._folder / f"run-{self._runs}"
        command = self.network.inside(
            self.network.head,
            [
                *(*SUT, verb, "-b", "resnet50", "--backend", "simulated"),
                *("--cluster", str(self._file), "--out", str(out), *words),
            ],
        )
        with (self._folder / f"output-{self._runs}.txt").open("wb") as output:
            run = Run(command, out, output)
        self._stack.callback(run.stop)
        return run

    @property
    def _file(self) -> Path:
        return self._folder / "cluster.yaml"

    def _add(self, index: int, keys: Path) -> None:
        name, address = NAMES[index], f"{self.network.address(index)}:{PORT}"
        command = self.network.inside(
            self.network.name(index),
            [*SUT, "cluster", "node", "--name", name, "--listen", address, "--keys", str(keys)],
        )
        node = Node(name, command, self._folder / f"{name}.log")
        self._stack.callback(node.stop)
        self.nodes.append(node)
        node.start()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text("ascii").split())
    return found


def cmdline(pid: int) -> str:
    """Return the command of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
