"""Where values lie on an axis, and its round ticks.

Knows only numbers. An axis is linear, logarithmic, or in nines: 0, 0.9, 0.99, 0.999 lie at equal
distances, as one looks at the tail of a distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Scale = Literal["linear", "log", "nines"]

_TICKS = 6
_NINES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
_MOST_NINES = 1e-7  # 1 itself has no place
_MARGIN = 0.04  # of a logarithmic axis, on both sides
_THOUSANDS, _MILLIONS = 10_000, 1_000_000  # from here on ticks are 10k, 1M
_HARDLY = 1e-9


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis in the picture.

    Attributes:
        kind: of scale.
        low: transformed value at `start`.
        high: transformed value at `end`.
        start: place of its beginning.
        end: place of its end.
        ticks: values, ascending.
    """

    kind: Scale
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """Return the place of a value; beyond the ends of the axis, that of the nearer end."""
        share = (_transformed(value, self.kind, self.low) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def axis(
    values: Sequence[float], kind: Scale, ends: tuple[float, float], *, from_zero: bool = False
) -> Axis:
    """Return an axis that holds all values.

    Args:
        values: at least one; on a logarithmic axis those up to 0 lie at its beginning.
        kind: of scale.
        ends: places of its beginning and its end.
        from_zero: a linear axis begins at 0.
    """
    start, end = ends
    if kind == "nines":
        last = max(_transformed(value, kind, 0.0) for value in values)
        ticks = tuple(t for t in _NINES if _transformed(t, kind, 0.0) <= last + _HARDLY)
        return Axis(kind, 0.0, max(last, _HARDLY), start, end, ticks)
    if kind == "log" and (positive := [value for value in values if value > 0]):
        low, high = math.log(min(positive)), math.log(max(positive))
        margin = (high - low) * _MARGIN or 0.5
        found = _powers_of_two(positive) or _round_logarithmic(math.exp(low), math.exp(high))
        return Axis("log", low - margin, high + margin, start, end, tuple(found))
    least, most = min(values), max(values)
    if from_zero:
        least, most = min(least, 0.0), max(most, 0.0)
    if least == most:
        least, most = (0.0, 2 * most) if most > 0 else (most - 1, most + 1)
    step = _step(least, most)
    first, last_step = math.floor(least / step + _HARDLY), math.ceil(most / step - _HARDLY)
    found = [k * step for k in range(first, last_step + 1)]
    return Axis("linear", found[0], found[-1], start, end, tuple(found))


def number(value: float) -> str:
    """Return the text of a tick: 0.5, 1024, 20k, 1.5M."""
    if abs(value) >= _MILLIONS:
        return f"{value / _MILLIONS:.4g}M"
    return f"{value / 1e3:.4g}k" if abs(value) >= _THOUSANDS else f"{value:.4g}"


def percent(value: float) -> str:
    """Return a share in percent, without the sign: 50, 99.9."""
    return f"{100 * value:.8g}"


def thinned(ticks: Sequence[str], most: int) -> list[int]:
    """Return which of equally spaced labels to write so that at most so many are written."""
    return list(range(0, len(ticks), max(1, -(-len(ticks) // most))))


def _transformed(value: float, kind: Scale, lowest: float) -> float:
    if kind == "nines":
        return -math.log10(max(1.0 - value, _MOST_NINES))
    if kind == "log":
        return math.log(value) if value > 0 else lowest
    return value


def _step(least: float, most: float) -> float:
    """Return the round distance between ticks: 1, 2 or 5 times a power of ten."""
    rough = (most - least) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * k for k in (1, 2, 5, 10) if size * k >= rough * (1 - _HARDLY))


def _powers_of_two(values: Sequence[float]) -> list[float]:
    """Return ticks for values that are all powers of two; nothing for others."""
    powers = [math.log2(value) for value in values]
    if any(power != round(power) for power in powers) or min(powers) < 0:
        return []
    first, last = round(min(powers)), round(max(powers))
    step = max(1, -(-(last - first + 1) // _TICKS))
    return [2.0**k for k in range(first, last + 1, step)]


def _round_logarithmic(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 times powers of ten within the range; fewer of them if there are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    within: list[float] = []
    for factors in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [f * 10.0**d for d in decades for f in factors]
        within = [t for t in found if low * 0.98 <= t <= high * 1.02]
        if len(within) <= _TICKS + 1:
            return within
    return within[:: -(-len(within) // _TICKS)]
