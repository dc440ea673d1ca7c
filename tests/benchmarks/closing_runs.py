"""Late closing against the best fixed delay in real runs, on every simulated system.

For each system and each of the two ways, with the batch and the delay that the queue model found
best: Server runs from the highest rate that the model allows downwards, in turn, until one is
VALID. Printed is the first VALID rate of each way, as a share of what the model allows, with its
p99. It never fails for a slow machine.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks import paired
from tests.benchmarks.closing import Best, System, best, systems
from tests.benchmarks.loadgen_run import latency, metric, sut_run
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULE = "tests.benchmarks.closing_runs"
HEADER = ("system", "closing", "model QPS", "VALID QPS", "share", "p99 of bound, ms", "tried")
MS = 1e6


@dataclass
class Way:
    """One way to close batches on one system, and what its runs showed."""

    name: str
    found: Best
    tried: list[str] = field(default_factory=list)
    qps: float = 0.0
    p99_ms: float = 0.0

    def run(self, system: System, share: float, seconds: float) -> None:
        """Run at a share of the model's rate; keep it if it is VALID."""
        words = [
            *system.words, "--workers", "process", "--slots", "2",
            "--max-batch-size", str(self.found.batch),
            "--max-queue-delay-us", str(self.found.delay),
            "--target-latency-ms", f"{system.bound_ms:g}",
            "--target-qps", f"{share * self.found.qps:.6g}", "--min-duration-s", f"{seconds:g}",
        ]  # fmt: skip
        result = sut_run(system.benchmark, "Server", words)[0]
        p99_ms = latency(result).p99 / MS
        self.tried.append(f"{share:g}: {p99_ms:.4g}{'' if result.valid else '!'}")
        if result.valid:
            self.qps, self.p99_ms = metric(result), p99_ms


def measure(system: System, shares: Sequence[float], seconds: float) -> list[tuple[str, ...]]:
    """Return the two rows of a system."""
    ways = [
        Way("late", best(system, late=True)),
        Way("fixed", best(system, late=False)),
    ]
    for share in shares:
        for way in ways:
            if not way.qps:
                way.run(system, share, seconds)
    rows: list[tuple[str, ...]] = []
    for way in ways:
        delay = "" if way.found.delay == "late" else f" {way.found.delay} us"
        rows.append(
            (
                system.name,
                f"{way.name}{delay}, batch {way.found.batch}",
                f"{way.found.qps:,.1f}",
                f"{way.qps:,.1f}" if way.qps else "none",
                f"{way.qps / way.found.qps:.3f}",
                f"{way.p99_ms:.4g} of {system.bound_ms:g}",
                ", ".join(way.tried),
            )
        )
    return rows


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", metavar="TEXT", help="systems whose name has it")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run (10)")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0.99, 0.97, 0.95, 0.92, 0.88, 0.8, 0.7],
        help="of the model's rate, downwards",
    )  # fmt: skip
    arguments = parser.parse_args()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    rows: list[tuple[str, ...]] = []
    for system in systems():
        if system.words and arguments.only in system.name:
            rows += measure(system, arguments.shares, arguments.seconds)
            print(*rows[-2:], sep="\n", file=sys.stderr, flush=True)
    print("\n" + paired.table(HEADER, rows))
    print("In `tried`, each share of the model's rate has its p99 in ms; ! marks INVALID.")
    return 0


if __name__ == "__main__":
    sys.exit(tidy(main))
