"""The process that samples the devices of a test, ten times a second.

sut.telemetry.recorder starts it as `python -m sut.telemetry.sampler`. A separate process never
takes the interpreter lock of LoadGen's process. It reads a request from standard input, then the
session of the test, and ends with standard input. Its output goes to run.log.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base.errors import SutError
from sut.telemetry import hwmon, jtop, log, nvml, rapl
from sut.telemetry.log import Line
from sut.telemetry.meter import Power, Source  # msgspec reads them at run time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from sut.telemetry.meter import Meter, Process

PERIOD_S = 0.1
# The processes on a device are read less often: they change rarely, and the call costs more.
PROCESSES_EVERY = 10


@dataclass(frozen=True, slots=True)
class Request:
    """What to sample.

    Attributes:
        source: whom to ask.
        out: the file to write; see sut.telemetry.log.
        devices: for NVML: with the numbers of CUDA.
        simulated: for simulated devices: their power.
        trace: for simulated devices: the trace of the test.
        period_s: from one sample to the next.
    """

    source: Source
    out: str
    devices: tuple[str, ...] = ()
    simulated: tuple[Power, ...] = ()
    trace: str = ""
    period_s: float = PERIOD_S


class Sampler:
    """Samples meters until `stop` is called."""

    def __init__(self, meters: Sequence[Meter], file: IO[bytes], period_s: float) -> None:
        self._meters = meters
        self._file = file
        self._period_ns = int(period_s * 1e9)
        self._end = threading.Event()
        self.sessions: set[int] = set()  # of the processes of the test

    def end(self) -> None:
        """Make `run` take a last sample and return. Any thread may call it."""
        self._end.set()

    def run(self) -> None:
        """Write the facts, then sample. Skips samples that would be late."""
        log.write(self._file, [Line(m.device, facts=m.facts()) for m in self._meters])
        next_ns, tick = time.monotonic_ns(), 0
        while not self._end.wait(max(0, next_ns - time.monotonic_ns()) / 1e9):
            self._sample(with_processes=tick % PROCESSES_EVERY == 0)
            tick += 1
            late = (time.monotonic_ns() - next_ns) // self._period_ns
            next_ns += (late + 1) * self._period_ns
        self._sample(with_processes=True)
        log.write(self._file, [Line(cpu_s=time.process_time())])

    def _sample(self, *, with_processes: bool) -> None:
        lines = [Line(m.device, reading=m.sample()) for m in self._meters]
        if with_processes:
            lines += [
                Line(m.device, processes=tuple(self._marked(p) for p in m.processes()))
                for m in self._meters
            ]
        log.write(self._file, lines)

    def _marked(self, process: Process) -> Process:
        try:
            own = os.getsid(process.pid) in self.sessions
        except OSError:  # it ended, or is outside this container
            own = False
        return replace(process, own=own)


def open_meters(request: Request, stack: ExitStack) -> Sequence[Meter]:
    """Return the meters of a request; `stack` closes what they need.

    Raises:
        NvmlError: NVML cannot be asked.
        JtopError: jtop cannot be asked.
    """
    if request.source == "nvml":
        library = stack.enter_context(nvml.open_nvml())
        return nvml.meters(library, request.devices, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if request.source == "rapl":
        return rapl.meters()
    if request.source == "hwmon":
        return hwmon.meters()
    if request.source == "jtop":
        return [stack.enter_context(jtop.open_jtop())]
    # It needs NumPy, which takes longer to import than everything else.
    from sut.telemetry.simulated import SimulatedMeter  # noqa: PLC0415

    return [SimulatedMeter(power, Path(request.trace)) for power in request.simulated]


def main() -> int:
    """Sample as the first line of standard input says; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    with ExitStack() as stack:
        try:
            meters = open_meters(request, stack)
        except SutError as error:
            print(f"no telemetry: {error}", file=sys.stderr)
            return error.exit_code
        sampler = Sampler(
            meters, stack.enter_context(Path(request.out).open("wb")), request.period_s
        )
        threading.Thread(target=_listen, args=(sampler,), daemon=True).start()
        sampler.run()
    return 0


def _listen(sampler: Sampler) -> None:
    """Read the sessions of the test, then wait for the end."""
    for line in sys.stdin.buffer:
        sampler.sessions.add(int(line))
    sampler.end()


if __name__ == "__main__":
    sys.exit(main())
