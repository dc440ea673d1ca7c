"""The wide search: many kinds of engine, of which a few are measured."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from backends.simulated.curve import formula
from sut.base.errors import ConfigError
from sut.tuner import optuna_search
from sut.tuner.job import Space, Variant
from sut.tuner.messages import Measure, drive
from tests.sut.tuner.conftest import make_job, make_world

if TYPE_CHECKING:
    from sut.tuner.messages import Ask, Reply
    from tests.sut.tuner.world import World

HAS_OPTUNA = find_spec("optuna") is not None
needs_optuna = pytest.mark.skipif(not HAS_OPTUNA, reason="the package optuna is not installed")

THREADS, GRAPHS, LAYOUTS = (1, 2, 4, 8), (False, True), ("a", "b", "c")
VARIANTS = tuple(
    Variant(1, (("threads", t), ("graphs", g), ("layout", layout)))
    for t in THREADS
    for g in GRAPHS
    for layout in LAYOUTS
)
# Milliseconds of a batch of b: 20 + 8 b, times what a variant's options make of it.
FACTORS = {"threads": {1: 1.6, 2: 1.3, 4: 1.0, 8: 1.2}, "graphs": {False: 1.15, True: 1.0},
           "layout": {"a": 1.1, "b": 1.0, "c": 1.3}}  # fmt: skip


class Lab:
    """A world for every variant."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []

    def __call__(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        variant = ask.variant if isinstance(ask, Measure) else ask.candidate.variant
        return world_of(variant)(ask)


def slowness(variant: Variant) -> float:
    found = 1.0
    for key, value in variant.options:
        found *= FACTORS[key][value]  # type: ignore[index]  # options of this test
    return found


def world_of(variant: Variant) -> World:
    factor = slowness(variant)
    return replace(make_world(), curves=[formula(20.0 * factor, 8.0 * factor)] * 2)


@needs_optuna
@pytest.mark.slow
def test_a_good_variant_is_found_and_not_all_are_measured() -> None:
    job = make_job(
        space=Space(variants=VARIANTS, workers=("process",), batches=(2, 6, 12, 18)),
        confirm_runs=1,
    )
    lab = Lab()

    answer = drive(optuna_search.search(job, {}, lambda _: None), lab)

    assert answer.is_valid
    assert slowness(answer.candidate.variant) <= 1.1
    measured = [ask.variant for ask in lab.asked if isinstance(ask, Measure)]
    assert len(measured) == len(set(measured))
    assert len(measured) < len(VARIANTS)


@needs_optuna
@pytest.mark.slow
def test_the_same_answers_lead_to_the_same_questions() -> None:
    job = make_job(
        space=Space(variants=VARIANTS[:4], workers=("process",), batches=(6, 12)), confirm_runs=1
    )
    first, second = Lab(), Lab()

    drive(optuna_search.search(job, {}, lambda _: None), first)
    drive(optuna_search.search(job, {}, lambda _: None), second)

    assert first.asked == second.asked


@pytest.mark.skipif(HAS_OPTUNA, reason="the package optuna is installed")
def test_without_the_package_it_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="pip install optuna"):
        drive(optuna_search.search(make_job(), {}, lambda _: None), Lab())
