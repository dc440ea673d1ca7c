"""Does the model of the queue agree with the real program? `make bench-model`.

Twelve settings (batch, delay, devices, load) run for real, on simulated devices with LoadGen in
front, and in the model. The model replays the arrivals of the run, because one arrival seed differs
from another by more than the tolerance; it also runs with seeds of its own, for the record. What
the host adds is measured in each run, by batches that found their device idle and on the way back.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backends.simulated.curve import from_file
from backends.simulated.jitter import Jitter
from sut.record.run_folder import BATCHES_FILE
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device, Host
from sut.serve.queue_model import QueueResult, QueueSetting, simulate
from tests.benchmarks import paired
from tests.benchmarks.loadgen_run import sut_run
from tests.tidy import tidy

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODULE = "tests.benchmarks.queue_model"
CURVE = "resnet50-t4"
MS = 1e6
# To reach: throughput, p50 (either of the two), p99.
RATE_SHARE, P50_SHARE, P50_NS, P99_SHARE = 0.02, 0.10, 0.3 * MS, 0.20


@dataclass(frozen=True, slots=True)
class Case:
    """One setting: batch cap, queue delay, devices, and the load as a share of what they can do."""

    cap: int
    delay_us: int
    devices: int
    load: float

    @property
    def qps(self) -> float:
        """The rate of queries."""
        return self.load * self.devices * self.cap / _service_ns(self.cap) * 1e9


CASES = (
    *(Case(26, 2_000, 4, load) for load in (0.5, 0.7, 0.85, 0.92, 0.96, 0.98)),
    *(Case(40, 4_000, 4, load) for load in (0.8, 0.95)),
    *(Case(16, 0, 2, load) for load in (0.7, 0.9)),
    *(Case(8, 1_000, 1, load) for load in (0.6, 0.9)),
)
SLOTS = 4


def main() -> int:
    """Run all cases; print one line each, and how many are within the tolerance."""
    arguments = _arguments()
    started_s = time.monotonic()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    rows, agreed = [], 0
    for case in CASES:
        row, agrees = _compare(case, arguments.seconds)
        rows.append(row)
        agreed += agrees
    print("\n" + paired.table(HEADER, rows))
    print(
        f"{agreed} of {len(CASES)} settings agree: throughput within {RATE_SHARE:.0%}, p50 within "
        f"{P50_SHARE:.0%} or {P50_NS / MS} ms, p99 within {P99_SHARE:.0%}. "
        f"{time.monotonic() - started_s:.0f} s"
    )
    return 0


HEADER = (
    *("cap", "delay us", "devices", "load", "QPS", "real p50/p99 ms", "model p50/p99 ms"),
    *("own seeds p50/p99 ms", "rate off", "p50 off", "p99 off", "hop in/out us", "agrees"),
)


def _compare(case: Case, seconds: float) -> tuple[tuple[str, ...], bool]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        sut_run("resnet50", "Server", _options(case, seconds), out)
        with np.load(out / BATCHES_FILE) as arrays:
            trace = {name: arrays[name] for name in arrays.files}
    host = measured_host(trace, case)
    arrivals = np.repeat(trace["query_arrival_ns"], trace["query_samples"])
    setting = _setting(case, host, len(arrivals))
    model = simulate(setting, arrivals)
    seeds = [simulate(_setting(case, host, len(arrivals), seed)) for seed in range(5)]
    latency = _latencies(trace)
    p50, p99 = (float(np.percentile(latency, q)) for q in (50, 99))
    rate = len(latency) / (trace["completed_ns"].max() - arrivals[0]) * 1e9
    off = (
        model.throughput / rate - 1,
        model.percentile_ns(0.5) / p50 - 1,
        model.percentile_ns(0.99) / p99 - 1,
    )
    close = abs(off[1]) <= P50_SHARE or abs(model.percentile_ns(0.5) - p50) <= P50_NS
    agrees = abs(off[0]) <= RATE_SHARE and close and abs(off[2]) <= P99_SHARE
    row = (
        *(str(case.cap), str(case.delay_us), str(case.devices), f"{case.load:.2f}"),
        f"{case.qps:,.0f}",
        f"{p50 / MS:.2f} / {p99 / MS:.2f}",
        _pair(model),
        f"{_mean(seeds, 0.5):.2f} / {_mean(seeds, 0.99):.2f}",
        *(f"{share:+.1%}" for share in off),
        f"{host.hop_in_ns / 1e3:.0f} / {host.hop_out_ns / 1e3:.0f}",
        "yes" if agrees else "no",
    )
    print(f"  {' | '.join(row)}", file=sys.stderr, flush=True)
    return row, agrees


def measured_host(trace: dict[str, NDArray[np.int64]], case: Case) -> Host:
    """Return what the host added in a run, from the trace of its batches.

    The way in can only be seen where the device was idle; the way back always. Their spread is that
    of the way back, as a lognormal. The way in is the median: under load few batches find their
    device idle, and one stall among them would stand for all.
    """
    hops_in = []
    for worker in range(case.devices):
        mine = np.flatnonzero(trace["worker"] == worker)
        mine = mine[np.argsort(trace["started_ns"][mine])]
        idle = trace["closed_ns"][mine[1:]] > trace["finished_ns"][mine[:-1]]
        hops_in.append((trace["started_ns"] - trace["closed_ns"])[mine[1:][idle]])
    way_in = np.concatenate(hops_in)
    way_out = trace["completed_ns"] - trace["finished_ns"]
    out_ns = float(np.mean(way_out))
    in_ns = float(np.median(way_in)) if len(way_in) else out_ns / 2
    spread = float(np.clip(np.std(way_out) / out_ns, 0.01, 1.0))
    return Host(0.0, True, in_ns, out_ns, Jitter("lognormal", spread))


def _setting(case: Case, host: Host, samples: int, seed: int = 0) -> QueueSetting:
    return QueueSetting(
        devices=(Device(from_file(CURVE), SLOTS),) * case.devices,
        batcher=BatcherSettings(case.cap, case.delay_us * 1_000),
        qps=case.qps,
        samples=samples,
        host=host,
        seed=seed,
    )


def _options(case: Case, seconds: float) -> list[str]:
    return [
        *("--system", "r740_4xt4", "--devices", ",".join(map(str, range(case.devices)))),
        *("--max-batch-size", str(case.cap), "--max-queue-delay-us", str(case.delay_us)),
        *("--slots", str(SLOTS), "--target-qps", f"{case.qps:.1f}"),
        *("--min-duration-s", str(seconds)),
    ]


def _latencies(trace: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    order = np.argsort(trace["first_sample"])
    completed = np.repeat(trace["completed_ns"][order], trace["samples"][order])
    arrived = np.repeat(trace["query_arrival_ns"], trace["query_samples"])
    return completed - arrived[: len(completed)]


def _service_ns(batch: int) -> float:
    return from_file(CURVE).service_ns(batch)


def _pair(result: QueueResult) -> str:
    return f"{result.percentile_ns(0.5) / MS:.2f} / {result.percentile_ns(0.99) / MS:.2f}"


def _mean(results: list[QueueResult], share: float) -> float:
    return float(np.mean([result.percentile_ns(share) for result in results])) / MS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=10.0, help="of each real run (10)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(tidy(main))
