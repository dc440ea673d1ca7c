"""What stops a cluster as it grows: `make bench-scale`.

First what each batch, sample, worker and byte costs LoadGen's machine, measured with the null
backend over loopback: a fit to LoadGen runs, the policy alone, ZeroMQ alone. Then the queue model
with these costs, at 10, 100 and 1,000 devices. docs/scale.md has the tables.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zmq

from sut.base.process import collector_off
from sut.base.threads import ThreadClock
from sut.config.arguments import Arguments
from sut.config.plan import resolve
from sut.serve.batcher import BatcherSettings
from sut.serve.policy import Policy, WorkerLimits
from sut.serve.queue_device import Device, Host
from sut.serve.queue_model import QueueSetting, simulate
from sut.serve.queue_wire import (
    MEASURED_SIDE,
    MEASURED_WAY_NS,
    Network,
    Side,
    Traffic,
    Wire,
    byte_ns,
)
from sut.serve.service_times import curve_of
from sut.tuner.kinds import simulated_kinds
from tests.benchmarks import paired
from tests.benchmarks.cluster import PAUSE_S, Bench, cluster_file, nodes
from tests.benchmarks.station import Test, measure
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sut.tuner.kinds import Kind

MODULE = "tests.benchmarks.scale"
US, MS, NS_PER_S = 1e3, 1e6, 1e9
PARTS = ("side", "policy", "way", "bytes", "growth")
# Scenario, queries/s, largest batch, delay in us: batches of one kind each.
RUNS = (
    ("Server", 5_000, 1, 0),
    ("Server", 100_000, 128, 20_000),
    ("Server", 20_000, 8, 20_000),
    ("Server", 40_000, 32, 20_000),
    ("Offline", 300_000, 8, 0),
    ("Offline", 600_000, 32, 0),
    ("Offline", 800_000, 128, 0),
)
WORKERS = (1, 10, 100, 1_000)
COUNTS = (10, 100, 1_000)
GBIT = 100.0
PER_NODE = 8
HEAD_BYTES = 120.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices of one kind with one model.

    Attributes:
        name: of both.
        system: of simulated devices.
        benchmark: as the system names it.
        batch: largest, within the benchmark's bound in Server.
        sample_bytes: of one that travels.
    """

    name: str
    system: str
    benchmark: str
    batch: int
    sample_bytes: float


FLEETS = (
    Fleet("T4, ResNet-50", "r740_4xt4", "resnet50", 26, 3 * 224 * 224),
    Fleet("H200, ResNet-50", "published/v4.1-gigacomputing-8xh200-sxm", "resnet50", 391, 150_528),
    Fleet("H200, RetinaNet", "published/v5.1-asustek-8xh200-sxm", "retinanet", 16, 3 * 800 * 800),
)


def side(rounds: int) -> None:
    """Fit the processor time of LoadGen's process to queries, samples and batches."""
    found: dict[str, list[Sequence[float]]] = {"process": [], "remote": []}
    off: dict[str, list[float]] = {"process": [], "remote": []}
    wires = []
    with nodes(1) as addresses, tempfile.TemporaryDirectory() as folder:
        path = str(cluster_file(Path(folder), addresses))
        for _ in range(rounds):
            for kind, cluster in (("process", ""), ("remote", path)):
                tests = [Test(kind, s, q, 1.0, 1, b, 2, d, cluster) for s, q, b, d in RUNS]
                results = [measure(test) for test in tests]
                parts = np.array([[1.0, r.queries, 1 / r.batch] for r in results])
                own_us = np.array([r.own_us for r in results])
                # By the least share of each run that the fit misses.
                fit, *_ = np.linalg.lstsq(parts / own_us[:, None], np.ones(len(own_us)), rcond=None)
                found[kind].append(fit.tolist())
                off[kind] += (np.abs(parts @ fit / own_us - 1)).tolist()
                if cluster:
                    wires += [r.wire_us * r.batch for r in results]
    rows = [
        (
            kind,
            *(paired.shown([fit[k] for fit in fits], ".1f") for k in (1, 0, 2)),
            f"{max(off[kind]):.0%}",
        )
        for kind, fits in found.items()
    ]
    print(
        f"\nprocessor time of LoadGen's process, null backend, {rounds} rounds of {len(RUNS)} runs"
    )
    header = ("worker", "us an IssueQuery", "us a sample", "us a batch", "a run is off by at most")
    print(paired.table(header, rows))
    print(f"ZeroMQ's thread beside it: {paired.shown(wires, '.0f')} us a batch", flush=True)


