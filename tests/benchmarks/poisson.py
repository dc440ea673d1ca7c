"""Our Poisson load against LoadGen's Server, at the same rate and setting: `make bench-poisson`.

Both are run in turns. LoadGen's own repeats differ; ours should lie among them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sut.base.environment import ROOT
from sut.record.table import Row, decode
from tests.benchmarks import paired
from tests.benchmarks.loadgen_run import latency, sut_run
from tests.benchmarks.paired import CpuClock, Spread
from tests.tidy import tidy

MODULE = "tests.benchmarks.poisson"
_MS = 1e6
PERCENTILES = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class Case:
    """A system at a rate."""

    benchmark: str
    system: str
    qps: float


CASES = (Case("efficientnet-lite0", "default", 60.0), Case("resnet50", "r740_4xt4", 8_000.0))


def loadgen(case: Case, seconds: float) -> dict[str, float]:
    """Return the latencies of a Server test by percentile, in ns."""
    options = ("--system", case.system, "--target-qps", f"{case.qps:g}")
    found, _ = sut_run(case.benchmark, "Server", (*options, "--min-duration-s", f"{seconds:g}"))
    return latency(found).by_name()


def ours(case: Case, seconds: float, seed: int) -> dict[str, float]:
    """Return the same of a sweep of one point."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *("sweep", "-b", case.benchmark, "--system", case.system, "--load", "poisson"),
            *("--qps", f"{case.qps:g}", "--seed", str(seed), "--least-s", f"{seconds:g}"),
            *("--limit-s", f"{seconds + 1:g}", "--json", "--out", str(Path(folder) / "out")),
        ]
        command = [sys.executable, "-m", "sut", *words]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    (row,) = decode(done.stdout, "sut sweep").rows
    return _by_percentile(row)


def _by_percentile(row: Row) -> dict[str, float]:
    return {name: row.figures[f"latency_{name}_ns"] for name in PERCENTILES}


def main() -> int:
    """Measure in turns, and print the table. It never fails for a slow machine."""
    arguments = paired.arguments(MODULE, __doc__, rounds=5, seconds=10.0)
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    rows = []
    for case in CASES:
        clock = CpuClock()
        theirs, mine = [], []
        for number in range(arguments.rounds):
            where = f"{case.benchmark}, round {number + 1} of {arguments.rounds} ..."
            print(where, file=sys.stderr, flush=True)
            theirs.append(loadgen(case, arguments.seconds))
            mine.append(ours(case, arguments.seconds, number))
        others = clock.others_cores()
        for name in PERCENTILES:
            them, us = (Spread.of([run[name] / _MS for run in runs]) for runs in (theirs, mine))
            inside = them.low <= us.median <= them.high
            rows.append(
                (
                    f"{case.benchmark} on {case.system}, {case.qps:,.0f}/s",
                    name,
                    _shown(them),
                    _shown(us),
                    "yes" if inside else "no",
                    "-" if others is None else f"{others:.1f}",
                )
            )
    header = ("what", "percentile", "LoadGen ms", "ours ms", "median within", "others' cores")
    print("\n" + paired.table(header, rows))
    print(f"median [least - largest] of {arguments.rounds} runs of {arguments.seconds:g} s each")
    return 0


def _shown(spread: Spread) -> str:
    return f"{spread.median:.2f} [{spread.low:.2f} - {spread.high:.2f}]"


if __name__ == "__main__":
    sys.exit(tidy(main))
