"""The points of a sweep: values of every axis, and all their combinations. Pure."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.record.table import Value

MOST_POINTS = 10_000
EXAMPLE = "8, 1,2,4, 8:256:8 (START:END:STEP) or 1:1024:x2 (START:END:xFACTOR)"
_RANGE_PARTS = 3


def integers(option: str, text: str) -> list[int]:
    """Return the whole numbers of a list or a range.

    Raises:
        ConfigError: it is no such text, or a value is not a whole number from 1.
    """
    found = numbers(option, text)
    for value in found:
        if value != int(value) or value < 1:
            raise ConfigError(f"{option} {text}: {value:g} is no whole number from 1.")
    return list(dict.fromkeys(int(value) for value in found))


def numbers(option: str, text: str) -> list[float]:
    """Return the values of a list or a range, each above 0.

    A range goes up to its end and no further: 1:1024:x2 ends with 1024, 8:250:8 with 248.

    Raises:
        ConfigError: it is no such text.
    """
    found: list[float] = []
    for part in text.split(","):
        values = part.split(":")
        if len(values) == 1:
            found.append(_number(option, text, part))
        elif len(values) == _RANGE_PARTS:
            found += _range(option, text, values)
        else:
            raise ConfigError(f'{option} {text}: "{part}"; expected {EXAMPLE}.')
    return found


def combinations(axes: Mapping[str, Sequence[Value]]) -> list[dict[str, Value]]:
    """Return every combination; the last axis changes fastest.

    Raises:
        ConfigError: there are too many.
    """
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_POINTS:
        raise ConfigError(
            f"{count:,} points ({' x '.join(f'{len(v)} {a}' for a, v in axes.items())}); expected "
            f"at most {MOST_POINTS:,}. Sweep fewer values at once."
        )
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _range(option: str, text: str, values: Sequence[str]) -> list[float]:
    start, end = (_number(option, text, value) for value in values[:2])
    by_factor = values[2].startswith("x")
    step = _number(option, text, values[2].removeprefix("x"))
    if end < start or (by_factor and step <= 1):
        what = "a factor above 1" if by_factor and step <= 1 else "an end from the start on"
        raise ConfigError(f"{option} {text}: expected {what}, as in {EXAMPLE}.")
    most = math.log(end / start) / math.log(step) if by_factor else (end - start) / step
    if most >= MOST_POINTS:
        raise ConfigError(f"{option} {text}: {most:,.0f} values; expected at most {MOST_POINTS:,}.")
    # A little more, so that an end that rounding misses is reached.
    count = math.floor(most + 1e-9) + 1
    return [_neat(start * step**k if by_factor else start + step * k) for k in range(count)]


def _number(option: str, text: str, part: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f'{option} {text}: "{part}"; expected numbers above 0: {EXAMPLE}.')
    return value


def _neat(value: float) -> float:
    return float(f"{value:.12g}")
