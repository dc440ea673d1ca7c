"""The file that the sampler writes and its parent reads: one JSON object a line.

An incomplete line is ignored: the process that wrote it was killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

# Needed at run time: msgspec reads the annotations.
from sut.telemetry.meter import Facts, Process, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import IO


@dataclass(frozen=True, slots=True)
class Line:
    """One line: about a device, or at the end about the cost of the sampler."""

    device: str = ""
    facts: Facts | None = None
    reading: Reading | None = None
    processes: tuple[Process, ...] | None = None
    cpu_s: float | None = None


@dataclass(slots=True)
class Log:
    """All that was sampled, by device.

    Attributes:
        facts: of each device, in the order of `--devices`.
        readings: in order of time.
        processes: all that were seen on it, by process id.
        first: process ids that were on it before the test opened it.
        cpu_s: processor time that the sampler used, in s; None if it was killed.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    processes: dict[str, dict[int, Process]] = field(default_factory=dict)
    first: dict[str, frozenset[int]] = field(default_factory=dict)
    cpu_s: float | None = None

    def strangers(self, device: str) -> list[Process]:
        """Return the processes on a device that do not belong to the test.

        In a container, NVML may use the process ids of the host. Then no process can be recognized
        as the test's own, and only those that were there before the test are certainly foreign.
        """
        seen = self.processes[device]
        comparable = any(process.own for process in seen.values())
        return [
            process
            for pid, process in sorted(seen.items())
            if not process.own and (comparable or pid in self.first[device])
        ]

    def add(self, line: Line) -> None:
        """Take in one line."""
        device = line.device
        if line.facts is not None:
            self.facts[device] = line.facts
            self.readings[device], self.processes[device] = [], {}
        if line.reading is not None:
            self.readings[device].append(line.reading)
        if line.processes is not None:
            self.first.setdefault(device, frozenset(p.pid for p in line.processes))
            self._add_processes(device, line.processes)
        if line.cpu_s is not None:
            self.cpu_s = line.cpu_s

    def _add_processes(self, device: str, found: Iterable[Process]) -> None:
        seen = self.processes[device]
        for process in found:
            before = seen.get(process.pid, process)
            seen[process.pid] = replace(
                process,
                name=before.name if process.name == "unknown" else process.name,
                memory_bytes=max(process.memory_bytes or 0, before.memory_bytes or 0) or None,
                own=process.own or before.own,
            )


def write(file: IO[bytes], lines: Iterable[Line]) -> None:
    """Append lines that a reader sees at once."""
    file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    file.flush()


def read(path: Path) -> Log:
    """Return what was written; an empty log if there is no file."""
    log = Log()
    for text in path.read_bytes().splitlines() if path.exists() else ():
        try:
            line = msgspec.json.decode(text, type=Line)
        except msgspec.DecodeError:
            break
        log.add(line)
    return log
