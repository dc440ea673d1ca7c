"""Requests a second of `sut serve` with the null backend, beside the same uvicorn doing nothing.

Server and clients have a core each. The two servers run side by side and are asked in turn, so that
what disturbs the machine disturbs both. Other processes take time of the core, so each server's own
processor time is read, too: answers per second of it say what one core can do.
`python -m tests.benchmarks.http [ROUNDS]`.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sut.base import environment
from tests.benchmarks.http_client import Job, Seen
from tests.benchmarks.paired import CpuClock
from tests.tidy import terminated, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SHAPE = [1, 3, 8, 8]
PATH = "/v2/models/small/infer"
CONNECTIONS = (1, 8, 64)
_SECONDS = 2.0
_ROUNDS = 5
_CAP = ("--max-batch-size", 64)  # the null backend takes no longer for more samples
BENCHMARK = {
    "name": "small",
    "models": [{"kind": "file", "path": "model.onnx"}],
    "input": {"name": "x", "shape": SHAPE[1:], "dtype": "float32", "layout": "NCHW"},
    "output": "y",
    "dataset": {"kind": "folder", "folder": "images", "labels": "labels.csv", "classes": 5},
    "performance_sample_count": 8,
}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def write_benchmark(folder: Path) -> Path:
    """Write a benchmark of small samples; return its file."""
    path = folder / "small.yaml"
    path.write_text(json.dumps(BENCHMARK), "utf-8")
    return path


@contextmanager
def started(core: int | None, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Start `python -m WORDS` on a core, wait for its first line, and end it afterwards."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    command = [*pin, sys.executable, "-m", *map(str, words)]
    with terminated(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None, "it is a pipe"
        process.stdout.readline()
        yield process


@dataclass(frozen=True, slots=True)
class Asked:
    """What clients saw, and the processor time that the server took for it."""

    seen: Seen
    cpu_s: float

    @property
    def per_cpu_s(self) -> float:
        """Answers for each second of the server's processor time."""
        return self.seen.answers / self.cpu_s


def measured(server: subprocess.Popen[str], core: int, job: Job) -> Asked:
    """Let clients ask a server, and read its processor time before and after."""
    before_s = _cpu_s(server.pid)
    seen = asked(core, job)
    share = job.seconds / (job.seconds + job.warm_s)  # what it took for the answers that count
    return Asked(seen, (_cpu_s(server.pid) - before_s) * share)


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process so far; proc(5): utime and stime, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(core: int | None, job: Job) -> Seen:
    """Run clients in a process of their own."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    done = subprocess.run(
        [*pin, sys.executable, "-m", "tests.benchmarks.http_client"],
        input=msgspec.json.encode(job),
        capture_output=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Seen)


def main(words: Sequence[str]) -> None:
    """Measure and print."""
    rounds = int(words[0]) if words else _ROUNDS
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    ports = free_port(), free_port()
    clock = CpuClock()
    with tempfile.TemporaryDirectory() as folder:
        path = write_benchmark(Path(folder))
        serve = ("sut", "serve", "-b", path, "--backend", "null", *_CAP, "--port", ports[1])
        print(f"{len(cores)} cores, {rounds} rounds of {_SECONDS:g} s each; medians")
        print("          answers/s            answers per CPU s      p50 ms          p99 ms")
        print(
            "clients   empty    sut ratio    empty    sut ratio   empty    sut    empty    sut  bad"
        )
        with (
            started(server_core, "tests.benchmarks.http_empty", ports[0]) as empty,
            started(server_core, *serve) as ours,
        ):
            for connections in CONNECTIONS:
                pairs = []
                for _ in range(rounds):
                    a, b = (
                        measured(server, client_core, Job(port, PATH, SHAPE, connections, _SECONDS))
                        for server, port in zip((empty, ours), ports, strict=True)
                    )
                    pairs.append((a, b))
                print(_line(connections, pairs), flush=True)
    others = clock.others_cores()
    print(f"other processes used {others or 0.0:.2f} of {environment.cores()} cores meanwhile")


def _line(connections: int, pairs: Sequence[tuple[Asked, Asked]]) -> str:
    def both(what: Callable[[Asked], float]) -> tuple[float, float, float]:
        """Return the median of each server, and of the ratios."""
        values = [(what(a), what(b)) for a, b in pairs]
        first, second = zip(*values, strict=True)
        median = statistics.median
        return median(first), median(second), median(b / a for a, b in values)

    per_s, per_cpu_s = both(lambda x: x.seen.per_s), both(lambda x: x.per_cpu_s)
    p50, p99 = both(lambda x: x.seen.p50_ms), both(lambda x: x.seen.p99_ms)
    bad = sum(a.seen.bad + b.seen.bad for a, b in pairs)
    rates = " ".join(f"{a:9,.0f} {b:6,.0f} {ratio:4.2f}" for a, b, ratio in (per_s, per_cpu_s))
    times = " ".join(f"{a:8.2f} {b:6.2f}" for a, b, _ in (p50, p99))
    return f"{connections:7} {rates} {times} {bad:4}"


if __name__ == "__main__":
    sys.exit(tidy(lambda: main(sys.argv[1:])))
