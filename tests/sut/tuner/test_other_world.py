"""The tuner against a system that is not its own model, so that a wrong model would be noticed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from sut.tuner import server
from sut.tuner.job import Bound, Candidate, Job, Space
from sut.tuner.messages import Trial, drive
from tests.sut.tuner.other_world import MS, OtherWorld, delay_us

if TYPE_CHECKING:
    from sut.tuner.messages import Answer

BATCHES = (6, 12, 18)
SECONDS = 6.0
SEEDS = (1_000, 2_000, 4_000)


@dataclass(frozen=True)
class Found:
    """What tuning a world came to.

    Attributes:
        world: that was tuned.
        answer: the claim.
        qps: its rate.
        confidence: as stated.
        held: share of later runs at that rate that were VALID.
    """

    world: OtherWorld
    answer: Answer
    qps: float
    confidence: float
    held: float


def tune(world: OtherWorld) -> Found:
    job = Job(
        "Server",
        (Bound("p99", world.bound_ms * MS, 0.99),),
        Space(workers=("thread",), batches=BATCHES, slots=(2,)),
        probe_s=SECONDS / 2,
        confirm_s=SECONDS,
    )
    answer = drive(server.search(job, {}, lambda _: None), world)
    assert answer.is_valid
    assert answer.target_qps is not None
    assert answer.confidence is not None
    held = share_valid(world, answer.candidate, answer.target_qps, 12)
    return Found(world, answer, answer.target_qps, answer.confidence, held)


def share_valid(world: OtherWorld, candidate: Candidate, qps: float, runs: int) -> float:
    trial = Trial("confirm", candidate, SECONDS, qps)
    return sum(world.run(trial).valid for _ in range(runs)) / runs


def best_rate(world: OtherWorld, delays_us: tuple[int, ...]) -> float:
    """Return the highest rate that is VALID in most runs, of every batch and delay: brute force."""
    best = 0.0
    for batch in BATCHES:
        for waited_us in delays_us:
            candidate = Candidate(batch, waited_us, 2, "thread")
            if best and share_valid(world, candidate, best * 1.01, 3) <= 0.5:
                continue
            low, high = best, 1e3 * world.devices * batch / world.batch_ms(batch)
            while high - low > 0.01 * high:
                middle = (low + high) / 2
                is_valid = share_valid(world, candidate, middle, 3) > 0.5
                low, high = (middle, high) if is_valid else (low, middle)
            best = max(best, low)
    return best


@pytest.fixture(scope="module")
def usual() -> list[Found]:
    return [tune(OtherWorld(seed=seed)) for seed in SEEDS]


@pytest.mark.slow
def test_the_rate_claimed_holds_about_as_often_as_is_promised(usual: list[Found]) -> None:
    assert fmean(found.confidence for found in usual) > 0.9
    assert fmean(found.held for found in usual) > fmean(f.confidence for f in usual) - 0.15


@pytest.mark.slow
def test_the_rate_claimed_is_near_the_best_of_brute_force(usual: list[Found]) -> None:
    found = usual[0]

    best = best_rate(found.world, (0, delay_us(found.answer.candidate)))

    assert 0.94 * best <= found.qps <= 1.02 * best


@pytest.mark.slow
def test_what_the_model_does_not_know_shows_in_the_runs_and_lowers_the_rate(
    usual: list[Found],
) -> None:
    """Hops that no trace tells of, and stalls every few seconds, of which short runs meet few."""
    rough = [tune(OtherWorld(hop_ms=20.0, stalls=0.3, stall_ms=60.0, seed=s)) for s in SEEDS[1:]]

    assert max(found.qps for found in rough) < min(found.qps for found in usual)
    assert fmean(found.held for found in rough) > 0.5


@pytest.mark.slow
def test_measured_batch_times_that_promise_too_much_are_found_out(usual: list[Found]) -> None:
    found = tune(OtherWorld(promise=0.8))

    assert found.qps < 1.02 * max(f.qps for f in usual)
    assert found.held > 0.7
