"""What the network division costs: `make bench-network`.

EfficientNet-Lite0 on this machine's CPU, once with LoadGen and engines together, once with a node
over loopback to which every sample travels: 602 kB each. Offline takes turns, round after round.
Then where the processor time goes, beside the least that it can be: bare ZeroMQ and bare TCP while
engines use all cores. Then Server, at rates up to the median of Offline without a network: the
highest at which 99 % of the latencies are within the bound.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data.benchmark import load_benchmark
from sut.base.environment import ROOT, cores
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.record.run_folder import read_result
from tests.benchmarks import paired
from tests.benchmarks.cluster import cluster_file, nodes
from tests.benchmarks.network_floor import BATCH, WAYS, floor_ms
from tests.benchmarks.network_parts import ENGINES, watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sut.record.result import Result

MODULE = "tests.benchmarks.network"
BENCHMARK = "efficientnet-lite0"
TRAVELS = ("raw", "lossless", "jpeg")
SHARES = (0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
GOAL = 0.95
START_S = 3.0  # until the engines of a run work
SHARE = 0.8  # of the time that they work, while bare connections are measured
_NS_PER_MS = 1e6


class Runs:
    """Runs of LoadGen in a folder."""

    def __init__(self, folder: Path, cluster: Path, seconds: float) -> None:
        self._folder = folder
        self._cluster = cluster
        self.seconds = seconds
        self._number = 0

    @contextmanager
    def started(
        self, scenario: str, travel: str | None, *more: object
    ) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Start a run; `travel` is None for engines beside LoadGen. Yield it and its folder."""
        self._number += 1
        out = self._folder / f"{self._number}-{scenario}-{travel}"
        where = ("--cluster", self._cluster, "--network", travel) if travel else ()
        words = (
            *(sys.executable, "-m", "sut", "run", "-b", BENCHMARK, "-s", scenario),
            *("--min-duration-s", self.seconds, "--instances", cores(), "--out", out),
            *(*where, *more),
        )
        with subprocess.Popen(
            list(map(str, words)),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as process:
            yield process, out
            _, told = process.communicate()
        if process.returncode not in (EXIT_VALID, EXIT_INVALID):
            raise SystemExit(told)

    def run(self, scenario: str, travel: str | None, *more: object) -> Result:
        """Run once."""
        with self.started(scenario, travel, *more) as (_, out):
            pass
        return read_result(out)

    def offline(self, travel: str | None) -> float:
        """Return samples a second."""
        metric = self.run("Offline", travel).metric
        assert metric is not None, "a complete run has one"
        return metric.value

    def p99_ms(self, travel: str | None, qps: float) -> float:
        """Return the 99th percentile of Server's latencies."""
        latency = self.run("Server", travel, "--target-qps", f"{qps:.2f}").latency_ns
        assert latency is not None, "a complete run has them"
        return latency.p99 / _NS_PER_MS


def main() -> int:
    """Print both tables, and whether raw reaches the goal."""
    given = paired.arguments(MODULE, __doc__, rounds=5, seconds=8.0)
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch, nodes(1) as addresses:
        folder = Path(scratch)
        cluster = cluster_file(folder, addresses)
        cluster.write_text(cluster.read_text("utf-8").replace('["0"]', "[cpu]"), "utf-8")
        runs = Runs(folder, cluster, given.seconds)
        local, ratio = _offline(runs, given.rounds)
        _parts(runs, given.rounds, local)
        share = _server(runs, local)
    met = "met" if min(ratio, share) >= GOAL else "missed"
    print(f"goal: {GOAL} of local; Offline {ratio:.3f}, Server {share:.3f}: {met}")
    return 0


def _offline(runs: Runs, rounds: int) -> tuple[float, float]:
    """Print Offline; return the rate without a network, and the share of it that raw reaches."""
    rates: dict[str | None, list[float]] = {travel: [] for travel in (None, *TRAVELS)}
    for _ in range(rounds):
        for travel, found in rates.items():
            found.append(runs.offline(travel))
    rows: list[Sequence[str]] = []
    for travel, found in rates.items():
        ratios = [rate / alone for rate, alone in zip(found, rates[None], strict=True)]
        rows.append(
            (travel or "no network", paired.shown(found, ".1f"), paired.shown(ratios, ".3f"))
        )
    print("\n" + paired.table(("Offline", "samples/s", "of no network"), rows), flush=True)
    local = paired.Spread.of(rates[None]).median
    ratios = [rate / alone for rate, alone in zip(rates["raw"], rates[None], strict=True)]
    return local, paired.Spread.of(ratios).median


def _parts(runs: Runs, rounds: int, rate: float) -> None:
    """Print the processor time of a sample that travels, and what bare connections take."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with runs.started("Offline", "raw") as (process, _):
            parts = watch(process)
        engines = parts.pop(ENGINES)
        for name, ms in {**parts, "together": sum(parts.values()), ENGINES: engines}.items():
            found.setdefault(name, []).append(ms)
        with runs.started("Offline", None):
            time.sleep(START_S)
            samples = round(rate * SHARE * runs.seconds / len(WAYS)) // BATCH * BATCH
            for way in WAYS:
                found.setdefault(f"bare {way}, both ends", []).append(floor_ms(way, samples, rate))
    rows = [(name, paired.shown(values, ".3f")) for name, values in found.items()]
    print("\n" + paired.table(("raw", "ms of a core a sample"), rows), flush=True)


def _server(runs: Runs, local: float) -> float:
    """Print Server; return the highest rate of raw, as a share of that without a network."""
    bound_ms = load_benchmark(BENCHMARK).rules("Server").target_latency_ms
    assert bound_ms is not None, "the benchmark has one"
    held: dict[str | None, float] = {None: 0.0, "raw": 0.0}
    rows = []
    for share in SHARES:
        row = [f"{share * local:.1f}"]
        for travel in held:
            p99_ms = runs.p99_ms(travel, share * local)
            row.append(f"{p99_ms:.1f}")
            if p99_ms <= bound_ms:
                held[travel] = share * local
        rows.append(row)
    header = ("Server, queries/s", "p99 ms, no network", "p99 ms, raw")
    print("\n" + paired.table(header, rows), flush=True)
    print(f"bound: {bound_ms} ms")
    return held["raw"] / held[None] if held[None] else 0.0


if __name__ == "__main__":
    sys.exit(main())
