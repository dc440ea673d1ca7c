"""Compares two things on a machine that is never quite quiet: A B A, round after round.

The reference A is measured before and after every B. Where the two differ, or where other processes
took a share of the machine meanwhile, the round is marked as noisy: shown, and left out of the
second of two medians. Knows nothing of what A and B are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# A round is noisy when the references before and after differ by more than this share of their
# mean, or when other processes used more than this many cores while it ran.
NOISY_SHARE = 0.05
NOISY_CORES = 0.1
NOISY_MARK = "*"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measure of B gave: its value, and facts for the JSON file."""

    value: float
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """B between two measures of A.

    Attributes:
        before: A's value before.
        measured: B's.
        after: A's value after.
        others_cores: cores that other processes, or the host, used meanwhile; None if unknown.
    """

    before: float
    measured: Measured
    after: float
    others_cores: float | None

    @property
    def value(self) -> float:
        """B's value."""
        return self.measured.value

    @property
    def reference(self) -> float:
        """A's value, of both measures."""
        return (self.before + self.after) / 2

    @property
    def ratio(self) -> float:
        """B as a share of A."""
        return self.value / self.reference

    @property
    def noisy(self) -> bool:
        """Whether something else than A and B disturbed this pair."""
        differ = abs(self.before - self.after) > NOISY_SHARE * self.reference
        return differ or (self.others_cores or 0.0) > NOISY_CORES

    def as_dict(self) -> dict[str, object]:
        """Return it for a JSON file."""
        return {
            "before": self.before,
            "value": self.value,
            "after": self.after,
            "ratio": self.ratio,
            "others_cores": self.others_cores,
            "noisy": self.noisy,
            **self.measured.facts,
        }


def interleave(
    reference: Callable[[], float], measures: Sequence[Callable[[float], Measured]]
) -> list[Pair]:
    """Measure A, B1, A, B2, A, ...: one pair for each of `measures`.

    Args:
        reference: measures A.
        measures: each measures a B; it is called with the value of A just before it.
    """
    pairs = []
    clock = CpuClock()
    before = reference()
    for measure in measures:
        measured = measure(before)
        after = reference()
        pairs.append(Pair(before, measured, after, clock.others_cores()))
        # The reference between two B belongs to both pairs, its noise is counted in the first.
        before, clock = after, CpuClock()
    return pairs


class CpuClock:
    """Counts the processor time that neither this process nor its children used, from now on."""

    def __init__(self) -> None:
        self._all_s, self._own_s, self._idle_s = _cpu_times()

    def others_cores(self) -> float | None:
        """Return the mean number of cores that others used; None where the kernel does not say."""
        all_s, own_s, idle_s = (
            now - then
            for now, then in zip(
                _cpu_times(), (self._all_s, self._own_s, self._idle_s), strict=True
            )
        )
        if not all_s:
            return None
        # The kernel counts in ticks of 10 ms, so a quiet machine may give slightly less than 0.
        return max(0.0, (all_s - idle_s - own_s) / all_s * environment.cores())


def _cpu_times() -> tuple[float, float, float]:
    """Return seconds since boot: of all cores together, of us and our children, and idle ones."""
    own_s = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    try:
        line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    except OSError:
        return 0.0, own_s, 0.0
    # proc(5): user nice system idle iowait irq softirq steal, in ticks; guests are in user already.
    ticks = [int(word) for word in line.split()[1:9]]
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return sum(ticks) * tick_s, own_s, (ticks[3] + ticks[4]) * tick_s


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, the least, and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one or more values."""
        return cls(statistics.median(values), min(values), max(values))


def shown(values: list[float], form: str) -> str:
    """Return the median, the least and the largest, each in a format such as ",.0f"."""
    spread = Spread.of(values)
    return f"{spread.median:{form}} [{spread.low:{form}} - {spread.high:{form}}]"


def arguments(module: str, text: str | None, *, rounds: int, seconds: float) -> argparse.Namespace:
    """Read `--rounds` and `--seconds` of a benchmark; the values given are the defaults."""
    return parsed(parser(module, text, rounds=rounds, seconds=seconds))


def parser(
    module: str, text: str | None, *, rounds: int, seconds: float
) -> argparse.ArgumentParser:
    """Return the parser of `arguments`, for a benchmark with more options."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=text)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"of each measurement ({seconds:g})"
    )
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line, and refuse what measures nothing."""
    given = parser.parse_args()
    if given.rounds < 1 or given.seconds <= 0:
        parser.error("--rounds must be 1 or more, --seconds above 0")
    return given


def quiet(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that nothing disturbed."""
    return [pair for pair in pairs if not pair.noisy]


def in_rounds(pairs: Sequence[Pair], show: Callable[[Pair], str]) -> str:
    """Return one word for each round, those of noisy ones marked."""
    return " ".join(show(pair) + NOISY_MARK * pair.noisy for pair in pairs)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table in plain text."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def machine() -> str:
    """Return the machine and its load at this moment, in two lines."""
    versions = environment.versions()
    packages = ("python", "mlcommons-loadgen", "onnxruntime", "numpy")
    installed = ", ".join(f"{name} {versions[name]}" for name in packages if name in versions)
    return (
        f"{environment.cpu_model()}, {environment.cores()} cores, {environment.os_name()}, "
        f"load average before: {environment.load_average():.2f}\n{installed}"
    )


def command(module: str) -> str:
    """Return the command line that repeats this benchmark."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content`, with the machine and the software it was measured on."""
    whole = {"environment": environment.fingerprint(), **content}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
