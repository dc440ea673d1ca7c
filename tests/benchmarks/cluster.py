"""What the wire costs: `make bench-cluster`.

One null backend, batches of 32, over loopback: what a batch takes beyond a local process worker,
one batch at a time and interleaved, and how many samples a second go over one connection. Then four
nodes of one simulated T4 each against the four T4s of r740_4xt4 without a node, LoadGen's Server at
20,000 queries/s; then Offline on one to eight nodes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from sut.base.environment import ROOT
from sut.base.errors import EXIT_INVALID, EXIT_VALID
from sut.base.process import collector_off
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.config.prepare import resolve_workload
from sut.config.settings import Limits, TrialRequest
from sut.record.result import Result, to_dict
from sut.record.run_folder import read_result
from sut.serve.cluster import wire as wire_format
from sut.serve.cluster.security import make_keys
from sut.serve.dispatcher import Outlets
from sut.serve.pool import BatchSystem
from sut.serve.samples import SampleSource
from tests.benchmarks import paired
from tests.tidy import terminated, tidy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from sut.serve.dispatcher import Dispatcher
    from sut.serve.responses import Responses

MODULE = "tests.benchmarks.cluster"
BATCH = 32
LOADED = 1024
SLOTS = 4
PAUSE_S = 0.0005  # between two batches, so that both ends sleep as they do under a light load
WARM_UP = 100
# To reach.
LEAST_RATE, MOST_ADDED_US, MOST_ADDED_MS = 50_000, 250, 1.5
QPS = 20_000
LOCAL = "4 process workers"
NODES = (1, 2, 4, 8)
T4_RATE = 5_700  # samples/s of one, so that LoadGen asks for enough
PARTS = ("wire", "server", "offline")
US, MS, S = 1e3, 1e6, 1e9


@contextmanager
def nodes(count: int, *words: object) -> Iterator[list[str]]:
    """Start nodes on this machine; yield the address of each."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(terminated(_node(f"node{k}", map(str, words))))
            for k in range(count)
        ]
        yield [_address(node) for node in started]


