"""The tuner against bisection and brute force over the same batch sizes: `make bench-tuner`.

The system under test is the model of the queue with S(b) of four T4s (backends/curves); hops,
jitter and arrivals differ from seed to seed, and no search knows them. Seconds are those that
LoadGen would have run: a probe takes 10 s, a run whose verdict counts 60 s and what its queue adds.
A rate is worth what holds of it: each one claimed is run three times more, and lowered until all
three are VALID.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from backends.simulated.curve import Curve, from_file
from backends.simulated.jitter import Jitter
from scenarios import scenario
from sut.serve.queue_device import Host
from sut.tuner.job import Bound, Job, Space
from sut.tuner.messages import Trial, drive
from sut.tuner.session import search_of
from tests.sut.tuner.world import World

if TYPE_CHECKING:
    from sut.tuner.job import Candidate

MS = 1e6
DEVICES = 4
# Benchmark: bound in ms, and the queries/s that Dell published for this machine.
PUBLISHED = {
    "resnet50": (15.0, 20_742.83),
    "ssd-mobilenet": (10.0, 28_293.31),
    "ssd-resnet34": (100.0, 485.23),
    "mobilenet": (10.0, 67_124.18),
    "unequal": (15.0, 0.0),
}
# Four unequal devices: a transformer on three kinds of GPU, and on one of them at half its clock.
UNEQUAL = (("T4", 1.0), ("A30", 1.0), ("A100", 1.0), ("T4", 2.0))
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
MOST_SAMPLES = 60_000
HOLD_STEP = 0.001
RUNS = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What one search came to.

    Attributes:
        qps: the rate it claims.
        holds_qps: the rate at which three runs in a row are VALID: from the one claimed, down in
            steps of `HOLD_STEP`.
        batch: the batch size that it chose.
        seconds: of LoadGen before the confirmation.
        runs: how many.
        valid: runs at the rate claimed that were VALID, of three.
        wall_s: time that the search itself took here, simulated runs included.
    """

    qps: float
    holds_qps: float
    batch: int
    seconds: float
    runs: int
    valid: int
    wall_s: float


def main() -> int:
    """Run the searches and print the table."""
    arguments = _arguments()
    for name in arguments.benchmarks.split(","):
        bound_ms, published = PUBLISHED[name]
        beside = f"; published {published:,.0f}/s" if published else ""
        print(f"{name}: four devices (simulated), p99 <= {bound_ms:g} ms{beside}")
        rows: dict[str, list[Result]] = {}
        for seed in range(1, arguments.seeds + 1):
            for search in arguments.searches.split(","):
                if search == "grid" and seed > arguments.grid_seeds:
                    continue
                print(f"  seed {seed}, {search} ...", file=sys.stderr, flush=True)
                rows.setdefault(search, []).append(run(name, search, seed))
        for search, results in rows.items():
            print(f"  {search:7} {_line(results)}")
        _compare(rows)
    return 0


def run(name: str, search: str, seed: int) -> Result:
    """Search one world."""
    bound_ns = PUBLISHED[name][0] * MS
    world = make_world(name, seed)
    job = Job(
        "Server",
        (Bound("p99", bound_ns, 0.99),),
        Space(workers=("process",), sizes=SIZES, slots=(4,)),
    )
    start_s = time.monotonic()
    answer = drive(search_of(search, scenario("Server"))(job, {}, lambda _: None), world)
    assert answer.target_qps is not None
    before = [a for a in world.asked if isinstance(a, Trial) and a.purpose != "confirm"]
    seconds = sum(s for purpose, s in world.loadgen_s.items() if purpose != "confirm")
    valid, holds_qps = _again(world, answer.candidate, answer.target_qps, job.confirm_s)
    batch, wall_s = answer.candidate.max_batch_size, time.monotonic() - start_s
    return Result(answer.target_qps, holds_qps, batch, seconds, len(before), valid, wall_s)


def _again(world: World, candidate: Candidate, qps: float, seconds: float) -> tuple[int, float]:
    """Return how many of three runs are VALID at the rate claimed, and the rate that holds."""

    def valid_runs() -> int:
        trial = Trial("confirm", candidate, seconds, qps)
        return sum(world.run(trial).valid for _ in range(RUNS))

    claimed = valid = valid_runs()
    while valid < RUNS:
        qps *= 1 - HOLD_STEP
        valid = valid_runs()
    return claimed, qps


def make_world(name: str, seed: int) -> World:
    """Return a machine: the published curve, and a host that a seed chose."""
    generator = np.random.default_rng(seed)
    hop_in_us, hop_out_us = generator.uniform(60, 200), generator.uniform(150, 400)
    host = Host(6e3, True, hop_in_us * 1e3, hop_out_us * 1e3, Jitter("lognormal", 0.8))
    slower = generator.uniform(0.99, 1.01)
    return World(
        [_slowed(curve, slower) for curve in _curves(name)],
        PUBLISHED[name][0] * MS,
        host=host,
        jitter=Jitter("lognormal", generator.uniform(0.0, 0.02)),
        seed=seed,
        most_samples=MOST_SAMPLES,
    )


def _curves(name: str) -> list[Curve]:
    if name != "unequal":
        return [from_file(f"{name}-t4")] * DEVICES
    where = "backend=tensorrt,dataset=electricity,gpu="
    return [_slowed(from_file("tft-fp16", where + gpu), slow) for gpu, slow in UNEQUAL]


def _slowed(curve: Curve, factor: float) -> Curve:
    return replace(curve, points_ms=tuple((size, ms * factor) for size, ms in curve.points_ms))


def _line(results: list[Result]) -> str:
    rates = " ".join(f"{r.qps:,.0f} (batch {r.batch}; holds {r.holds_qps:,.0f})" for r in results)
    return (
        f"{fmean(r.seconds for r in results):8,.0f} s of LoadGen in "
        f"{fmean(r.runs for r in results):5.1f} runs before confirmation; VALID "
        f"{sum(r.valid for r in results)} of {RUNS * len(results)}; queries/s: {rates}"
        f" ({fmean(r.wall_s for r in results):.0f} s here)"
    )


def _compare(rows: dict[str, list[Result]]) -> None:
    mine = rows.get("model")
    for search, results in rows.items():
        if mine is None or search == "model":
            continue
        pairs = list(zip(mine, results, strict=False))
        gains = " ".join(f"{a.qps / b.qps - 1:+.2%}" for a, b in pairs)
        holds = " ".join(f"{a.holds_qps / b.holds_qps - 1:+.2%}" for a, b in pairs)
        share = fmean(a.seconds / b.seconds for a, b in pairs)
        print(
            f"  model against {search}: {share:.1%} of its LoadGen seconds; queries/s claimed "
            f"{gains}; VALID three times in a row {holds}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", default="resnet50", help=", ".join(PUBLISHED))
    parser.add_argument("--searches", default="model,bisect,grid")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--grid-seeds", type=int, default=1, help="brute force is slow")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
