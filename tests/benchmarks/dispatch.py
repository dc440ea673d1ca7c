"""What the harness alone can do, with an engine that answers at once: `make bench-dispatch`.

For each kind of worker: the highest Server rate that LoadGen calls VALID at 15 ms p99, Offline
samples/s, processor time a sample, and what SingleStream adds, beside a trivial callback that
completes at once: the ceiling of LoadGen from Python, measured in the same rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks import paired
from tests.benchmarks.paired import Spread
from tests.benchmarks.station import TRIVIAL, Result, Test, measure
from tests.tidy import tidy

MODULE = "tests.benchmarks.dispatch"
# Rates to try; each is about an eighth above the one before.
LADDER = tuple(round(20_000 * 1.125**k, -3) for k in range(40))
# A rate at which every kind has time to spare: processor time is compared there.
COST_QPS = 40_000.0
OFFLINE_QPS = 1_500_000.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table."""

    name: str
    worker: str
    devices: int = 1
    targets: tuple[float, float] | None = None  # least share of the ceiling, least QPS


KINDS = (
    Kind("trivial callback", TRIVIAL),
    Kind("inline", "inline"),
    Kind("1 thread", "thread", targets=(0.5, 100_000)),
    Kind("1 process", "process", targets=(0.4, 80_000)),
    Kind("2 processes", "process", 2),
    Kind("4 processes", "process", 4),
)
# The last one without a dispatcher: LoadGen's thread waits for the process.
SINGLE_STREAM_KINDS = (*KINDS[:2], KINDS[3])
# What SingleStream may take beyond the trivial callback, in us.
MOST_ADDED_US = {"inline": 20, "1 process": 35}


def main() -> int:
    """Measure, print the tables, and write the JSON file if asked for."""
    arguments = _arguments()
    kinds, lone_kinds = _kinds(arguments)
    started_s = time.monotonic()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    server: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    offline: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    cost: dict[str, list[Result]] = {kind.name: [] for kind in kinds}
    single: dict[str, list[Result]] = {kind.name: [] for kind in lone_kinds}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds} ...", file=sys.stderr, flush=True)
        for kind in kinds:
            guess = server[kind.name][-1] if server[kind.name] else None
            server[kind.name].append(highest_valid(kind, arguments.seconds, guess))
            cost[kind.name].append(measure(_test(kind, "Server", COST_QPS, arguments.seconds)))
            test = replace(_test(kind, "Offline", OFFLINE_QPS, 1.0), max_batch_size=1024)
            offline[kind.name].append(measure(test).rate)
        for kind in lone_kinds:
            test = _test(kind, "SingleStream", 0.0, arguments.seconds)
            single[kind.name].append(measure(test))
    if kinds:
        rows = [_row(kind, server, offline, cost) for kind in kinds]
        print("\n" + paired.table(HEADER, rows))
    if lone_kinds:
        rows = [_single_row(kind, single) for kind in lone_kinds[1:]]
        print("\n" + paired.table(SINGLE_HEADER, rows))
    print(
        f"median [least - largest] of {arguments.rounds} rounds; shares are taken within a round. "
        f"{time.monotonic() - started_s:.0f} s"
    )
    if arguments.json:
        content = {"command": paired.command(MODULE), "server_qps": server, "offline": offline}
        paired.write_json(arguments.json, content)
    return 0


def _kinds(arguments: argparse.Namespace) -> tuple[tuple[Kind, ...], tuple[Kind, ...]]:
    """Return the rows of the two tables; the ceiling comes first in each."""
    if arguments.only_single_stream:
        return (), SINGLE_STREAM_KINDS
    if arguments.processes:
        counts = [Kind(f"{count} processes", "process", count) for count in arguments.processes]
        return (KINDS[0], *counts), ()
    return KINDS, SINGLE_STREAM_KINDS


def highest_valid(kind: Kind, seconds: float, guess: float | None) -> float:
    """Return the highest rate of LADDER that is VALID; 0 if the lowest is not.

    Bisection, from `guess`; a rate counts as too high when it failed twice, because one run on a
    machine that others use is no evidence.
    """
    low, high = -1, len(LADDER)
    probe = LADDER.index(guess) if guess in LADDER else len(LADDER) // 2
    while high - low > 1:
        valid = any(measure(_test(kind, "Server", LADDER[probe], seconds)).valid for _ in range(2))
        low, high = (probe, high) if valid else (low, probe)
        # Near a guess the answer is near: walk before cutting in half.
        near = probe + (1 if valid else -1)
        probe = near if low < near < high and guess is not None else (low + high) // 2
    return LADDER[low] if low >= 0 else 0.0


def _test(kind: Kind, scenario: str, qps: float, seconds: float) -> Test:
    slots = 2 if kind.worker == "process" else 1
    return Test(kind.worker, scenario, qps, seconds, kind.devices, slots=slots)


HEADER = (
    *("workers", "Server QPS valid at 15 ms p99", "share of the ceiling", "at least"),
    *("Offline samples/s", "share", f"us a sample at {COST_QPS:,.0f} QPS", "batch"),
)


def _row(
    kind: Kind,
    server: dict[str, list[float]],
    offline: dict[str, list[float]],
    cost: dict[str, list[Result]],
) -> tuple[str, ...]:
    ceiling = KINDS[0].name
    wanted = f"{kind.targets[0]:.2f}, {kind.targets[1]:,.0f}" if kind.targets else "-"
    return (
        kind.name,
        paired.shown(server[kind.name], ",.0f"),
        paired.shown(_shares(server[kind.name], server[ceiling]), ".2f"),
        wanted,
        paired.shown(offline[kind.name], ",.0f"),
        paired.shown(_shares(offline[kind.name], offline[ceiling]), ".2f"),
        paired.shown([result.cpu_us for result in cost[kind.name]], ".1f"),
        f"{Spread.of([result.batch for result in cost[kind.name]]).median:.1f}",
    )


SINGLE_HEADER = ("SingleStream p90 us", "trivial callback", "this", "added", "at most")


def _single_row(kind: Kind, single: dict[str, list[Result]]) -> tuple[str, ...]:
    trivial, own = ([r.p90_ns / 1e3 for r in single[k.name]] for k in (KINDS[0], kind))
    added = [mine - ceiling for mine, ceiling in zip(own, trivial, strict=True)]
    spreads = (paired.shown(values, ".1f") for values in (trivial, own, added))
    return (kind.name, *spreads, str(MOST_ADDED_US[kind.name]))


def _shares(values: list[float], ceilings: list[float]) -> list[float]:
    return [value / ceiling for value, ceiling in zip(values, ceilings, strict=True)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument(
        "--only-single-stream", action="store_true", help="measure what SingleStream adds alone"
    )
    parser.add_argument(
        "--processes", type=int, nargs="+", metavar="N", help="only so many worker processes"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of each LoadGen run (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("--rounds must be 1 or more, --seconds above 0")
    return arguments


if __name__ == "__main__":
    sys.exit(tidy(main))