def _node(name: str, words: Iterable[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sut", "cluster", "node"]
    return subprocess.Popen(
        [*command, "--name", name, "--listen", "127.0.0.1:0", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # a priority counts within its session
    )


def _address(node: subprocess.Popen[str]) -> str:
    assert node.stdout is not None, "it is a pipe"
    return node.stdout.readline().split()[-1]


def cluster_file(folder: Path, addresses: Sequence[str], keys: Path | None = None) -> Path:
    """Write the file of a cluster with one device a node."""
    lines = [f"keys: {keys}"] if keys else []
    lines.append("nodes:")
    for k, address in enumerate(addresses):
        lines.append(f'  - {{name: node{k}, address: "{address}", devices: ["0"]}}')
    path = folder / f"cluster{len(addresses)}.yaml"
    path.write_text("\n".join(lines), "utf-8")
    return path


class Bare:
    """A process that sends back what it gets: the way alone, without any of this program.

    Over a socket pair, as to a local worker, or over ZeroMQ.
    """

    def __init__(self, *, over_zmq: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._context = zmq.Context()
        self._sock = self._context.socket(zmq.DEALER)
        self._pipe, theirs = spawn.Pipe()
        target = _echo_zmq if over_zmq else _echo_pipe
        self._process = spawn.Process(target=target, args=(theirs,), daemon=True)
        self._process.start()
        if over_zmq:
            self._sock.connect(self._pipe.recv())
        self._over_zmq = over_zmq

    def batch_ns(self) -> int:
        """Send as many bytes as a batch has, and wait for them."""
        data = bytes(len(wire_format.pack_batch(0, 0, range(BATCH))))
        started_ns = time.monotonic_ns()
        if self._over_zmq:
            self._sock.send(data)
            self._sock.recv()
        else:
            self._pipe.send_bytes(data)
            self._pipe.recv_bytes()
        return time.monotonic_ns() - started_ns

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._context.destroy(0)


def _echo_pipe(pipe: Connection) -> None:
    while True:
        pipe.send_bytes(pipe.recv_bytes())


def _echo_zmq(pipe: Connection) -> None:
    sock = zmq.Context().socket(zmq.ROUTER)
    pipe.send(f"tcp://127.0.0.1:{sock.bind_to_random_port('tcp://127.0.0.1')}")
    while True:
        sender, data = sock.recv(), sock.recv()
        sock.send(sender, zmq.SNDMORE)
        sock.send(data)


class Bench:
    """The null backend behind a dispatcher, asked from this thread."""

    def __init__(self, cluster: Path | None) -> None:
        arguments = Arguments(
            benchmark="resnet50",
            scenario="Server",
            backend="null",
            workers=None if cluster else "process",
            devices=None if cluster else ("0",),
            cluster=cluster,
            max_batch_size=BATCH,
            max_queue_delay_us=0,
            slots=SLOTS,
        )
        plan = resolve(arguments)
        workload = resolve_workload(plan.benchmark, "null", None).with_samples(None)
        request = TrialRequest("Server", False, "", arguments.load, workload, plan.harness)
        self._system = BatchSystem(request, Outlets(self._complete, self, print), Limits())
        self._system.open()
        self._system.load(SampleSource.of(workload, range(LOADED)))
        self._system.warm_up(range(LOADED), 1, 0.05)
        self._front: Dispatcher = self._system.front()
        self._left = 0
        self._ended_ns = 0
        self._ended = threading.Event()

    def batch_ns(self) -> int:
        """Run one batch; return the time from the query to its completion."""
        self._ask(BATCH)
        return self._ended_ns - self._started_ns

    def rate(self, batches: int) -> float:
        """Run so many batches of one query; return samples/s."""
        self._ask(BATCH * batches)
        return BATCH * batches * S / (self._ended_ns - self._started_ns)

    def _ask(self, samples: int) -> None:
        ids = list(range(1, samples + 1))
        indices = [number % LOADED for number in ids]
        self._left = samples
        self._ended.clear()
        self._started_ns = time.monotonic_ns()
        self._front.issue_query(ids, indices)
        self._ended.wait()

    def query(self, arrival_ns: int, samples: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def batch(self, number: int, *record: int) -> None:
        """See sut.serve.dispatcher.Recorder."""

    def _complete(self, ids: Sequence[int], responses: Responses | None) -> None:
        assert responses is not None, "a batch failed"
        self._left -= len(ids)
        if not self._left:
            self._ended_ns = time.monotonic_ns()
            self._ended.set()

    def close(self) -> None:
        """End the worker."""
        self._system.close()


def wire(folder: Path, rounds: int, batches: int) -> dict[str, object]:
    """Compare a local process worker with one over a connection, round by round."""
    keys = folder / "keys"
    make_keys(keys)
    kinds = ("local process", "remote", "remote, with keys")
    ways = {"bare socket pair": Bare(over_zmq=False), "bare ZeroMQ": Bare(over_zmq=True)}
    bare: dict[str, list[float]] = {name: [] for name in ways}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    with nodes(1) as (plain,), nodes(1, "--keys", keys) as (secured,):
        (folder / "secured").mkdir()
        files = (
            None,
            cluster_file(folder, [plain]),
            cluster_file(folder / "secured", [secured], keys),
        )
        benches = dict(zip(kinds, map(Bench, files), strict=True))
        collector_off()
        for number in range(rounds + 1):
            for kind, bench in benches.items():
                found = _paced(bench, batches)
                rate = bench.rate(2_000)
                if number:  # the first is to warm up
                    times[kind].append(statistics.median(found))
                    rates[kind].append(rate)
            for name, way in ways.items():
                found = _paced(way, batches)
                if number:
                    bare[name].append(statistics.median(found))
        for bench in benches.values():
            bench.close()
        for way in ways.values():
            way.close()
    rows = []
    for kind in kinds:
        added = _differences(times[kind], times[kinds[0]])
        rows.append(
            (
                kind,
                paired.shown(times[kind], ".0f"),
                "-" if kind == kinds[0] else paired.shown(added, ".0f"),
                paired.shown(rates[kind], ",.0f"),
            )
        )
    first, second = bare.values()
    rows.append(("bare socket pair", paired.shown(first, ".0f"), "-", "-"))
    difference = paired.shown(_differences(second, first), ".0f")
    rows.append(("bare ZeroMQ", paired.shown(second, ".0f"), difference, "-"))
    print(f"\nnull backend, batches of {BATCH}; {rounds} rounds of {batches} each, interleaved")
    header = ("p50 us", f"added us (at most {MOST_ADDED_US})", f"samples/s (least {LEAST_RATE:,})")
    print(paired.table(("worker", *header), rows), flush=True)
    return {"p50_us": {**times, **bare}, "samples_per_s": rates}


def _paced(way: Bench | Bare, batches: int) -> list[float]:
    """Send batches one at a time; return the time of each in us."""
    found = []
    for _ in range(batches):
        found.append(way.batch_ns() / US)
        time.sleep(PAUSE_S)
    return found


def server(folder: Path, rounds: int, seconds: float, qps: int) -> dict[str, object]:
    """Compare LoadGen's Server on four T4s without nodes with the same on four nodes."""
    kinds = {LOCAL: (), "4 nodes": ("--cluster", folder / "cluster4.yaml")}
    found: dict[str, list[Result]] = {kind: [] for kind in kinds}
    with nodes(4) as addresses:
        cluster_file(folder, addresses)
        for number in range(rounds):
            for kind, words in kinds.items():
                out = folder / f"server-{kind.replace(' ', '-')}-{number}"
                asked = ("-s", "Server", "--target-qps", qps, "--target-latency-ms", 15)
                found[kind].append(sut_run(out, seconds, *asked, *words))
    p99_ms = {kind: [latency_ms(run, "p99") for run in runs] for kind, runs in found.items()}
    rows = [
        (
            kind,
            f"{sum(run.valid for run in runs)} of {rounds}",
            paired.shown([latency_ms(run, "p50") for run in runs], ".2f"),
            paired.shown(p99_ms[kind], ".2f"),
            paired.shown(_differences(p99_ms[kind], p99_ms[LOCAL]), ".2f"),
            paired.shown([_held_ms(run) for run in runs], ".1f"),
        )
        for kind, runs in found.items()
    ]
    print(f"\nr740_4xt4, ResNet-50, Server at {qps:,} queries/s within 15 ms")
    header = ("VALID", "p50 ms", "p99 ms", f"added ms (at most {MOST_ADDED_MS})")
    print(paired.table(("workers", *header, "LoadGen held up, ms"), rows), flush=True)
    return {kind: [to_dict(run) for run in runs] for kind, runs in found.items()}


def _differences(values: Sequence[float], references: Sequence[float]) -> list[float]:
    return [value - reference for value, reference in zip(values, references, strict=True)]


def latency_ms(run: Result, percentile: str) -> float:
    """Return a percentile of all latencies."""
    found = getattr(run.latency_ns, percentile)
    assert found is not None, "a run that ended has latencies"
    return float(found) / MS


def _held_ms(run: Result) -> float:
    """Return for how long, at most, this machine had no core for LoadGen's own thread, in ms."""
    return 0.0 if run.issue_stalls is None else run.issue_stalls.longest_ns / MS


def offline(folder: Path, rounds: int, seconds: float) -> dict[str, object]:
    """Measure Offline on one to eight nodes of one simulated T4 each."""
    rates: dict[int, list[float]] = {count: [] for count in NODES}
    with nodes(max(NODES)) as addresses:
        for number in range(rounds):
            for count in NODES:
                path = cluster_file(folder, addresses[:count])
                asked = ("-s", "Offline", "--target-qps", T4_RATE * count, "--cluster", path)
                run = sut_run(folder / f"offline-{count}-{number}", seconds, *asked)
                assert run.metric is not None, "a run that ended has one"
                rates[count].append(run.metric.value)
    one = statistics.median(rates[1])
    rows = [
        (
            str(count),
            paired.shown(of_count, ",.0f"),
            paired.shown([rate / one / count for rate in of_count], ".3f"),
        )
        for count, of_count in rates.items()
    ]
    print("\nResNet-50, Offline, one simulated T4 a node")
    header = ("nodes", "samples/s", "share of linear (at least 0.95)")
    print(paired.table(header, rows), flush=True)
    return {str(count): of_count for count, of_count in rates.items()}


def sut_run(out: Path, seconds: float, *words: object) -> Result:
    """Run the four T4s, or as many as a cluster has, in a process of its own."""
    fixed = ("-b", "resnet50", "--system", "r740_4xt4", "--min-duration-s", seconds, "--out", out)
    done = subprocess.run(
        [sys.executable, "-m", "sut", "run", *map(str, (*fixed, *words))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {EXIT_VALID, EXIT_INVALID}:
        raise SystemExit(done.stderr)
    return read_result(out)


def main() -> int:
    """Measure, print the tables, and write the JSON file if asked for."""
    arguments = _arguments()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "wire" in arguments.only:
            found["wire"] = wire(folder, arguments.rounds, arguments.batches)
        if "server" in arguments.only:
            found["server"] = server(folder, arguments.rounds, arguments.seconds, arguments.qps)
        if "offline" in arguments.only:
            found["offline"] = offline(folder, arguments.rounds, arguments.seconds)
    if arguments.json:
        paired.write_json(arguments.json, {"command": paired.command(MODULE), **found})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--batches", type=int, default=400, metavar="N", help="of a round (400)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each LoadGen run (10)")
    parser.add_argument("--qps", type=int, default=QPS, help=f"of Server ({QPS:,})")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(tidy(main))
