"""S(b) of one worker during a run: primed by warm-up, kept up to date by every batch. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from backends.ladder import filled, fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Weight of the newest measurement in the running mean of S(b).
SERVICE_WEIGHT = 1 / 8


class ServiceCurve:
    """S(b) of one worker: the service time of a batch of b samples in ns, updated during the run.

    A batch takes the time of the engine's next size up. Sizes without a measurement are
    interpolated between their neighbours, and proportional to the size beyond the largest.
    """

    __slots__ = ("_full", "_measured", "_predicted", "_run")

    def __init__(self, max_batch_size: int) -> None:
        self._measured: dict[int, float] = {}
        self._predicted = [0.0] * (max_batch_size + 1)
        self._run = list(range(max_batch_size + 1))  # the size that a batch really runs at
        self._full = self._run  # the largest size of the engine that it fills

    def prime(self, measured_ns: Mapping[int, float], sizes: Sequence[int] = ()) -> None:
        """Start with these times by batch size, from warm-up.

        Args:
            measured_ns: the times.
            sizes: the engine's ladder; empty: it runs every size.
        """
        if sizes:
            counts = range(len(self._run))
            self._run = [fitting(sizes, count) if count <= sizes[-1] else count for count in counts]
            self._full = [filled(sizes, count) for count in counts]
        run = self._run
        self._measured = {run[size]: ns for size, ns in measured_ns.items() if size < len(run)}
        self._interpolate()

    def predict_ns(self, samples: int) -> float:
        """Return the predicted time of a batch of `samples`; 0.0 before any measurement."""
        return self._predicted[self._run[samples]]

    def best_part(self, samples: int) -> int:
        """Return how many of `samples` to run now, if the others may wait.

        Less than all if a full size of the engine runs them at a higher rate than the next size up,
        which would be padded.
        """
        full, run = self._full[samples], self._run[samples]
        if full in {0, samples}:
            return samples
        full_ns, padded_ns = self._predicted[full], self._predicted[run]
        return full if full * padded_ns > samples * full_ns else samples

    def observe(self, samples: int, service_ns: float) -> None:
        """Update S(b) with the measured time of one batch."""
        samples = self._run[samples]
        known = self._measured.get(samples)
        if known is None:
            self._measured[samples] = service_ns
            self._interpolate()
            return
        known += (service_ns - known) * SERVICE_WEIGHT
        self._measured[samples] = known
        self._predicted[samples] = known

    def _interpolate(self) -> None:
        """Interpolate every size in one pass, because LoadGen waits meanwhile."""
        points = sorted(self._measured.items())
        if not points:
            return
        predicted = self._predicted
        first, first_ns = points[0]
        for size in range(1, first):
            predicted[size] = first_ns
        for (low, low_ns), (high, high_ns) in pairwise(points):
            for size in range(low, high):
                share = (size - low) / (high - low)
                predicted[size] = low_ns + share * (high_ns - low_ns)
        last, last_ns = points[-1]
        predicted[last] = last_ns
        for size in range(last + 1, len(predicted)):
            predicted[size] = last_ns * size / last
