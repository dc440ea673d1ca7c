"""The intervals of `sut compare` on made runs: they hold, and find what was planted.

A made run has a warm-up, an effect of its own, and noise whose parts resemble their neighbours. The
seed is fixed, so these tests give the same every time.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

from sut.report.compare_statistics import Interval, Series, ratios, t_quantile

PLANTED = 1 / 1.05  # 5 % slower
PAIRS = 200
WINDOWS, STEPS = 16, 12  # of a run, and of a window


@dataclass(frozen=True)
class Machine:
    """How far runs of one setting differ.

    Attributes:
        between: deviation of a run as a whole.
        within: deviation of the rate within a run.
        memory: for what share of a run its noise resembles itself.
    """

    between: float
    within: float
    memory: float


QUIET = Machine(between=0.002, within=0.005, memory=0.02)
USUAL = Machine(between=0.005, within=0.01, memory=0.05)
WANDERING = Machine(between=0.005, within=0.01, memory=0.3)
RESTLESS = Machine(between=0.02, within=0.03, memory=0.1)


def runs(machine: Machine, count: int, seed: int) -> list[Series]:
    """Make runs of 1,000 samples/s; noise within a run is an Ornstein-Uhlenbeck process."""
    random = np.random.default_rng(seed)
    steps = WINDOWS * STEPS
    keeps = math.exp(-1 / (machine.memory * steps))
    noise = np.empty((count, steps))
    noise[:, 0] = random.normal(0, machine.within, count)
    for k in range(1, steps):
        fresh = random.normal(0, machine.within * math.sqrt(1 - keeps**2), count)
        noise[:, k] = keeps * noise[:, k - 1] + fresh
    warm_up = 1 - 0.2 * np.exp(-np.arange(steps) / STEPS)
    whole = random.normal(0, machine.between, (count, 1))
    rates = (1000 * np.exp(whole + noise) * warm_up).reshape(count, WINDOWS, STEPS).mean(axis=2)
    return [Series(float(rate.mean()), tuple(rate.tolist())) for rate in rates]


def slower(run: Series, by: float = PLANTED) -> Series:
    return Series(run.value * by, tuple(window * by for window in run.windows))


def pairs(machine: Machine, repeats: int, seed: int = 1) -> list[tuple[Interval, Interval]]:
    """Compare equal sides, and the same with B slower: one cell each."""
    made = runs(machine, 2 * repeats * PAIRS, seed)
    found = []
    for k in range(0, len(made), 2 * repeats):
        a, b = made[k : k + repeats], made[k + repeats : k + 2 * repeats]
        equal, planted = (ratios([a], [side]) for side in (b, [slower(run) for run in b]))
        found.append((equal.mean.interval(), planted.mean.interval()))
    return found


@pytest.mark.parametrize(
    ("machine", "repeats"),
    [(QUIET, 1), (USUAL, 1), (WANDERING, 1), (QUIET, 3), (USUAL, 3), (WANDERING, 3), (RESTLESS, 3)],
    ids=str,
)
def test_equal_runs_are_not_told_apart_in_19_of_20(machine: Machine, repeats: int) -> None:
    claimed = sum(equal.excludes_one for equal, _ in pairs(machine, repeats))

    # 19 of 20 would be 10; an exact interval exceeds 17 of 200 once in a hundred.
    assert claimed <= 17


@pytest.mark.parametrize(
    ("machine", "repeats"),
    [(QUIET, 1), (USUAL, 1), (WANDERING, 1), (QUIET, 3), (USUAL, 3)],
    ids=str,
)
def test_a_planted_slowdown_of_5_percent_is_found_with_its_interval(
    machine: Machine, repeats: int
) -> None:
    planted = [planted for _, planted in pairs(machine, repeats)]

    assert sum(one.high < 1 for one in planted) >= 0.9 * PAIRS
    assert sum(one.low <= PLANTED <= one.high for one in planted) >= PAIRS - 17


def test_more_repeats_find_less() -> None:
    width = [
        np.median([equal.high - equal.low for equal, _ in pairs(USUAL, repeats)])
        for repeats in (2, 3, 5)
    ]

    assert width[0] > width[1] > width[2]


def test_what_both_runs_have_in_common_is_no_noise() -> None:
    ramp = tuple(np.linspace(500, 1500, 16))

    (cell,) = ratios([[Series(1000, ramp)]], [[slower(Series(1000, ramp))]]).cells

    assert cell.interval().high == pytest.approx(
        PLANTED * math.exp(1.96 * math.sqrt(2) * 0.005), 1e-3
    )


def test_without_windows_a_larger_difference_between_runs_is_assumed() -> None:
    known, unknown = (
        ratios([[Series(1000, windows)]], [[Series(1000, windows)]])
        for windows in ((1000.0,) * 16, ())
    )

    assert unknown.cells[0].variance == pytest.approx(36 * known.cells[0].variance)
    assert (known.spread.source, unknown.spread.source) == ("windows", "assumed")


def test_the_assumption_may_be_given() -> None:
    (cell,) = ratios([[Series(1000)]], [[Series(1000)]], assumed=0.1).cells

    assert cell.variance == pytest.approx(2 * 0.1**2)


# --- sweeps


CELLS = 12


def sweep(machine: Machine, seed: int, ratio: float = 1.0) -> list[list[Series]]:
    """Make a run for each of some cells; the rate grows along the axis."""
    return [[slower(run, ratio * 2**k)] for k, run in enumerate(runs(machine, CELLS, seed))]


def test_equal_sweeps_are_not_told_apart_by_their_mean_nor_by_a_cell() -> None:
    found = [ratios(sweep(USUAL, seed), sweep(USUAL, seed + 1000)) for seed in range(100)]

    assert sum(one.mean.interval().excludes_one for one in found) <= 11
    apart = [any(c.interval(CELLS).excludes_one for c in one.cells) for one in found]
    assert sum(apart) <= 11


def test_a_slower_sweep_is_found_by_its_mean() -> None:
    found = [ratios(sweep(USUAL, seed), sweep(USUAL, seed + 1000, PLANTED)) for seed in range(50)]

    assert all(one.mean.interval().high < 1 for one in found)


def test_two_cells_that_really_differ_do_not_blur_their_mean() -> None:
    a = [[Series(1000)], [Series(1000)]]
    b = [[Series(1200)], [Series(900)]]

    interval = ratios(a, b).mean.interval()

    assert interval.high / interval.ratio < 1.1


def test_one_slower_cell_is_found_among_others() -> None:
    a, b = sweep(QUIET, 1), sweep(QUIET, 2)
    b[5] = [slower(b[5][0], 0.9)]

    apart = [k for k, c in enumerate(ratios(a, b).cells) if c.interval(CELLS).excludes_one]

    assert apart == [5]


def test_cells_that_jump_from_their_neighbours_are_doubtful_though_their_windows_are_calm() -> None:
    a = [[Series(1000, (1000.0,) * 16)] for _ in range(CELLS)]
    b = [[slower(cell[0], 1 + 0.06 * (-1) ** k)] for k, cell in enumerate(a)]

    found = ratios(a, b)

    assert found.spread.source == "neighbours"
    assert not any(cell.interval(CELLS).excludes_one for cell in found.cells)


def test_a_ratio_that_changes_along_an_axis_is_no_jump() -> None:
    a = [[Series(1000, (1000.0,) * 16)] for _ in range(CELLS)]
    b = [[slower(cell[0], 0.8 + 0.002 * k)] for k, cell in enumerate(a)]

    found = ratios(a, b)

    assert found.spread.source == "windows"
    assert all(cell.interval(CELLS).high < 1 for cell in found.cells)


def test_repeats_of_a_sweep_count_as_runs_not_as_cells() -> None:
    # Each run is as a whole faster or slower; within a run, cells agree perfectly.
    a = [[Series(rate) for rate in (1000, 1040, 980)] for _ in range(CELLS)]
    b = [[Series(rate) for rate in (1030, 970, 1010)] for _ in range(CELLS)]

    found = ratios(a, b)

    assert found.mean.freedom == 4
    assert not found.mean.interval().excludes_one


def test_absurd_figures_are_no_crash() -> None:
    sides = [[Series(1e-300), Series(1e300)]], [[Series(1e300), Series(1e-300)]]

    assert ratios(*sides).mean.interval().high > 1e300


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 7, 2.3646), (0.9995, 3, 12.9240),
     (0.995, 30, 2.7500), (0.975, math.inf, 1.9600)],
)  # fmt: skip
def test_quantiles_of_students_t(probability: float, freedom: float, quantile: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(quantile, rel=1e-4)


def test_fewer_windows_are_less_certain() -> None:
    widths = []
    for count in (16, 4):
        noisy = tuple(itertools.islice(itertools.cycle((990.0, 1010.0)), count))
        (cell,) = ratios([[Series(1000, noisy)]], [[Series(1000, noisy[::-1])]]).cells
        widths.append(cell.interval().high)

    assert widths[0] < widths[1]
