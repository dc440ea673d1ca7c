"""How much memory some processes need for a batch: a model fitted to three points or more. Pure.

    mem(p, b) = p * (context + weights + activations * b + 2 * io * b)

and never less than the engines take while they open: a model that is loaded is in memory twice.
Points that show only that tell nothing of the batch, and are left out.

The form is that of studies of concurrent inference on small GPUs; inputs and outputs count twice,
because one batch is filled while another runs. Sizes of weights, inputs and outputs are known, and
the other two are fitted: relative errors are made small, so that small points count as much as
large ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_POINTS = 3
_UNKNOWNS = 2
# Twice the model's error, and at least this share, lie between what is refused and the limit.
_CERTAIN = 0.05
# A point this close to what opening takes shows nothing else.
_FLOOR = 1.005
# A model that meets its own points better than this still meets no other one so well: allocators
# round up.
_LEAST_ERROR = 0.02


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """What was measured.

    Attributes:
        processes: each with an engine of its own.
        batch: samples.
        bytes: the peak of all processes together.
    """

    processes: int
    batch: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MemorySizes:
    """What is known without a fit, in bytes.

    Attributes:
        weights: of the model.
        io: inputs and outputs of one sample.
        opening: the peak of one process while its engine opens.
    """

    weights: int = 0
    io: int = 0
    opening: int = 0


@dataclass(frozen=True, slots=True)
class MemoryModel:
    """A fitted model.

    Attributes:
        sizes: what is known.
        context_bytes: of a process with an open engine, without weights.
        activation_bytes: of a sample of a batch, between input and output. Negative where the
            engine needs its inputs and outputs only once.
        error: the largest relative error of a point predicted from the other points.
        points: what it was fitted to.
    """

    sizes: MemorySizes
    context_bytes: float
    activation_bytes: float
    error: float
    points: tuple[MemoryPoint, ...]

    @property
    def sample_bytes(self) -> float:
        """What one more sample of a batch takes in one process."""
        return self.activation_bytes + 2 * self.sizes.io

    def predict(self, processes: int, batch: int) -> float:
        """Return the bytes that so many processes need for batches of that size."""
        running = self.context_bytes + self.sizes.weights + self.sample_bytes * batch
        return processes * max(running, self.sizes.opening)

    def largest_batch(self, processes: int, limit_bytes: float) -> int | None:
        """Return the largest batch that should fit; 0: none; None: memory bounds no batch."""
        if self.predict(processes, 1) > limit_bytes:
            return 0
        if self.sample_bytes <= 0 or math.isinf(limit_bytes):
            return None
        constant = self.context_bytes + self.sizes.weights
        return math.floor((limit_bytes / processes - constant) / self.sample_bytes)

    def refusal(self, processes: int, batch: int, limit_bytes: float) -> str | None:
        """Return why a point is known to fail, far beyond the model's error; None: it may fit."""
        needs = self.predict(processes, batch)
        if needs * (1 - max(_CERTAIN, 2 * self.error)) <= limit_bytes:
            return None
        several = "es" if processes > 1 else ""
        return (
            f"{processes} process{several} with batches of {batch} need "
            f"{needs / 1e6:,.1f} MB (predicted from {len(self.points)} points, within "
            f"{self.error:.1%}), and {limit_bytes / 1e6:,.1f} MB are there. --force tries it "
            "nonetheless."
        )


def fit_memory(points: Sequence[MemoryPoint], sizes: MemorySizes) -> MemoryModel:
    """Fit the model.

    Raises:
        ConfigError: fewer than three points tell anything, or all of them have one batch size.
    """
    known = telling(points, sizes)
    if not can_fit(known, sizes):
        raise ConfigError(
            f"a model of memory from {len(known)} points with "
            f"{len({point.batch for point in known})} batch sizes; expected {LEAST_POINTS} points "
            "or more with at least two. Measure others too."
        )
    made = _fitted(known, sizes)
    errors = [_error(_fitted(others, sizes), left_out) for left_out, others in _left_out(known)]
    return replace(made, error=max([*errors, *(_error(made, point) for point in known)]))


def telling(points: Sequence[MemoryPoint], sizes: MemorySizes) -> tuple[MemoryPoint, ...]:
    """Return the points, each once, that need more than the engines take while they open."""
    return tuple(
        point
        for point in dict.fromkeys(points)
        if point.bytes > _FLOOR * point.processes * sizes.opening
    )


def can_fit(points: Sequence[MemoryPoint], sizes: MemorySizes) -> bool:
    """Return whether there are points enough for a model."""
    known = telling(points, sizes)
    return len(known) >= LEAST_POINTS and len({point.batch for point in known}) >= _UNKNOWNS


def _left_out(
    points: Sequence[MemoryPoint],
) -> list[tuple[MemoryPoint, tuple[MemoryPoint, ...]]]:
    """Return each point with the others, where these are enough for a fit."""
    pairs = [(point, tuple(one for one in points if one != point)) for point in points]
    return [pair for pair in pairs if len({other.batch for other in pair[1]}) >= _UNKNOWNS]


def _fitted(points: Sequence[MemoryPoint], sizes: MemorySizes) -> MemoryModel:
    processes, batches, taken = (
        np.array([getattr(point, name) for point in points], np.float64)
        for name in ("processes", "batch", "bytes")
    )
    known = processes * (sizes.weights + 2.0 * sizes.io * batches)
    columns = np.stack([processes, processes * batches], axis=1) / taken[:, None]
    context, activations = np.linalg.lstsq(columns, (taken - known) / taken, rcond=None)[0]
    return MemoryModel(sizes, float(context), float(activations), _LEAST_ERROR, tuple(points))


def _error(model: MemoryModel, point: MemoryPoint) -> float:
    needs = model.predict(point.processes, point.batch)
    return max(_LEAST_ERROR, abs(needs / point.bytes - 1))
