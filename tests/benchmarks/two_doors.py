"""Two doors, one engine: LoadGen's Server at the dispatcher itself, and through `sut serve`.

The same simulated device, rate and batches. What the mean latencies differ by is explained by the
parts of the way, which the backend `triton` measures. `python -m tests.benchmarks.two_doors [QPS]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sut.base import environment
from tests.benchmarks.http import BENCHMARK, free_port, started
from tests.benchmarks.paired import CpuClock

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEVICE = ("--backend", "simulated", "--set", "base_ms=10", "--set", "per_sample_ms=0.4")
_CAP = ("--max-batch-size", "8", "--slots", "2")
# One sample a request, as clients send them, and enough requests under way for full batches.
_CLIENT = ("--max-batch-size", "1", "--slots", "64", "--max-queue-delay-us", "0")
_LOAD = ("--min-duration-s", "10", "--target-latency-ms", "200")
_QPS = 300.0


def tested(benchmark: Path, out: Path, *words: object) -> dict[str, Any]:
    """Run LoadGen's Server; return its summary.json."""
    command = ("run", "-b", benchmark, "-s", "Server", *_LOAD, "--out", out, *words)
    done = subprocess.run(
        [sys.executable, "-m", "sut", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    if not (out / "summary.json").exists():
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads((out / "summary.json").read_text("utf-8"))
    return found


def main(words: Sequence[str]) -> None:
    """Measure and print."""
    qps = ("--target-qps", float(words[0]) if words else _QPS)
    clock, port = CpuClock(), free_port()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        benchmark, parts_file = folder / "small.yaml", folder / "parts.json"
        synthetic = {**BENCHMARK, "dataset": {"kind": "synthetic", "count": 8}, "output": None}
        benchmark.write_text(json.dumps({k: v for k, v in synthetic.items() if v}), "utf-8")
        direct = tested(benchmark, folder / "direct", *qps, *_DEVICE, *_CAP, "--workers", "thread")
        with started(None, "sut", "serve", "-b", benchmark, *_DEVICE, *_CAP, "--port", port):
            options = (f"url=localhost:{port}", "model=small", f"parts_file={parts_file}")
            sets = [word for option in options for word in ("--set", option)]
            remote = tested(
                benchmark, folder / "http", *qps, "--backend", "triton", *_CLIENT, *sets
            )
        parts = json.loads(parts_file.read_text("utf-8"))
    _show(direct, remote, parts)
    others = clock.others_cores()
    print(f"other processes used {others or 0.0:.2f} of {environment.cores()} cores meanwhile")


def _show(direct: dict[str, Any], remote: dict[str, Any], parts: dict[str, float]) -> None:
    print("LoadGen's Server         directly    over HTTP")
    for name in ("mean", "p50", "p90", "p99"):
        a, b = (found["latency_ns"][name] / 1e6 for found in (direct, remote))
        print(f"latency {name:4} ms         {a:8.2f}     {b:8.2f}")
    of_direct = direct["parts_ns"]
    shown = ", ".join(f"{name} {of_direct[name]['mean'] / 1e6:.2f}" for name in of_direct)
    print(f"directly, mean ms: {shown}")
    server = [name for name in parts if name.startswith("server_") and name.endswith("_ms")]
    print(f"a request over HTTP, mean ms {parts['request_ms']:.2f}, of which")
    for name in ("client_send_ms", "network_server_ms", *server, "client_recv_ms"):
        print(f"  {name.removesuffix('_ms').replace('_', ' '):24} {parts[name]:8.2f}")
    before_ms = remote["latency_ns"]["mean"] / 1e6 - parts["request_ms"]
    print(f"before and after the request {before_ms:8.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
