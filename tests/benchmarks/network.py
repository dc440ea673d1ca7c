"""What the network division costs: `make bench-network`.

EfficientNet-Lite0 on this machine's CPU, once with LoadGen and engines together, once with a node
over loopback to which every sample travels: 602 kB each. Offline takes turns, round after round.
Then where the processor time goes, beside the least that it can be: bare ZeroMQ and bare TCP while
engines use all cores. Then Server, at rates up to the median of Offline without a network: the
highest at which 99 % of the latencies are within the bound.

With `--pixels`, only raw, and beside float32 the same samples as uint8 pixels: 151 kB each.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data.benchmark import load_benchmark
from data.variant import load_variant
from sut.base.environment import ROOT, cores
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.record.run_folder import read_result
from tests.benchmarks import paired
from tests.benchmarks.cluster import cluster_file, nodes
from tests.benchmarks.network_floor import BARE, BATCH, floor_ms
from tests.benchmarks.network_parts import ENGINES, watch
from tests.tidy import terminated, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sut.config.arguments import Travel
    from sut.record.result import Result

MODULE = "tests.benchmarks.network"
BENCHMARK = "efficientnet-lite0"
SHARES = "0.70,0.75,0.80,0.85,0.90,0.95"
GOAL = 0.95
START_S = 3.0  # until the engines of a run work
SHARE = 0.8  # of the time that they work, while bare connections are measured
_NS_PER_MS = 1e6


class Way(NamedTuple):
    """A way to run.

    Attributes:
        name: in the tables.
        travel: as `--network` names it; None: engines beside LoadGen.
        pixels: samples are uint8 pixels.
    """

    name: str
    travel: Travel | None
    pixels: bool = False


ALONE, RAW = Way("no network", None), Way("raw", "raw")
WAYS = (ALONE, RAW, Way("lossless", "lossless"), Way("jpeg", "jpeg"))
OF_PIXELS = Way("raw, pixels", "raw", pixels=True)
WAYS_OF_PIXELS = (ALONE, Way("no network, pixels", None, pixels=True), RAW, OF_PIXELS)


class Runs:
    """Runs of LoadGen in a folder."""

    def __init__(self, folder: Path, cluster: Path, seconds: float) -> None:
        self._folder = folder
        self._cluster = cluster
        self.seconds = seconds
        self._number = 0

    @contextmanager
    def started(
        self, scenario: str, way: Way, *more: object
    ) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Start a run; yield it and its folder."""
        self._number += 1
        out = self._folder / f"{self._number}-{scenario}-{way.travel}"
        where = ("--cluster", self._cluster, "--network", way.travel) if way.travel else ()
        pixels = ("--pixels",) if way.pixels else ()
        words = (
            *(sys.executable, "-m", "sut", "run", "-b", BENCHMARK, "-s", scenario),
            *("--min-duration-s", self.seconds, "--instances", cores(), "--out", out),
            *(*where, *pixels, *more),
        )
        started = subprocess.Popen(
            list(map(str, words)),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        with terminated(started) as process:
            yield process, out
            _, told = process.communicate()
        if process.returncode not in (EXIT_VALID, EXIT_INVALID):
            raise SystemExit(told)

    def run(self, scenario: str, way: Way, *more: object) -> Result:
        """Run once."""
        with self.started(scenario, way, *more) as (_, out):
            pass
        return read_result(out)

    def offline(self, way: Way) -> float:
        """Return samples a second."""
        metric = self.run("Offline", way).metric
        assert metric is not None, "a complete run has one"
        return metric.value

    def p99_ms(self, way: Way, qps: float) -> float:
        """Return the 99th percentile of Server's latencies."""
        latency = self.run("Server", way, "--target-qps", f"{qps:.2f}").latency_ns
        assert latency is not None, "a complete run has them"
        return latency.p99 / _NS_PER_MS


def main() -> int:
    """Print all tables, and whether raw reaches the goal."""
    given = _arguments()
    ways = WAYS_OF_PIXELS if given.pixels else WAYS
    judged = [way for way in ways if way.travel == "raw"]
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch, nodes(1) as addresses:
        folder = Path(scratch)
        cluster = cluster_file(folder, addresses)
        cluster.write_text(cluster.read_text("utf-8").replace('["0"]', "[cpu]"), "utf-8")
        runs = Runs(folder, cluster, given.seconds)
        rates = _offline(runs, given.rounds, ways)
        local = paired.Spread.of(rates[ALONE]).median
        for way in judged:
            _parts(runs, given.rounds, local, way)
        rates_qps = [float(share) * local for share in given.shares.split(",")]
        held = _server(runs, given.server_rounds, rates_qps, [ALONE, *judged])
    for way in judged:
        ratio = paired.Spread.of(_ratios(rates, way, ALONE)).median
        share = held[way] / held[ALONE] if held[ALONE] else 0.0
        met = "met" if min(ratio, share) >= GOAL else "missed"
        print(f"goal, {way.name}: {GOAL} of {ALONE.name}; Offline {ratio:.3f}, ", end="")
        print(f"Server {share:.3f}: {met}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = paired.parser(MODULE, __doc__, rounds=5, seconds=8.0)
    parser.add_argument("--pixels", action="store_true", help="compare float32 with pixels")
    parser.add_argument(
        "--server-rounds", type=int, default=1, metavar="N", help="runs of Server at a rate (1)"
    )
    parser.add_argument(
        "--shares", default=SHARES, metavar="S,S", help=f"of Offline's rate, for Server ({SHARES})"
    )
    return paired.parsed(parser)


def _ratios(rates: Mapping[Way, Sequence[float]], way: Way, other: Way) -> list[float]:
    return [rate / alone for rate, alone in zip(rates[way], rates[other], strict=True)]


def _offline(runs: Runs, rounds: int, ways: Sequence[Way]) -> dict[Way, list[float]]:
    """Print Offline; return the rates, one a round."""
    rates: dict[Way, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, found in rates.items():
            found.append(runs.offline(way))
    rows = []
    for way, found in rates.items():
        own = next(one for one in ways if (one.travel, one.pixels) == (None, way.pixels))
        shares = (paired.shown(_ratios(rates, way, base), ".3f") for base in (ALONE, own))
        rows.append((way.name, paired.shown(found, ".1f"), *shares))
    header = ("Offline", "samples/s", "of no network", "of no network, same input")
    print("\n" + paired.table(header, rows), flush=True)
    return rates


def _sample_bytes(way: Way) -> int:
    [tensor] = load_variant(BENCHMARK, pixels=way.pixels).inputs
    return math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def _parts(runs: Runs, rounds: int, rate: float, way: Way) -> None:
    """Print the processor time of a sample that travels, and what bare connections take."""
    found: dict[str, list[float]] = {}
    sample_bytes = _sample_bytes(way)
    for _ in range(rounds):
        with runs.started("Offline", way) as (process, _):
            parts = watch(process, sample_bytes)
        engines = parts.pop(ENGINES)
        for name, ms in {**parts, "together": sum(parts.values()), ENGINES: engines}.items():
            found.setdefault(name, []).append(ms)
        with runs.started("Offline", ALONE):
            time.sleep(START_S)
            samples = round(rate * SHARE * runs.seconds / len(BARE)) // BATCH * BATCH
            for bare in BARE:
                ms = floor_ms(bare, samples, rate, sample_bytes)
                found.setdefault(f"bare {bare}, both ends", []).append(ms)
    rows = [(name, paired.shown(values, ".3f")) for name, values in found.items()]
    header = (f"{way.name}, {sample_bytes / 1e3:.0f} kB", "ms of a core a sample")
    print("\n" + paired.table(header, rows), flush=True)


def _server(
    runs: Runs, rounds: int, rates: Sequence[float], ways: Sequence[Way]
) -> dict[Way, float]:
    """Print Server; return the highest rate that each way holds in the median, in queries/s."""
    bound_ms = load_benchmark(BENCHMARK).rules("Server").target_latency_ms
    assert bound_ms is not None, "the benchmark has one"
    held = dict.fromkeys(ways, 0.0)
    rows = []
    for qps in rates:
        found: dict[Way, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, p99s_ms in found.items():
                p99s_ms.append(runs.p99_ms(way, qps))
        for way, p99s_ms in found.items():
            if paired.Spread.of(p99s_ms).median <= bound_ms:
                held[way] = qps
        rows.append([f"{qps:.1f}", *(paired.shown(p99s, ".1f") for p99s in found.values())])
    header = ("Server, queries/s", *(f"p99 ms, {way.name}" for way in ways))
    print("\n" + paired.table(header, rows), flush=True)
    print(f"bound: {bound_ms} ms")
    return held


if __name__ == "__main__":
    sys.exit(tidy(main))