def policy(rounds: int) -> None:
    """Measure the policy's own time for a batch, sent and answered, by the number of workers."""
    rows = []
    for late in (True, False):
        for workers in WORKERS:
            found = [_policy_us(workers, late=late) for _ in range(rounds)]
            rows.append(("late" if late else "at once", str(workers), paired.shown(found, ".1f")))
    print("\nthe policy alone, half of all slots free")
    print(paired.table(("closing", "workers", "us a batch"), rows), flush=True)


def _policy_us(workers: int, *, late: bool, batches: int = 2_000) -> float:
    size, service_ns = 8, 1_000_000
    settings = BatcherSettings(size, None if late else 0)
    tested = Policy(settings, [WorkerLimits(2, size)] * workers)
    for worker in range(workers):
        tested.prime(worker, {size: service_ns})
    now_ns, sent = NS_PER_S, []
    tested.arrive(int(now_ns), size * workers)
    while (batch := tested.next_batch(int(now_ns))) is not None:
        sent.append(batch.worker)
    spent_ns = 0
    for number in range(batches):
        now_ns += service_ns / workers
        start_ns = time.thread_time_ns()
        tested.finish(sent[number], int(now_ns), service_ns)
        tested.arrive(int(now_ns), size)
        while (batch := tested.next_batch(int(now_ns))) is not None:
            sent.append(batch.worker)
        tested.due_ns(int(now_ns))
        spent_ns += time.thread_time_ns() - start_ns
    return spent_ns / batches / US


def way(rounds: int, batches: int = 300) -> None:
    """Measure what a lone batch takes longer to a node and back than to a process worker."""
    with nodes(1) as addresses, tempfile.TemporaryDirectory() as folder:
        benches = [Bench(None), Bench(cluster_file(Path(folder), addresses))]
        collector_off()
        medians: list[list[float]] = [[], []]
        for _ in range(rounds + 1):
            for of_kind, bench in zip(medians, benches, strict=True):
                found = []
                for _ in range(batches):
                    found.append(bench.batch_ns() / US)
                    time.sleep(PAUSE_S)
                of_kind.append(statistics.median(found))
        for bench in benches:
            bench.close()
    local, there = (of_kind[1:] for of_kind in medians)  # the first round is to warm up
    added = [late - early for early, late in zip(local, there, strict=True)]
    print(
        f"\na lone batch, {rounds} rounds of {batches}: process {paired.shown(local, '.0f')} us, ",
        end="",
    )
    print(
        f"node {paired.shown(there, '.0f')} us, added {paired.shown(added, '.0f')} us", flush=True
    )


