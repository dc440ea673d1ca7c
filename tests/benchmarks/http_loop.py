"""The closed loop with and without HTTP before it, on the same simulated device.

`sut sweep --load closed` drives the dispatcher in its own process; as many clients drive it through
`sut serve`. As long as HTTP is not the limit, batches and throughput are the same, and what the
latency has more are the parts of the way. `python -m tests.benchmarks.http_loop [ROUNDS]`.
"""

from __future__ import annotations

import csv
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sut.base import environment
from tests.benchmarks.http import PATH, SHAPE, asked, free_port, started, write_benchmark
from tests.benchmarks.http_client import Job
from tests.benchmarks.paired import CpuClock
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONCURRENCY = (4, 12, 16, 64)
_DEVICE = ("--backend", "simulated", "--set", "base_ms=10", "--set", "per_sample_ms=0.4")
_CAP = ("--max-batch-size", "8", "--slots", "2")
_ROUNDS = 3
_SECONDS = 4.0
_MS = 1e6
_PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: samples/s, mean batch, mean latency and its parts in ms."""

    rate: float
    batch: float
    latency_ms: float
    parts_ms: Mapping[str, float]


def without_http(benchmark: Path, folder: Path) -> dict[int, Row]:
    """Measure the closed loop alone."""
    words = ("sweep", "-b", benchmark, "--load", "closed", "--workers", "thread", "--fresh")
    more = ("--concurrency", ",".join(map(str, CONCURRENCY)), "--out", folder)
    command = [sys.executable, "-m", "sut", *map(str, (*words, *_DEVICE, *_CAP, *more))]
    subprocess.run(command, check=True, capture_output=True)
    with (folder / "online_summary.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        int(row["concurrency"]): Row(
            float(row["samples_per_s"]),
            float(row["mean_batch"]),
            float(row["latency_mean_ns"]) / _MS,
            {
                "queue": (float(row["queue_ns"]) + float(row["dispatch_ns"])) / _MS,
                "compute": float(row["compute_ns"]) / _MS,
            },
        )
        for row in rows
    }


def with_http(port: int, clients: int) -> Row:
    """Measure clients of a server."""
    before = _statistics(port)
    seen = asked(None, Job(port, PATH, SHAPE, clients, _SECONDS))
    after = _statistics(port)
    assert not seen.bad, "every request is good"
    requests = after["inference_count"] - before["inference_count"]
    batches = after["execution_count"] - before["execution_count"]

    def part_ms(*names: str) -> float:
        stats = (after["inference_stats"], before["inference_stats"])
        now, then = (sum(found[name]["ns"] for name in names) for found in stats)
        return float((now - then) / requests / _MS)

    parts = {"queue": part_ms("queue"), "compute": part_ms(*_PARTS[1:])}
    parts["server"] = part_ms("success") - sum(parts.values())
    parts["network and client"] = seen.mean_ms - sum(parts.values())
    return Row(seen.per_s, requests / batches, seen.mean_ms, parts)


def _statistics(port: int) -> Any:
    link = http.client.HTTPConnection("127.0.0.1", port)
    link.request("GET", "/v2/models/stats")
    found = json.load(link.getresponse())["model_stats"][0]
    link.close()
    return found


def main(words: Sequence[str]) -> None:
    """Measure and print."""
    rounds = int(words[0]) if words else _ROUNDS
    clock, port = CpuClock(), free_port()
    pairs: dict[int, list[tuple[Row, Row]]] = {clients: [] for clients in CONCURRENCY}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        benchmark = write_benchmark(folder)
        serve = ("sut", "serve", "-b", benchmark, *_DEVICE, *_CAP, "--port", port)
        with started(None, *serve):
            for _ in range(rounds):
                alone = without_http(benchmark, folder / "sweep")
                for clients in CONCURRENCY:
                    pairs[clients].append((alone[clients], with_http(port, clients)))
    print(f"{rounds} rounds, medians; S(b) is 10 + 0.4 b ms, batches up to 8, slots 2")
    print("clients  samples/s: loop   HTTP  ratio  batch: loop   HTTP  ratio  ms: loop   HTTP")
    for clients, found in pairs.items():
        print(_line(clients, found))
    others = clock.others_cores()
    print(f"other processes used {others or 0.0:.2f} of {environment.cores()} cores meanwhile")


def _line(clients: int, found: Sequence[tuple[Row, Row]]) -> str:
    median = statistics.median

    def both(name: str) -> tuple[float, float, float]:
        values = [(getattr(a, name), getattr(b, name)) for a, b in found]
        first, second = zip(*values, strict=True)
        return median(first), median(second), median(b / a for a, b in values)

    rate, batch, latency = both("rate"), both("batch"), both("latency_ms")
    parts = (
        f"{name} {median(row.parts_ms[name] for _, row in found):.2f}"
        for name in found[0][1].parts_ms
    )
    return (
        f"{clients:7} {rate[0]:16,.0f} {rate[1]:6,.0f} {rate[2]:6.3f} {batch[0]:12.2f} "
        f"{batch[1]:6.2f} {batch[2]:6.3f} {latency[0]:9.2f} {latency[1]:6.2f}\n"
        f"        of HTTP's, in ms: {', '.join(parts)}"
    )


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(sys.argv[1:])))
