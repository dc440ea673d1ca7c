"""What a GPU's multiprocessors do, through DCGM's `dcgmi dmon`: for GPUs before Hopper.

Needs DCGM and its host engine (nv-hostengine). Until Ampere, one profiler at a time may use a GPU:
while nsys or ncu holds it, DCGM shows N/A, and nothing is read here.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Fields of Reading by DCGM's number of the field (dcgm_fields.h, DCGM_FI_PROF_*), shares of 1.
FIELDS: Mapping[int, str] = {
    1002: "sm_percent",  # SM_ACTIVE
    1003: "sm_occupancy_percent",  # SM_OCCUPANCY
    1004: "tensor_percent",  # PIPE_TENSOR_ACTIVE
    1005: "dram_percent",  # DRAM_ACTIVE
}
SOURCE = "DCGM"
PROGRAM = "dcgmi"
_EVERY_MS = 100
# Older values say nothing of the present: dcgmi or its host engine has ended.
_STALE_S = 1.0


class Dcgm:
    """The DCGM of one GPU. It starts `dcgmi` at the first read.

    dcgmi ends with this process: nobody then reads what it writes.

    Args:
        index: of the GPU, as NVML and DCGM count.
        program: of DCGM; None if there is none.
        clock: in s.

    Attributes:
        source: SOURCE if DCGM is there, else None.
        why_not: in words, if it is not.
    """

    def __init__(
        self,
        index: int,
        program: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = None if program is None else SOURCE
        self.why_not = "" if program else "DCGM's dcgmi is not installed"
        self._command = [
            *(program or "", "dmon", "-i", str(index), "-d", str(_EVERY_MS)),
            *("-e", ",".join(map(str, FIELDS))),
        ]
        self._clock = clock
        self._process: subprocess.Popen[str] | None = None
        self._last: tuple[float, dict[str, float]] = (0.0, {})

    def read(self) -> dict[str, float]:
        """Return the last metrics in percent; one that DCGM does not report is absent."""
        if self.source is None:
            return {}
        if self._process is None:
            self._start()
        at_s, found = self._last
        return found if self._clock() - at_s < _STALE_S else {}

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._listen, name="dcgmi", daemon=True).start()

    def _listen(self) -> None:
        assert self._process is not None, "it was started"
        with self._process as process:  # its end is awaited
            for line in process.stdout or ():
                if (found := parsed(line)) is not None:
                    self._last = self._clock(), found


def installed() -> str | None:
    """Return the path of DCGM's program; None without one."""
    return shutil.which(PROGRAM)


def parsed(line: str) -> dict[str, float] | None:
    """Return the metrics of a line of `dcgmi dmon`, in percent; None for a line of its header.

    A line is `GPU 0   0.913   0.402   N/A   0.518`: one value for each of FIELDS.
    """
    kind, *words = line.split() or [""]
    values = words[-len(FIELDS) :]
    if kind != "GPU" or len(values) < len(FIELDS):
        return None
    found = {}
    for name, word in zip(FIELDS.values(), values, strict=True):
        try:
            found[name] = 100 * float(word)
        except ValueError:  # N/A
            continue
    return found
