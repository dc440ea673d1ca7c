"""What GPUs can do with a benchmark's model, and what the harness takes of it.

`sut run` against a bare loop of the same engine (its buffers, streams and CUDA graphs), in
interleaved rounds:

- Offline: LoadGen's throughput as a share of the bare loop's;
- Server: the highest rate that LoadGen calls VALID, as a share of our Offline;
- SingleStream: LoadGen's p50 latency less that of the bare copies and graph, on one engine; and
  with a worker process less that without;
- scaling: Offline and Server on several GPUs against one;
- cheap: Server on a model that takes no time, so that the harness is the limit.

It measures and prints; it never fails for a slow machine.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from data.benchmark import load_benchmark
from data.preprocess import prepare
from sut.base import environment
from sut.record.result import to_dict
from tests.benchmarks import added_gpu, bare_gpu, paired
from tests.benchmarks.loadgen_run import SERVER_QUERIES, latency, metric, sut_run
from tests.benchmarks.paired import Measured
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.config.settings import TrialRequest
    from sut.record.result import Result

    Summary = dict[str, object]

MODULE = "tests.benchmarks.gpu"
# What the harness promises.
LEAST_OFFLINE_RATIO, LEAST_SERVER_SHARE, MOST_ADDED_US, MOST_GAP_US = 0.97, 0.92, 60.0, 20.0
# What a process that is kept from test to test may add to an engine on LoadGen's own thread.
MOST_HOP_US = 15.0
LEAST_SCALING = {"Offline": 1.95, "Server": 1.9}
WANTED_CHEAP_QPS = 100_000
# A run of the program that ends at once: it compiles, makes samples, and says what it resolved.
PROBE = ("--min-duration-s", "0", "--min-query-count", "1")
HEADER = ("what", "unit", "reference", "LoadGen", "ratio or difference", "target", "met")
CHEAP_SHAPE = (3, 32, 32)


@dataclass(slots=True)
class Report:
    """The rows of the table, and everything behind them."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    runs: list[Summary] = field(default_factory=list)

    def add(self, name: str, *cells: str) -> None:
        """Add a row, and show it at once."""
        self.rows.append((name, *cells))
        print("  ".join(self.rows[-1]), flush=True)


@dataclass(frozen=True, slots=True)
class Bench:
    """The command line, and what is measured so far."""

    arguments: argparse.Namespace
    report: Report
    offline: dict[str, float] = field(default_factory=dict)  # samples/s by devices

    def offline_rate(self, devices: str) -> float:
        """Return LoadGen's Offline throughput on some GPUs, measured now or before."""
        if devices not in self.offline:
            self.offline[devices] = metric(self.run("Offline", devices))
        return self.offline[devices]

    def run(
        self, scenario: str, device: str, *options: str, benchmark: str | None = None
    ) -> Result:
        """Run `sut run` once; keep and show what matters of its result."""
        arguments = self.arguments
        own = shlex.split(getattr(arguments, scenario.lower()))
        common = ["--backend", arguments.backend, "--devices", device]
        duration = ["--min-duration-s", str(arguments.seconds)]
        words = [*common, *duration, *own, *options]
        result, _ = sut_run(benchmark or arguments.benchmark, scenario, words)
        kept: Summary = {"options": " ".join(words), "gap_us": gap_us(result)}
        summary = to_dict(result)
        for key in ("scenario", "valid", "reasons", "metric", "latency_ns", "parts_ns", "batches",
                    "samples", "duration_s", "harness"):  # fmt: skip
            kept[key] = summary[key]
        self.report.runs.append(kept)
        p99_ms = latency(result).p99 / 1e6
        verdict = "VALID" if result.valid else "INVALID"
        print(
            f"  {scenario} on {device} {' '.join(options)}: {metric(result):,.1f}, p99 {p99_ms:.2f}"
            f" ms, mean batch {result.batches.mean_size:.1f}, {verdict}",
            file=sys.stderr,
            flush=True,
        )
        return result

    def bare(self, scenario: str, device: str, size: int) -> bare_gpu.GpuRequest:
        """Return the bare loop with the settings that a run of the scenario resolves to."""
        path = str(prepare(load_benchmark(self.arguments.benchmark), None).paths[0])
        trial = self._resolve(scenario, device)
        return bare_gpu.GpuRequest(trial, device, path, (size,), self.arguments.bare_seconds)

    def added(self, device: str) -> added_gpu.AddedRequest:
        """Return LoadGen's SingleStream and the bare loop on one engine."""
        samples = prepare(load_benchmark(self.arguments.benchmark), None)
        trial = self._resolve("SingleStream", device)
        return added_gpu.AddedRequest(
            trial, str(samples.paths[0]), samples.count, self.arguments.seconds
        )

    def _resolve(self, scenario: str, device: str) -> TrialRequest:
        """Return what a run of the scenario resolves to."""
        own = shlex.split(getattr(self.arguments, scenario.lower()))
        words = ["--backend", self.arguments.backend, "--devices", device, *own, *PROBE]
        return sut_run(self.arguments.benchmark, scenario, words)[1]


