"""Fits S(b) of a published machine: a line, in which Offline and Server each fix a number.

S(b) = S0 + b s. The Offline rate r at its batch B fixes one point, S(B) = B / r. S0 is the
largest number with which the queue model, at the published rate and with the published settings,
gives no longer p99 than Server's published one, found to within a 4,096th of the range. S0 is at
least LEAST_BASE_MS: a device needs about that much for its launches alone.

Where even the least S0 makes that p99 too long, the device was faster in Server than its Offline
rate says: its batch of Offline was too large for the cache, or for the limit on power. Then S0 is
the least, the slope up to the batch of Server gives the p99, and the line bends there towards
Offline's point; without a larger Offline batch it goes straight on.

Where no S0 makes the p99 long enough, it is not used, and S0 is the least. Batches that share a
device in several streams take longer each than one after the other, and the model has one stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.simulated.curve import MS_PER_S, NS_PER_MS, Curve
from sut.serve.service_times import Measured, Point
from sut.tuner.job import Variant
from sut.tuner.learnt import Learnt
from sut.tuner.model import Effort, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.published.pairs import Pair

LEAST_BASE_MS = 0.25
# A device cannot be faster in Server than this many times its Offline rate.
MOST_GAIN = 3.0
RUN_S = 600.0
FIT = Effort(30_000, (1, 2), 1e-3)
_STEPS = 12


@dataclass(frozen=True, slots=True)
class Fit:
    """S(b) of a machine.

    Attributes:
        kind: "line", "bent" or "server" (the bent one without a point of Offline); "loose": Offline
            alone, because nothing gives the published p99.
        points_ms: (batch, milliseconds).
    """

    kind: str
    points_ms: tuple[tuple[int, float], ...]

    @property
    def curve(self) -> Curve:
        """The curve through the points."""
        return Curve(self.points_ms, self.kind)


def model_of(pair: Pair, curve: Curve, sizes: Sequence[int]) -> Model:
    """Return the queue model of a machine whose S(b) was measured at these sizes."""
    times = {size: curve.service_ns(size) for size in sorted({1, *sizes})}
    points = {size: Point(ns, ns, ns) for size, ns in times.items()}
    workers = tuple((str(device), points) for device in range(pair.devices))
    return Model({Variant(): Measured(workers, is_async=True)}, (pair.bound,), RUN_S)


def fit(pair: Pair) -> Fit:
    """Fit one machine."""
    offline_ms = pair.offline_batch / pair.offline_qps * MS_PER_S

    def line(base_ms: float) -> tuple[tuple[int, float], ...]:
        slope_ms = (offline_ms - base_ms) / pair.offline_batch
        return _points((1, base_ms + slope_ms), (pair.offline_batch, offline_ms))

    def bent(server_ms: float) -> tuple[tuple[int, float], ...]:
        slope_ms = (server_ms - LEAST_BASE_MS) / pair.batch
        first, last = (1, LEAST_BASE_MS + slope_ms), (pair.batch, server_ms)
        has_offline = pair.offline_batch > pair.batch
        return _points(first, last, *([(pair.offline_batch, offline_ms)] if has_offline else []))

    if _p99_ms(pair, line(LEAST_BASE_MS)) <= pair.p99_ms:
        base_ms, is_met = _solved(
            lambda x: _p99_ms(pair, line(x)), pair.p99_ms, LEAST_BASE_MS, 0.9 * offline_ms
        )
        return Fit("line", line(base_ms)) if is_met else Fit("loose", line(LEAST_BASE_MS))
    most_ms = line(LEAST_BASE_MS)
    at_server_ms = Curve(most_ms, "").service_ns(pair.batch) / NS_PER_MS
    least_ms = LEAST_BASE_MS + (at_server_ms - LEAST_BASE_MS) / MOST_GAIN
    server_ms, is_met = _solved(
        lambda x: _p99_ms(pair, bent(x)), pair.p99_ms, least_ms, at_server_ms
    )
    kind = "bent" if pair.offline_batch > pair.batch else "server"
    return Fit(kind if is_met else "loose", bent(server_ms))


def _points(*points: tuple[int, float]) -> tuple[tuple[int, float], ...]:
    """Return them, each batch once, rounded as the file has them."""
    return tuple(sorted((size, round(ms, 5)) for size, ms in dict(points).items()))


def _p99_ms(pair: Pair, points_ms: tuple[tuple[int, float], ...]) -> float:
    curve = Curve(points_ms, "")
    # The model interpolates between the points that it is given.
    sizes = [pair.batch, *(size for size, _ in points_ms)]
    model = model_of(pair, curve, sizes)
    return model.percentile_ns(pair.candidate, pair.qps, Learnt(), FIT) / NS_PER_MS


def _solved(
    found_ms: Callable[[float], float], wanted_ms: float, low: float, high: float
) -> tuple[float, bool]:
    """Bisect to the largest value that gives at most `wanted_ms`; whether both sides were seen."""
    if found_ms(low) > wanted_ms or found_ms(high) <= wanted_ms:
        return (low if found_ms(low) > wanted_ms else high), False
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if found_ms(middle) <= wanted_ms else (low, middle)
    return low, True