def _drain(port: int, messages: int) -> None:
    """Receive messages, and end; the process of `sent_bytes`."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.connect(f"tcp://127.0.0.1:{port}")
        sock.send(b"ready")
        for _ in range(messages):
            sock.recv(copy=False)
        sock.send(b"done")


def sent_bytes(rounds: int) -> None:
    """Measure what bytes cost that leave without a copy, in batches of 32 ResNet-50 samples."""
    size, messages = 32 * 150_528, 400
    block = bytes(size)
    rates, own, wire = [], [], []
    for _ in range(rounds):
        with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
            port = sock.bind_to_random_port("tcp://127.0.0.1")
            child = get_context("spawn").Process(target=_drain, args=(port, messages))
            child.start()
            peer, _ = sock.recv_multipart()
            clock, start_s = ThreadClock(), time.monotonic()
            for _ in range(messages):
                sock.send(peer, zmq.SNDMORE)
                sock.send(block, copy=False)
            sock.recv_multipart()
            seconds, cores = time.monotonic() - start_s, clock.cores()
            child.join()
        total = size * messages
        rates.append(total / seconds / 1e9)
        own.append(cores["process_cores"] * seconds / total * 1e9)
        wire.append(cores["wire_cores"] * seconds / total * 1e9)
    print(f"\n{messages} messages of {size / 1e6:.1f} MB over loopback, {rounds} rounds")
    print(
        f"{paired.shown(rates, '.2f')} GB/s; interpreter {paired.shown(own, '.3f')} s a GB, "
        f"ZeroMQ's thread {paired.shown(wire, '.3f')} s a GB",
        flush=True,
    )


def growth(limited: Side) -> None:
    """Print what the queue model says of many devices."""
    rows = []
    for fleet in FLEETS:
        plan = resolve(Arguments(benchmark=fleet.benchmark, scenario="Server", system=fleet.system))
        kind = simulated_kinds(plan)[0]
        for count in COUNTS:
            for travels in (False, True):
                rows.append(_grown(fleet, kind, count, limited, travels=travels))
                print(f"  {' | '.join(rows[-1])}", file=sys.stderr, flush=True)
    print(f"\nby the queue model: {PER_NODE} devices a node, {GBIT:g} Gb/s, every slot full")
    header = (
        "devices",
        "model",
        "batch",
        "travels",
        "samples/s",
        "of linear",
        "what stops it",
        "p99 ms / without",
    )
    print(paired.table(header, rows))


def _grown(
    fleet: Fleet, kind: Kind, count: int, limited: Side, *, travels: bool
) -> tuple[str, ...]:
    """Return a row: every slot full, then the p99 of random arrivals at 0.8 of that."""
    bytes_out = fleet.sample_bytes if travels else 4.0
    curve = curve_of({size: point.median_ns for size, point in kind.points.items()})
    wires = (Wire(MEASURED_WAY_NS, byte_ns(GBIT)),) * -(-count // PER_NODE)
    network = Network(wires, byte_ns(GBIT), Traffic(HEAD_BYTES, bytes_out, 4.0))
    there = QueueSetting(
        devices=tuple(Device(curve, 4, node=k // PER_NODE) for k in range(count)),
        batcher=BatcherSettings(fleet.batch, None),
        scenario="Offline",
        samples=40 * count * fleet.batch,
        host=Host(side=limited),
        network=network,
    )
    full = simulate(there)
    linear = count * fleet.batch / curve.service_ns(fleet.batch) * NS_PER_S
    loads = {"the devices": statistics.mean(full.busy), **full.loads}
    name = max(loads, key=lambda key: loads[key])
    p99 = ""
    if full.throughput > 0.9 * linear:  # else random arrivals at the devices' rate would queue
        qps = 0.8 * linear
        arriving = replace(there, scenario="Server", qps=qps, samples=int(max(3e4, 0.2 * qps)))
        here = replace(arriving, network=None, host=Host(), devices=(Device(curve, 4),) * count)
        p99_ms = [simulate(each).latency_ns["p99"] / MS for each in (arriving, here)]
        p99 = f"{p99_ms[0]:.1f} / {p99_ms[1]:.1f}"
    return (
        f"{count:,}",
        fleet.name,
        str(fleet.batch),
        "samples" if travels else "indices",
        f"{full.throughput:,.0f}",
        f"{full.throughput / linear:.2f}",
        f"{name} {loads[name]:.0%}",
        p99,
    )


def main() -> int:
    """Measure the parts that are asked for, and print their tables."""
    arguments = _arguments()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    for name, act in (("side", side), ("policy", policy), ("way", way), ("bytes", sent_bytes)):
        if name in arguments.only:
            act(arguments.rounds)
    if "growth" in arguments.only:
        growth(MEASURED_SIDE)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(tidy(main))
