"""Published Server and Offline results of one machine each, as `pairs.csv` has them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data.benchmark import load_benchmark
from sut.tuner.job import NS_PER_MS, Bound, Candidate

# Each is read once.
benchmark = cache(load_benchmark)
FILE = Path(__file__).parent / "pairs.csv"
PERCENTILE = 0.99


@dataclass(frozen=True, slots=True)
class Pair:
    """One machine and benchmark.

    Attributes:
        round: of MLPerf Inference.
        submitter: as the results spell it.
        submitted: the system's name there.
        gpu: kind of device.
        devices: how many.
        benchmark: our name for it.
        offline_qps: samples/s of one device in Offline.
        server_qps: queries/s of one device in Server.
        p99_ms: of Server.
        batch: gpu_batch_size of Server.
        delay_us: deque_timeout_usec.
        slots: gpu_copy_streams.
        streams: gpu_inference_streams.
        offline_batch: gpu_batch_size of Offline.
        source: where the results lie.
    """

    round: str
    submitter: str
    submitted: str
    gpu: str
    devices: int
    benchmark: str
    offline_qps: float
    server_qps: float
    p99_ms: float
    batch: int
    delay_us: int
    slots: int
    streams: int
    offline_batch: int
    source: str

    @property
    def system(self) -> str:
        """Our name for the machine: `v4.1-dell-4xh100-sxm`."""
        gpu = self.gpu.replace(" ", "-")
        name = f"{self.round}-{self.submitter}-{self.devices}x{gpu}".lower()
        return f"{name}-g50" if "G50" in self.submitted else name

    @property
    def qps(self) -> float:
        """The published queries/s of the machine."""
        return self.server_qps * self.devices

    @property
    def bound(self) -> Bound:
        """Server's bound in the round."""
        rounds = benchmark(self.benchmark)
        limit_ms = (
            rounds.rules("Server").target_latency_ms
            or rounds.rules("Server", "v0.5").target_latency_ms
        )
        assert limit_ms is not None
        return Bound("p99", limit_ms * NS_PER_MS, PERCENTILE)

    @property
    def candidate(self) -> Candidate:
        """The published settings of Server."""
        return Candidate(self.batch, self.delay_us, self.slots, "process")


def pairs() -> list[Pair]:
    """Return all pairs, in the order of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return [_pair(row) for row in csv.DictReader(file)]


def _pair(row: dict[str, str]) -> Pair:
    return Pair(
        round=row["round"],
        submitter=row["submitter"],
        submitted=row["system"],
        gpu=row["gpu"],
        devices=int(row["devices"]),
        benchmark=row["benchmark"],
        offline_qps=float(row["offline_per_device"]),
        server_qps=float(row["server_per_device"]),
        p99_ms=float(row["server_p99_ms"]),
        batch=int(row["server_batch"]),
        delay_us=int(row["server_delay_us"]),
        slots=int(row["server_slots"]),
        streams=int(row["server_streams"]),
        offline_batch=int(row["offline_batch"]),
        source=row["source"],
    )
