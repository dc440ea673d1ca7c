"""`sut plan` against brute force: `python -m tests.benchmarks.plan`.

Brute force asks the queue model about every number of devices from one, every batch size, late
closing and delays of a grid of its own, other arrivals, no shorter runs. It knows neither the
tuner's candidates nor its order. A number of devices holds the load if full batches can process it,
and the percentile that LoadGen asks of a run of ten minutes is within the bound, as a mean of two
schedules.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import TYPE_CHECKING

from backends.simulated.curve import Scaled, from_file
from scenarios.early_stopping import needed_share
from sut.serve.batcher import BatcherSettings
from sut.serve.queue_device import Device
from sut.serve.queue_model import QueueSetting, simulate
from sut.serve.service_times import Point
from sut.tuner.fleet import RUN_S, Planner
from sut.tuner.job import Bound
from sut.tuner.kinds import Kind
from sut.tuner.learning import usual_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.simulated.curve import Curve

MS, NS_PER_S = 1e6, 1e9
CONFIDENCE = 0.95
# Queue delays of the grid, as shares of the bound; None: late.
DELAYS = (None, 0.0, 0.05, 0.1, 0.2, 0.3)
SEEDS = (11, 12)
SLOTS = 4
# As many bounds as a run of the tuner's model lasts at least.
_BOUNDS = 40
LEAST_SAMPLES = 30_000


def brute_force(  # noqa: PLR0913 - what is asked
    curve: Curve,
    qps: float,
    bound: Bound,
    batches: Sequence[int],
    most: int,
    least_samples: int = LEAST_SAMPLES,
) -> int | None:
    """Return the fewest devices, up to `most`, that hold a load; None: none."""
    slower = math.exp(usual_room(CONFIDENCE))
    device = Device(Scaled(curve, slower), SLOTS)
    for devices in range(1, most + 1):
        for batch in batches:
            if devices * batch / device.service.service_ns(batch) * NS_PER_S < qps:
                continue
            for share in DELAYS:
                delay_ns = None if share is None else int(share * bound.limit_ns)
                batcher = BatcherSettings(batch, delay_ns)
                if _holds([device] * devices, batcher, qps, bound, least_samples):
                    return devices
    return None


def _holds(
    devices: Sequence[Device],
    batcher: BatcherSettings,
    qps: float,
    bound: Bound,
    least_samples: int,
) -> bool:
    samples = int(max(least_samples, _BOUNDS * bound.limit_ns / NS_PER_S * qps))
    assert bound.share is not None
    needed = needed_share(bound.share, min(int(qps * RUN_S), 300_000))
    room_ns = bound.limit_ns * len(SEEDS)
    for seed in SEEDS:
        setting = QueueSetting(tuple(devices), batcher, qps=qps, samples=samples, seed=seed)
        room_ns -= simulate(setting).percentile_ns(needed)
        if room_ns < 0:
            return False
    return True


def main() -> int:
    """Compare the two for the T4s of r740_4xt4; 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curve", default="resnet50-t4")
    parser.add_argument("--bound-ms", type=float, default=15.0)
    parser.add_argument("--qps", type=float, nargs="+", default=[20_000.0, 40_000.0, 80_000.0])
    arguments = parser.parse_args()
    curve = from_file(arguments.curve)
    bound = Bound("p99", arguments.bound_ms * MS, 0.99)
    sizes = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
    points = {size: Point(curve.service_ns(size), 0.0, 0.0) for size in sizes}
    kind = Kind(arguments.curve, points, curve.provenance, simulated=True)
    batches = [b for b in range(1, 257) if curve.service_ns(b) <= bound.limit_ns]
    differs = False
    for qps in arguments.qps:
        start_s = time.monotonic()
        fleet = Planner(qps, bound, CONFIDENCE).smallest(kind)
        took_s = time.monotonic() - start_s
        planned = None if fleet is None else fleet.devices
        found = brute_force(curve, qps, bound, batches, most=4 * (planned or 8))
        differs |= planned != found
        settings = "" if fleet is None else f" ({fleet.candidate})"
        print(
            f"{qps:8,.0f}/s: plan {planned}{settings}, brute force {found}; "
            f"{took_s:.1f} s and {time.monotonic() - start_s - took_s:.1f} s",
            flush=True,
        )
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
