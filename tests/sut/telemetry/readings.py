"""Readings written by hand, for the tests of what they come to."""

from __future__ import annotations

from sut.record.trace import Window
from sut.telemetry.meter import Reading

S = 1_000_000_000
WINDOW = Window(10 * S, 20 * S)


def reading(at_s: float, **values: float) -> Reading:
    """Return a reading at a time in s that took 1 ms."""
    return Reading(int(at_s * S), 1_000_000, **values)  # type: ignore[arg-type]  # by name
