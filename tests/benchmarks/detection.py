"""A detector through the harness, in the reference's way, and in a bare loop.

The stand-in of YOLO11l on one device, in rounds that take turns:

- reference: one image a call, blocking, the boxes of each image after its call;
- ours: Offline through LoadGen, with boxes made in the worker, or on the device where it can;
- bare: the engine alone in batches of the same size, without boxes.

Printed is ours as a multiple of the reference's way and as a share of the bare loop, for each round
and as a median; and what boxes on the device add to the model's time. It never fails for a slow
machine. --small takes a smaller network and smaller images, to try it on a CPU.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from backends.base import OptionValue
from data.benchmark import load_benchmark
from data.convert import yolo11
from data.preprocess import prepare
from tests.benchmarks import bare, bare_gpu, one_image, paired
from tests.benchmarks.loadgen_run import metric, sut_run
from tests.tidy import tidy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.config.settings import TrialRequest

MODULE = "tests.benchmarks.detection"
BENCHMARK = "yolo11l-synthetic"
# What the harness promises.
LEAST_TIMES, LEAST_SHARE, MOST_ADDED = 10.0, 0.95, 0.1
PROBE = ("--min-duration-s", "0", "--min-query-count", "1")
ON_DEVICE, IN_WORKER = ("--set", "postprocess=device"), ("--set", "postprocess=worker")
SMALL_SIDE, SMALL_COUNT = 160, 16
# The script runs PyTorch without compiler and graphs.
AS_THE_SCRIPT: Mapping[str, Mapping[str, OptionValue]] = {
    "torch": {"compile": "none", "cuda_graphs": False}
}
OFFLINE = {
    "torch": "--max-batch-size 32 --slots 3 --set graph_sizes=32",
    "onnxruntime": "--max-batch-size 4",
}
HEADER = ("what", "median", "each round", "target", "met")


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure, and the rates by name, images/s, one a round."""

    arguments: argparse.Namespace
    benchmark: str
    rates: dict[str, list[float]] = field(default_factory=dict)

    @property
    def _words(self) -> list[str]:
        arguments = self.arguments
        own = arguments.offline or OFFLINE.get(arguments.backend, "")
        return ["--backend", arguments.backend, "--devices", arguments.devices, *shlex.split(own)]

    def measure(self) -> None:
        """Measure everything once a round, in turns."""
        on_gpu = self.arguments.backend == "torch" and self.arguments.devices != "cpu"
        ways = {"worker": IN_WORKER, "device": ON_DEVICE} if on_gpu else {"worker": ()}
        trials = {way: self._resolve(more) for way, more in ways.items()}
        for _ in range(self.arguments.rounds):
            self._add("reference", self._reference(trials["worker"]))
            for way, more in ways.items():
                self._add(f"bare, {way}", self._bare(trials[way]))
                if way in self.arguments.ways:
                    self._add(f"ours, {way}", self._ours(more))

    def _add(self, name: str, rate: float) -> None:
        self.rates.setdefault(name, []).append(rate)
        print(f"  {name}: {rate:,.2f} images/s", file=sys.stderr, flush=True)

    def _resolve(self, more: Sequence[str]) -> TrialRequest:
        """Return what a run resolves to, with its samples; it compiles what is to be compiled."""
        trial = sut_run(self.benchmark, "Offline", [*self._words, *more, *PROBE])[1]
        samples = prepare(load_benchmark(self.benchmark), None)
        return replace(trial, workload=trial.workload.with_samples(samples))

    def _reference(self, trial: TrialRequest) -> float:
        options = dict(AS_THE_SCRIPT.get(self.arguments.backend, {}))
        device, seconds = self.arguments.devices, self.arguments.seconds
        return one_image.measure(one_image.OneRequest(trial, device, options, seconds))

    def _ours(self, more: Sequence[str]) -> float:
        duration = ["--min-duration-s", str(self.arguments.seconds)]
        return metric(sut_run(self.benchmark, "Offline", [*self._words, *more, *duration])[0])

    def _bare(self, trial: TrialRequest) -> float:
        assert trial.workload.model is not None, "a benchmark with a model"
        assert trial.workload.samples is not None, "they are prepared"
        path, seconds = trial.workload.samples.paths[0], self.arguments.seconds
        if self.arguments.backend == "onnxruntime":
            model, name = trial.workload.model.path, trial.workload.inputs[0].name
            request = bare.BareRequest(trial.harness, model, name, path, seconds)
            return bare.measure(request).samples_per_s
        device = self.arguments.devices
        loop = bare_gpu.GpuRequest(trial, device, path, (0,), seconds)
        return next(iter(bare_gpu.measure(loop).samples_per_s.values()))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table."""
        rates = self.rates
        found = []
        for way in ("worker", "device"):
            if f"ours, {way}" not in rates:
                continue
            ours = rates[f"ours, {way}"]
            times = [a / b for a, b in zip(ours, rates["reference"], strict=True)]
            share = [a / b for a, b in zip(ours, rates["bare, worker"], strict=True)]
            found += [
                _row(f"boxes in the {way}: ours / reference", times, LEAST_TIMES),
                _row(f"boxes in the {way}: ours / bare", share, LEAST_SHARE),
            ]
        if "bare, device" in rates:
            pairs = zip(rates["bare, worker"], rates["bare, device"], strict=True)
            added = [without / within - 1 for without, within in pairs]
            found.append(_row("boxes on the device, of the model's time", added, MOST_ADDED))
        return found


def _row(name: str, values: Sequence[float], target: float) -> tuple[str, ...]:
    median = statistics.median(values)
    most = target == MOST_ADDED
    met = median <= target if most else median >= target
    each = " ".join(f"{value:.3f}" for value in values)
    bound = f"{'<=' if most else '>='} {target:g}"
    return name, f"{median:.3f}", each, bound, "yes" if met else "no"


def make_small(folder: Path) -> Path:
    """Make a benchmark of the smallest size of the family, float32, with smaller images."""
    yolo11.write(folder / "small.onnx", 0, "float32", "n", SMALL_SIDE)
    shape = [3, SMALL_SIDE, SMALL_SIDE]
    content = {
        "name": "yolo11n-small-synthetic",
        "task": "detection",
        "models": [{"kind": "file", "path": "small.onnx"}],
        "input": {"name": "images", "shape": shape, "dtype": "float32", "layout": "NCHW"},
        "dataset": {"kind": "synthetic", "count": SMALL_COUNT},
        "postprocess": {"kind": "yolo", "categories": "coco80"},
        "accuracy": {"metric": "mAP"},
        "performance_sample_count": SMALL_COUNT,
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return path


def main() -> int:
    """Measure, print the table, and write the JSON file if asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--backend", default="onnxruntime", choices=tuple(OFFLINE))
    parser.add_argument("--devices", default="cpu", metavar="0", help="one device (cpu)")
    parser.add_argument("--small", action="store_true", help="a small network and small images")
    parser.add_argument(
        "--ways", nargs="+", default=["worker", "device"], choices=("worker", "device"),
        help="where ours makes boxes (both)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measure (10)")
    parser.add_argument("--offline", metavar="OPTIONS", help="options of sut run for ours")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    arguments = parser.parse_args()
    print(paired.machine())
    print(f"command: {paired.command(MODULE)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        benchmark = str(make_small(Path(folder))) if arguments.small else BENCHMARK
        bench = Bench(arguments, benchmark)
        bench.measure()
    print("\n" + paired.table(HEADER, bench.rows()))
    if arguments.json is not None:
        paired.write_json(arguments.json, {"rates": bench.rates, "rows": bench.rows()})
    return 0


if __name__ == "__main__":
    sys.exit(tidy(main))
