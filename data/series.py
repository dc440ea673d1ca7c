"""Made-up hourly electricity consumption: cycles of a day and a week, and noise. No real data.

For networks that forecast: what was observed for some hours, and what is known of those and of the
hours to come. Inputs, by name, P hours of the past, F of the future:

`static_categorical` [1] int64, the consumer; `known_continuous` [P + F, 3], hour of the day, day of
the week, hours from the start; `observed_continuous` [P, 1], the consumption. Continuous ones have
a mean of 0 and a deviation of 1, as NVIDIA's preparation of the real data set gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from data.dataset_schema import SyntheticData

CONSUMER, KNOWN, OBSERVED = "static_categorical", "known_continuous", "observed_continuous"
_DAY, _WORKDAYS = 24, 5
_HOURS = 2 * 365 * _DAY  # in which windows begin
_CONSUMERS = 369
_VARIABLES = 3
# Smoothness of the noise: what is left of it an hour later.
_MEMORY = 0.8
_NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Series:
    """Draws samples.

    Attributes:
        seed: of all samples.
        past: hours observed.
        steps: hours in all, with those to come.
        consumers: how many there are.
    """

    seed: int
    past: int
    steps: int
    consumers: int

    def sample(self, row: int) -> dict[str, NDArray[np.generic]]:
        """Return a sample by input; floats in float64. Pure."""
        random = np.random.default_rng((self.seed, row))
        consumer = int(random.integers(self.consumers))
        hours = int(random.integers(_HOURS)) + np.arange(self.steps)
        known = np.stack([hours % _DAY, hours // _DAY % 7, hours], axis=1).astype(float)
        # Means and deviations of all hours; those of a cycle are of 0 to n - 1, equally often.
        mean = np.array([(_DAY - 1) / 2, 3.0, _HOURS / 2])
        deviation = np.array([_DAY**2 - 1, 7**2 - 1, _HOURS**2]) ** 0.5 / 12**0.5
        return {
            CONSUMER: np.array([consumer], np.int64),
            KNOWN: (known - mean) / deviation,
            OBSERVED: self._consumption(consumer, hours[: self.past], random)[:, None],
        }

    def _consumption(
        self, consumer: int, hours: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the hours of one consumer, whose habits depend on the seed alone."""
        habits = np.random.default_rng((self.seed, 1 << 32, consumer))
        peak, second = habits.uniform(6, 22, 2)
        strength, weekend = habits.uniform(0.6, 1.2), habits.uniform(-0.8, 0.4)
        day = np.cos(2 * np.pi * (hours - peak) / _DAY)
        half_day = np.cos(4 * np.pi * (hours - second) / _DAY) / 2
        rest = np.where(
            hours // _DAY % 7 >= _WORKDAYS, weekend, -weekend * 2 / 5
        )  # mean 0 over a week
        noise = np.empty(len(hours))
        level, step = 0.0, random.standard_normal(len(hours))
        for k in range(len(hours)):
            level = _MEMORY * level + (1 - _MEMORY**2) ** 0.5 * step[k]
            noise[k] = level
        signal: NDArray[np.float64] = strength * (day + half_day) + rest + _NOISE * noise
        # The deviation of the sum: 1/2 and 1/8 are those of the cosines, squared.
        spread = strength**2 * (1 / 2 + 1 / 8) + weekend**2 * 2 / 5 + _NOISE**2
        scaled: NDArray[np.float64] = signal / spread**0.5
        return scaled


def series_of(options: SyntheticData, shapes: Mapping[str, Sequence[int]]) -> Series:
    """Return what draws samples of these inputs.

    Args:
        options: the seed, and how many consumers there are: as in the real data set, without a
            limit of its input.
        shapes: of the inputs, by name.

    Raises:
        ValueError: the inputs are not those of this data set.
    """
    expected = f"{CONSUMER} [1], {KNOWN} [P + F, {_VARIABLES}] and {OBSERVED} [P, 1]"
    found = {name: tuple(shape) for name, shape in shapes.items()}
    past, steps = ((*found.get(name, ()), 0)[0] for name in (OBSERVED, KNOWN))
    wanted = {CONSUMER: (1,), KNOWN: (steps, _VARIABLES), OBSERVED: (past, 1)}
    if found != wanted or not 0 < past < steps:
        shown = ", ".join(f"{name} {list(shape)}" for name, shape in found.items())
        raise ValueError(f"electricity has the inputs {expected}; found {shown}")
    return Series(options.seed, past, steps, options.below.get(CONSUMER, _CONSUMERS))