def main() -> int:
    """Measure, print the table, and write the JSON file if asked for."""
    arguments = _arguments()
    started_s = time.monotonic()
    bench = Bench(arguments, Report())
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    for name in arguments.only:
        PARTS[name](bench)
        _write(bench)
    print("\n" + paired.table(HEADER, bench.report.rows))
    print(f"{time.monotonic() - started_s:.0f} s")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-b", "--benchmark", default="resnet50-synthetic")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--devices", default="0", help="the GPUs to scale to, such as 0,1")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each LoadGen run (10)")
    parser.add_argument("--bare-seconds", type=float, default=5.0, help="of each bare loop (5)")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.90, 0.92, 0.94, 0.96])
    parser.add_argument("--cheap-qps", type=int, nargs="+", default=CHEAP_QPS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    for scenario, options in DEFAULTS.items():
        parser.add_argument(
            f"--{scenario.lower()}",
            default=options,
            metavar="OPTIONS",
            help=f"more options of sut run for {scenario} ({options})",
        )
    return parser.parse_args()


DEFAULTS = {
    "Offline": "--max-batch-size 256 --slots 2 --set graph_sizes=256",
    # 172 fills whole waves of 132 multiprocessors. An H100 is slower, and takes 128 in 15 ms.
    "Server": "--workers process --max-batch-size 172 --slots 3 --max-queue-delay-us 6800"
    " --set graph_sizes=172 --set wait=spin --set gather=copies",
    "SingleStream": "--max-batch-size 1",
    "cheap": "--max-batch-size 1024 --slots 1 --set compile=none --set graph_sizes=64,256,1024",
}
CHEAP_QPS = [20_000, 50_000, 100_000, 140_000]


def gap_us(result: Result) -> float | None:
    """Return by how much the parts of the latency miss LoadGen's own, at the median."""
    if result.parts_ns is None:
        return None
    return (latency(result).p50 - result.parts_ns.total.p50) / 1e3


# The parts of the benchmark.


def _first(bench: Bench) -> str:
    return str(bench.arguments.devices.split(",")[0])


def _offline(bench: Bench) -> None:
    device = _first(bench)
    loop = bench.bare("Offline", device, 0)

    def reference() -> float:
        found = bare_gpu.measure(loop)
        return next(iter(found.samples_per_s.values()))

    def run(_: float) -> Measured:
        return Measured(metric(bench.run("Offline", device)))

    pairs = paired.interleave(reference, [run] * bench.arguments.rounds)
    median = statistics.median(pair.ratio for pair in pairs)
    bench.offline[device] = statistics.median(pair.value for pair in pairs)
    bench.report.add(
        "Offline", "samples/s", _several([pair.reference for pair in pairs]),
        _several([pair.value for pair in pairs]), _several([p.ratio for p in pairs], "{:.4f}"),
        f">= {LEAST_OFFLINE_RATIO}", _met(median >= LEAST_OFFLINE_RATIO),
    )  # fmt: skip


def _server(bench: Bench) -> None:
    device = _first(bench)
    offline = bench.offline_rate(device)
    best = _highest(bench, device, [share * offline for share in bench.arguments.shares])
    bench.report.add(
        "Server", "QPS", f"{offline:.0f} (Offline)", f"{best:.0f}", f"{best / offline:.4f}",
        f">= {LEAST_SERVER_SHARE}", _met(best >= LEAST_SERVER_SHARE * offline * 0.999),
    )  # fmt: skip


def _highest(
    bench: Bench, device: str, rates: Sequence[float], benchmark: str | None = None, *more: str
) -> float:
    """Return the highest of the ascending `rates` that is VALID, up to two failures; 0: none."""
    best, failures = 0.0, 0
    for rate in rates:
        words = ["--target-qps", f"{rate:.0f}", "--min-query-count", str(SERVER_QUERIES), *more]
        if bench.run("Server", device, *words, benchmark=benchmark).valid:
            best = rate
        else:
            failures += 1
        if failures > 1:
            break
    return best


def _single(bench: Bench) -> None:
    device = _first(bench)
    request = bench.added(device)
    results = [added_gpu.measure(request) for _ in range(bench.arguments.rounds)]
    bare = [(found.before_ns + found.after_ns) / 2 for found in results]
    added = [(found.loadgen_ns - least) / 1e3 for found, least in zip(results, bare, strict=True)]
    bench.report.runs.extend(asdict(found) for found in results)
    bench.report.add(
        "SingleStream", "p50 us", _several([least / 1e3 for least in bare], "{:.1f}"),
        _several([found.loadgen_ns / 1e3 for found in results], "{:.1f}"),
        _several(added, "{:+.1f} us"), f"<= +{MOST_ADDED_US:.0f} us",
        _met(statistics.median(added) <= MOST_ADDED_US),
    )  # fmt: skip
    runs = [
        [bench.run("SingleStream", device, "--workers", kind) for kind in ("inline", "process")]
        for _ in results
    ]
    p50_us = [[latency(run).p50 / 1e3 for run in pair] for pair in runs]
    more = [process - inline for inline, process in p50_us]
    bench.report.add(
        "its own process", "p50 us", _several([inline for inline, _ in p50_us], "{:.1f}"),
        _several([process for _, process in p50_us], "{:.1f}"), _several(more, "{:+.1f} us"),
        f"<= +{MOST_HOP_US:.0f} us", _met(statistics.median(more) <= MOST_HOP_US),
    )  # fmt: skip
    gap = gap_us(runs[-1][-1])
    assert gap is not None, "a run with a trace"
    bench.report.add(
        "sum of the parts", "us off", "LoadGen's p50", "1 run", f"{gap:+.1f} us",
        f"<= {MOST_GAP_US:.0f} us", _met(abs(gap) <= MOST_GAP_US),
    )  # fmt: skip


def _scaling(bench: Bench) -> None:
    every = bench.arguments.devices
    one, count = _first(bench), len(every.split(","))

    def offline(device: str) -> float:
        return metric(bench.run("Offline", device))

    pairs = paired.interleave(
        partial(offline, one), [lambda _: Measured(offline(every))] * bench.arguments.rounds
    )
    ratio = statistics.median(pair.ratio for pair in pairs)
    wanted = {name: least / 2 * count for name, least in LEAST_SCALING.items()}
    bench.report.add(
        f"Offline, {count} GPUs against one", "samples/s",
        _several([pair.reference for pair in pairs]), _several([pair.value for pair in pairs]),
        _several([pair.ratio for pair in pairs], "{:.4f}"), f">= {wanted['Offline']}",
        _met(ratio >= wanted["Offline"]),
    )  # fmt: skip
    rates = [
        share * statistics.median(p.reference for p in pairs) for share in bench.arguments.shares
    ]
    single = _highest(bench, one, rates)
    both = _highest(bench, every, [single * count * share for share in (0.95, 0.975, 1.0)])
    bench.report.add(
        f"Server, {count} GPUs against one", "QPS", f"{single:.0f}", f"{both:.0f}",
        f"{both / single:.4f}" if single else "-", f">= {wanted['Server']}",
        _met(bool(single) and both >= wanted["Server"] * single * 0.999),
    )  # fmt: skip


def _cheap(bench: Bench) -> None:
    device = _first(bench)
    with tempfile.TemporaryDirectory() as folder:
        benchmark = str(make_cheap(Path(folder)))
        own = shlex.split(bench.arguments.cheap)
        for workers in ("thread", "process"):
            more = (*own, "--workers", workers)
            best = _highest(bench, device, bench.arguments.cheap_qps, benchmark, *more)
            bench.report.add(
                f"cheap model, {workers} worker", "QPS", "-", f"{best:.0f}", "-",
                f"{WANTED_CHEAP_QPS} is the aim", _met(best >= WANTED_CHEAP_QPS),
            )  # fmt: skip


def make_cheap(folder: Path) -> Path:
    """Make a benchmark whose model is the mean of each channel and one small product."""
    weight = np.random.default_rng(0).standard_normal((10, CHEAP_SHAPE[0])).astype(np.float16)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["scores"], transB=1),
        helper.make_node("Cast", ["scores"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["wide"], ["top1"], axis=1, keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "cheap",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["N", *CHEAP_SHAPE])],
        [helper.make_tensor_value_info("top1", TensorProto.INT64, ["N", 1])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "cheap.onnx")
    content = {
        "name": "cheap",
        "models": [{"kind": "file", "path": "cheap.onnx"}],
        "input": {"name": "x", "shape": list(CHEAP_SHAPE), "dtype": "float16", "layout": "NCHW"},
        "output": "top1",
        "dataset": {"kind": "synthetic", "count": 1024},
        "rounds": {"current": {"Server": {"target_latency_ms": 15}}},
    }
    path = folder / "cheap.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return path


PARTS: dict[str, Callable[[Bench], None]] = {
    "offline": _offline,
    "server": _server,
    "single": _single,
    "scaling": _scaling,
    "cheap": _cheap,
}


def _several(values: Sequence[float], show: str = "{:.0f}") -> str:
    """Return the median, and every value in the order measured."""
    each = " ".join(show.format(value) for value in values)
    return f"{show.format(statistics.median(values))} ({each})"


def _met(met: bool) -> str:
    return "yes" if met else "no"


def _write(bench: Bench) -> None:
    """Write after each part, so that a late failure loses nothing."""
    if bench.arguments.json is None:
        return
    content = {
        "environment": environment.fingerprint(),
        "command": paired.command(MODULE),
        **asdict(bench.report),
    }
    bench.arguments.json.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(tidy(main))
