"""The second phase of a point: the same processes under a profiler, for explanations alone.

A profiler slows down what it sees, so none of its figures stands beside those of the first phase;
how much it slows it down is a figure of its own.
"""

from __future__ import annotations

import csv
import io
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sut.base import ending
from sut.base.errors import ConfigError, SutError
from sut.sweep.concurrency.figures import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sut.sweep.concurrency.figures import Ran

NSYS = "nsys"
# Traces of CUDA, of our ranges, and of calls that wait; neither the CPU's nor the GPU's counters.
_NSYS_COMMAND = (
    "nsys profile -t cuda,nvtx,osrt --sample none --cpuctxsw none --force-overwrite true "
    "-o {out}/profile"
)
OUT = "{out}"
_REPORT = "profile.nsys-rep"
_STATS = ("cuda_api_sum", "cuda_gpu_kern_sum")
_TOP = 5
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Profiler:
    """A command that runs another one and watches it.

    Attributes:
        command: with {out} for the folder of each process.
    """

    command: str

    def before(self, out: str) -> list[str]:
        """Return the words before the command of a process."""
        return [word.replace(OUT, out) for word in shlex.split(self.command)]


def profiler_of(command: str | None) -> Profiler:
    """Return the profiler of a command; None: nsys.

    Raises:
        ConfigError: it is not installed.
    """
    wanted = _NSYS_COMMAND if command is None else command
    words = shlex.split(wanted)
    if not words or shutil.which(words[0]) is None:
        named = words[0] if words else ""
        raise ConfigError(
            f'--explain: the profiler "{named}" is not installed. Install it (nsys comes with '
            "NVIDIA's CUDA toolkit), or name another one with --profiler. The host spans of every "
            "batch are in the table without a profiler."
        )
    return Profiler(wanted)


def second_phase(plain: float, run: Callable[[], Ran]) -> tuple[dict[str, float], list[str]]:
    """Return the figures of the second phase, and why there are none, in one sentence.

    Args:
        plain: samples/s of the first phase, whose figures stay as they are.
        run: runs the processes under the profiler.
    """
    try:
        found = figures(run())
    except SutError as error:
        return {}, [f"under the profiler: {str(error).removesuffix('.')}."]
    if not found:
        return {}, ["under the profiler, a process completed less than two batches."]
    rate = found["samples_per_s"]
    return {"profiled_samples_per_s": rate, "intrusion": 1 - rate / plain}, []


def explanation(folder: Path) -> list[str]:
    """Return what nsys saw in a process: the calls and kernels that took longest, in words.

    Nothing where nsys left no report.
    """
    report = folder / _REPORT
    if not report.exists() or shutil.which(NSYS) is None:
        return []
    found = []
    for name in _STATS:
        words = ["stats", "--report", name, "--format", "csv", "--output", "-", str(report)]
        done = ending.output([NSYS, *words], _LIMIT_S)
        found += [f"{name}: {line}" for line in longest(done.stdout)]
    return found


def longest(text: str) -> list[str]:
    """Return the first lines of a CSV report of `nsys stats`, which has the longest first."""
    rows: Sequence[dict[str, str]] = list(csv.DictReader(io.StringIO(text[_start(text) :])))
    return [
        f"{row['Time (%)']} % in {row['Name']}, {row.get('Num Calls') or row.get('Instances')} "
        f"calls, {float(row['Avg (ns)']) / 1e3:,.1f} us each"
        for row in rows[:_TOP]
        if row.get("Name") and row.get("Avg (ns)")
    ]


def _start(text: str) -> int:
    """Return where the CSV begins; nsys says a few lines before."""
    return max(0, text.find("Time (%)"))
