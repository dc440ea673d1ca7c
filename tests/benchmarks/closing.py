"""Late closing against the best fixed delay, on every simulated system: part of `make bench-model`.

For each system the queue model looks for the highest rate within the bound: over batch sizes with
late closing, and over batch sizes and delays with a fixed delay. S(b) is the service time of a
batch of b samples. No LoadGen runs.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.simulated.curve import Curve, Scaled, from_file
from sut.serve.service_times import Measured, Point
from sut.tuner.job import Bound, Candidate, Variant
from sut.tuner.learnt import Learnt
from sut.tuner.model import QUICK, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.harness_defaults import QueueDelay

MS = 1e6
# Delays in units of the time that a batch takes to fill at full load.
FILLS = (0.0, 0.7, 1.0, 1.3, 1.6, 2.0, 3.0)
SIZES = (1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 26, 32, 40, 48, 56, 64, 80, 104, 128, 160, 192, 224, 256)
# Batch sizes whose full devices do less than this share of the best are left out.
LEAST_SHARE = 0.8
# S(b) of ResNet-50 in fp16 on one H100, one CUDA graph a size, in ms: docs/results/gpu.md.
H100 = Curve(
    ((1, 0.45), (86, 3.78), (128, 5.4), (150, 6.2), (172, 7.0), (256, 10.3)), "measured: H100"
)


@dataclass(frozen=True, slots=True)
class System:
    """Devices and the bound of their p99.

    Attributes:
        name: in the table.
        bound_ms: of p99.
        curves: S(b) of each device.
        factors: each device's S(b) is multiplied by its own.
        benchmark: of real runs.
        words: options of `sut run` that give this system; empty: it is not simulated.
    """

    name: str
    bound_ms: float
    curves: tuple[Curve, ...]
    factors: tuple[float, ...] = ()
    benchmark: str = "resnet50"
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Best:
    """The best setting of one way to close batches."""

    qps: float
    batch: int
    delay: QueueDelay


def systems() -> list[System]:
    """Return every simulated system that ships, four unequal devices, and one H100."""
    bounds = {"resnet50": 15.0, "mobilenet": 10.0, "ssd-mobilenet": 10.0, "ssd-resnet34": 100.0}
    found = [System("H100 resnet50", 15.0, (H100,))]
    found += [
        System(
            f"4 T4 {name}",
            bound_ms,
            (from_file(f"{name}-t4"),) * 4,
            benchmark=name,
            words=("--system", "r740_4xt4"),
        )
        for name, bound_ms in bounds.items()
    ]
    t4 = from_file("resnet50-t4")
    slow = ("--set", "slow@2=1.5", "--set", "slow@3=2.0")
    unequal = ("--system", "r740_4xt4", "--set", "curve=resnet50-t4", *slow)
    factors = (1.0, 1.0, 1.5, 2.0)
    found.append(System("unequal: T4 x 1 1 1.5 2", 15.0, (t4,) * 4, factors, words=unequal))
    for gpu in ("A100", "A30", "T4", "V100"):
        where = f"gpu={gpu},backend=tensorrt,dataset=traffic"
        device = ("--backend", "simulated", "--devices", "0", "--set", "curve=tft-fp16")
        words = (*device, "--set", f"curve_where={where}")
        found.append(System(f"{gpu} TFT", 25.0, (from_file("tft-fp16", where),), words=words))
    return found


def best(system: System, *, late: bool) -> Best:
    """Return the best batch, and delay, of a system."""
    model = _model(system)
    found = Best(0.0, 0, 0)
    for batch in _sizes(system, model):
        fill_us = model.fill_ns(_candidate(batch, 0), model.rate(_candidate(batch, 0))) / 1e3
        delays: Sequence[QueueDelay] = ("late",) if late else [int(f * fill_us) for f in FILLS]
        for delay in delays:
            hint = found.qps or None
            qps = model.peak(_candidate(batch, delay), Learnt(), QUICK, hint=hint)
            if qps > found.qps:
                found = Best(qps, batch, delay)
    return found


def _sizes(system: System, model: Model) -> list[int]:
    fitting = [
        size for size in SIZES
        if max(curve.service_ns(size) for curve in system.curves) < system.bound_ms * MS
    ]  # fmt: skip
    rates = {size: model.rate(_candidate(size, 0)) for size in fitting}
    return [size for size in fitting if rates[size] >= LEAST_SHARE * max(rates.values())]


def _model(system: System) -> Model:
    factors = system.factors or (1.0,) * len(system.curves)
    workers = []
    for number, (curve, factor) in enumerate(zip(system.curves, factors, strict=True)):
        slower = Scaled(curve, factor)
        times = {size: slower.service_ns(size) for size in SIZES}
        workers.append((str(number), {size: Point(ns, ns, ns) for size, ns in times.items()}))
    bound = Bound("p99", system.bound_ms * MS, 0.99)
    return Model({Variant(): Measured(tuple(workers), is_async=True)}, (bound,))


def _candidate(batch: int, delay: QueueDelay) -> Candidate:
    return Candidate(batch, delay, 2, "process")


def main() -> int:
    """Print a line a system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="systems whose name has it")
    only = parser.parse_args().only
    print(f"{'system':26} {'late':>10} {'cap':>4}  {'delay':>10} {'cap':>4} {'us':>6}  ratio")
    for system in systems():
        if only not in system.name:
            continue
        late, delayed = best(system, late=True), best(system, late=False)
        print(
            f"{system.name:26} {late.qps:10,.1f} {late.batch:4}  {delayed.qps:10,.1f} "
            f"{delayed.batch:4} {delayed.delay:>6}  {late.qps / delayed.qps:.4f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
