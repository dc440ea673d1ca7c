"""Axes: round ticks, and places in order."""

from __future__ import annotations

import pytest

from sut.report.scales import Scale, axis, number


@pytest.mark.parametrize(
    ("values", "kind", "ticks"),
    [
        ((0.0, 13_054.0), "linear", (0, 5_000, 10_000, 15_000)),
        ((0.0, 7.0), "linear", (0, 2, 4, 6, 8)),
        ((1.0, 1024.0), "log", (1, 4, 16, 64, 256, 1024)),
        ((2.5, 79.2), "log", (5, 10, 20, 50)),
        ((0.0, 0.9995), "nines", (0.0, 0.5, 0.9, 0.99, 0.999)),
    ],
)
def test_ticks_are_round(values: tuple[float, ...], kind: Scale, ticks: tuple[float, ...]) -> None:
    assert axis(values, kind, (0, 100)).ticks == pytest.approx(ticks)


@pytest.mark.parametrize("kind", ["linear", "log", "nines"])
def test_a_higher_value_lies_further_and_none_lies_outside(kind: Scale) -> None:
    found = axis([0.1, 0.5, 0.99], kind, (50, 450))

    places = [found(value) for value in (0.1, 0.5, 0.99)]
    assert places == sorted(places)
    assert len(set(places)) == 3
    assert found(1e9) == pytest.approx(450)
    assert found(-1e9) == pytest.approx(50)


@pytest.mark.parametrize("kind", ["linear", "log", "nines"])
def test_a_single_value_has_a_place(kind: Scale) -> None:
    assert 0 <= axis([0.0], kind, (0, 100))(0.0) <= 100


def test_large_ticks_are_short() -> None:
    shown = [number(value) for value in (0.5, 1024.0, 20_000.0, 1_500_000.0)]

    assert shown == ["0.5", "1024", "20k", "1.5M"]
