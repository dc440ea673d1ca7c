"""Two doors, one engine: LoadGen's Server at the dispatcher itself, and through `sut serve`.

The same simulated device, rate and batches. `sut compare` says what the latencies differ by, and in
which parts. `python -m tests.benchmarks.two_doors [QPS]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment
from sut.base.errors import EXIT_INVALID
from tests.benchmarks.http import BENCHMARK, free_port, started
from tests.benchmarks.paired import CpuClock
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEVICE = ("--backend", "simulated", "--set", "base_ms=10", "--set", "per_sample_ms=0.4")
_CAP = ("--max-batch-size", "8", "--slots", "2")
# One sample a request, as clients send them, and enough requests under way for full batches.
_CLIENT = ("--max-batch-size", "1", "--slots", "64", "--max-queue-delay-us", "0")
_LOAD = ("--min-duration-s", "10", "--target-latency-ms", "200")
_QPS = 300.0


def ran(*words: object) -> str:
    """Run a verb; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "sut", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, EXIT_INVALID}:
        raise SystemExit(done.stderr)
    return done.stdout


def main(words: Sequence[str]) -> None:
    """Measure and print."""
    qps = ("--target-qps", float(words[0]) if words else _QPS)
    clock, port = CpuClock(), free_port()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        benchmark, direct, remote = (folder / name for name in ("small.yaml", "direct", "http"))
        synthetic = {**BENCHMARK, "dataset": {"kind": "synthetic", "count": 8}, "output": None}
        benchmark.write_text(json.dumps({k: v for k, v in synthetic.items() if v}), "utf-8")
        test = ("run", "-b", benchmark, "-s", "Server", *_LOAD, *qps)
        ran(*test, "--out", direct, *_DEVICE, *_CAP, "--workers", "thread")
        with started(None, "sut", "serve", "-b", benchmark, *_DEVICE, *_CAP, "--port", port):
            options = ("--set", f"url=localhost:{port}", "--set", "model=small")
            ran(*test, "--out", remote, "--backend", "triton", *_CLIENT, *options)
        print("A: LoadGen at the dispatcher; B: through sut serve")
        print(ran("compare", direct, remote, "--metric", "latency_mean_ns"))
        for name in ("p50", "p90", "p99"):
            found = (
                json.loads((out / "summary.json").read_text("utf-8")) for out in (direct, remote)
            )
            a, b = (one["latency_ns"][name] / 1e6 for one in found)
            print(f"{name}, ms  {a:8.2f} {b:8.2f}")
    others = clock.others_cores()
    print(f"other processes used {others or 0.0:.2f} of {environment.cores()} cores meanwhile")


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(sys.argv[1:])))
