"""Machines that join the Ray cluster that is started here: each by a command that reaches it.

The command is as the user gave it, such as ssh; what runs there is a warden, tied to this process:
when this one ends, the pipe breaks, and nothing is left there.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

from sut.base import ending
from sut.base.process import exit_words
from sut.base.subprocess_call import last_line
from sut.serve.cluster.placing.environment import of_machine
from sut.serve.cluster.placing.warden import FOLDER, MODULE, Order, line_of

if TYPE_CHECKING:
    from pathlib import Path

    from sut.config.placing import MachineSpec

# Ray keeps objects there that nobody here makes; it refuses less than 75 MiB.
OBJECT_STORE_BYTES = 80 << 20
_END_S = 15.0


def join_words(machine: MachineSpec, python: str, ray_address: str) -> tuple[str, ...]:
    """Return the command that Ray is started with on a machine."""
    return (
        *(python, "-m", "ray.scripts.scripts", "start", "--block"),
        *("--address", ray_address, "--node-ip-address", machine.address),
        *("--node-name", machine.name, "--resources", json.dumps(dict(machine.resources))),
        *("--object-store-memory", str(OBJECT_STORE_BYTES), "--temp-dir", FOLDER),
        *("--include-log-monitor", "false", "--disable-usage-stats"),
    )


class Joined:
    """A machine that joins, and stays as long as this object is open.

    Args:
        machine: of the cluster file.
        python: of the program, there.
        ray_address: HOST:PORT that it joins.
        log: where it writes what it has to say.

    Attributes:
        machine: as given.
        since_s: when it was asked to join, on the monotonic clock.
    """

    def __init__(self, machine: MachineSpec, python: str, ray_address: str, log: Path) -> None:
        self.machine = machine
        self.since_s = time.monotonic()
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*machine.reach, python, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
        order = Order(
            join_words(machine, python, ray_address), of_machine(dict(os.environ)), tied=True
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has left: see `gone`
            self._process.stdin.write(line_of(order))
            self._process.stdin.flush()

    def gone(self) -> str:
        """Return how the machine left, with its last line; empty: it is there."""
        code = self._process.poll()
        if code is None:
            return ""
        said = last_line(self._log.read_text("utf-8", "replace")) or "it said nothing"
        reach = " ".join(self.machine.reach)
        return f"machine {self.machine.name} ({reach}) left with {exit_words(code)}: {said}"

    def leave(self) -> None:
        """Let the machine leave; `close` waits for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """Wait until nothing is left there."""
        ending.end(self._process, f"machine {self.machine.name}", _END_S)
