"""The search for Server, with the model of the queue as the system under test."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backends.simulated.curve import formula
from backends.simulated.jitter import Jitter
from sut.config import constraints
from sut.serve.service_times import Measured, Point
from sut.tuner import bruteforce, server
from sut.tuner.asking import Unreachable
from sut.tuner.job import Bound, Space, Variant
from sut.tuner.learning import Lessons
from sut.tuner.learnt import Learnt
from sut.tuner.messages import Measure, Trial, drive
from sut.tuner.model import QUICK, Model
from sut.tuner.space import with_batch
from tests.sut.tuner.conftest import (
    BOUND_NS,
    CURVE,
    MS,
    Found,
    find,
    make_job,
    make_world,
    model_of,
)
from tests.sut.tuner.world import World

if TYPE_CHECKING:
    from sut.tuner.job import Job
    from sut.tuner.messages import Ask, Reply

BATCHES = (1, 4, 8, 12, 16, 20)


def trials(world: World, purpose: str) -> list[Trial]:
    return [a for a in world.asked if isinstance(a, Trial) and a.purpose == purpose]


def test_the_setting_found_is_valid_in_every_confirmation_run(found: Found) -> None:
    answer = found.answer

    assert answer.is_valid
    assert len(answer.confirmed) == found.job.confirm_runs
    assert all(run.latency_ns["p99"] <= BOUND_NS for run in answer.confirmed)
    assert answer.confidence is not None
    assert answer.confidence > 0.8


@pytest.mark.slow
def test_the_rate_found_is_near_the_best_of_every_batch_size(found: Found) -> None:
    """The truth: for every batch, the highest rate whose verdict in this very world is VALID."""
    world, qps = found.world, found.answer.target_qps
    assert qps is not None
    model = model_of(world, found.job)

    def is_valid(batch: int, rate: float) -> bool:
        variant = found.answer.candidate.variant
        candidate = replace(
            with_batch(found.job, model, variant, batch), workers=found.answer.candidate.workers
        )
        return world.run(Trial("search", candidate, found.job.confirm_s, rate)).valid

    better = [b for b in range(2, 34, 4) if is_valid(b, qps * 1.05)]

    assert not better


def test_few_short_runs_come_before_the_confirmation(found: Found) -> None:
    probes = trials(found.world, "probe")

    assert 1 <= len(probes) <= 8
    assert all(probe.seconds == found.job.probe_s for probe in probes)
    assert all(run.seconds == found.job.confirm_s for run in trials(found.world, "confirm"))


def test_it_closes_late_or_waits_for_longer_than_a_batch_fills_in(found: Found) -> None:
    answer = found.answer
    assert answer.target_qps is not None

    delay_us = answer.candidate.max_queue_delay_us
    fill_us = answer.candidate.max_batch_size / answer.target_qps * 1e6
    assert delay_us == "late" or delay_us >= fill_us


def test_a_batch_that_never_fills_is_predicted_worse(found: Found) -> None:
    best = found.answer.predictions[0].candidate
    at_once = [
        p
        for p in found.answer.predictions
        if p.candidate.max_batch_size == best.max_batch_size and p.candidate.max_queue_delay_us == 0
    ]

    assert at_once
    assert at_once[0].qps < 0.97 * found.answer.predictions[0].qps


def test_the_kind_of_worker_with_the_longer_hops_loses() -> None:
    world = make_world(thread_penalty=60.0)
    job = make_job(space=Space(workers=("thread", "process"), batches=(12,)), confirm_runs=1)

    answer = find(world, job).answer

    assert answer.candidate.workers == "process"


def test_why_is_said_in_words(found: Found) -> None:
    text = " ".join(found.answer.notes)

    assert "The best is clear" in text
    assert "1 % more load raises it by" in text
    assert "confidence of" in text


def test_jitter_and_outliers_leave_a_setting_that_holds() -> None:
    """10 % jitter, and 1 % of the batches five times as long."""
    world = make_world(jitter=Jitter("lognormal", 0.1, 0.01, 5.0))
    job = make_job(space=Space(workers=("process",), batches=(2, 12)))

    answer = find(world, job).answer

    assert answer.is_valid
    again = [
        world.run(Trial("confirm", answer.candidate, job.confirm_s, answer.target_qps)).valid
        for _ in range(3)
    ]
    assert all(again)


def test_a_machine_that_wanders_leaves_settings_that_hold() -> None:
    """Others share it: one run is slower by a fifth than another, and few runs show by how much."""
    held = []
    for seed in range(100, 103):
        world = make_world(drift=0.1, seed=seed)
        job = make_job(space=Space(workers=("process",), batches=(12,)))
        answer = find(world, job).answer
        assert answer.is_valid
        assert len(trials(world, "confirm")) <= 8
        trial = Trial("confirm", answer.candidate, job.confirm_s, answer.target_qps)
        held += [world.run(trial).valid for _ in range(15)]

    assert sum(held) / len(held) > 0.65


def test_a_bound_that_no_batch_meets_is_one_clear_line() -> None:
    job = replace(make_job(), bounds=(Bound("p99", 9 * MS, 0.99),))

    with pytest.raises(Unreachable, match="takes 14 ms"):
        find(World([formula(10.0, 4.0)], 9 * MS), job)


def test_an_engine_with_a_small_largest_batch_is_tuned_within_it() -> None:
    job = make_job(confirm_runs=1, space=Space(workers=("process",)))

    answer = find(make_world(largest=4), job).answer

    assert answer.candidate.max_batch_size <= 4
    assert answer.is_valid


def test_a_setting_that_fails_its_confirmation_is_lowered_until_it_holds() -> None:
    """Runs at full length meet a device that is slower than any probe showed."""
    world = make_world()

    def answer(ask: Ask) -> Reply:
        if isinstance(ask, Measure) or ask.purpose == "probe":
            return world(ask)
        slow = replace(world, curves=[formula(20.6, 8.24)] * 2)
        return slow(ask)

    job = make_job(space=Space(workers=("process",), batches=(8, 12)))
    said: list[str] = []
    found = drive(server.search(job, {}, said.append), answer)

    assert found.is_valid
    assert any("trying a lower rate" in line for line in said)


def test_a_limit_on_power_lowers_the_load_until_it_is_kept() -> None:
    job = make_job(
        space=Space(workers=("process",), batches=(8, 12)),
        constraints=constraints.parse(["power<=60W"]),
    )

    answer = find(make_world(power_w=(30.0, 70.0)), job).answer

    assert answer.is_valid
    drawn = [run.figures["power"] for run in answer.confirmed]
    assert len(drawn) == job.confirm_runs
    assert 50 < min(drawn) <= max(drawn) <= 60


@pytest.mark.slow
def test_unequal_devices_get_caps_of_their_own_and_come_near_the_best() -> None:
    """One as it is, one three times as fast, one at half speed."""
    curves = [formula(20.0, 8.0), formula(10.0, 2.4), formula(40.0, 16.0)]
    space = Space(workers=("process",), batches=(24, 40, 64))
    job = make_job(space=space, confirm_runs=1, confirm_s=3.0, probe_s=2.0)
    world = World(curves, BOUND_NS)

    answer = find(world, job).answer

    caps = dict(answer.candidate.caps)
    assert caps["2"] < caps["0"] < answer.candidate.max_batch_size
    model = model_of(world, job)
    assert answer.target_qps is not None
    best = max(
        model.peak(with_batch(job, model, answer.candidate.variant, b), Learnt())
        for b in job.space.batches
    )
    assert answer.target_qps >= 0.94 * best


def test_bisection_over_the_same_batches_costs_ten_times_as_much() -> None:
    job = make_job(space=Space(workers=("process",), batches=BATCHES), confirm_runs=1)
    by_model, by_verdict = make_world(), make_world()

    mine = find(by_model, job).answer
    theirs = drive(bruteforce.bisect(job, {}, lambda _: None), by_verdict)

    # A probe is a sixth as long as a run whose verdict counts: 10 s and 60 s.
    assert len(trials(by_model, "probe")) / 6 <= len(trials(by_verdict, "search")) / 10
    assert mine.target_qps is not None
    assert theirs.target_qps is not None
    # The margin costs more than in long runs, whose percentile rises by more for 1 % more load.
    assert mine.target_qps >= 0.95 * theirs.target_qps


def test_two_engines_of_one_device_get_no_caps_of_their_own() -> None:
    """On a busy machine one of them is measured slower than the other."""
    fast, slow = (
        {size: Point(factor * CURVE.service_ns(size), 0.0, 0.0) for size in (1, 8, 16)}
        for factor in (1.0, 1.5)
    )
    job = make_job()
    model = Model({Variant(2): Measured((("cpu", fast), ("cpu", slow)))}, job.bounds)

    assert with_batch(job, model, Variant(2), 16).caps == ()


def test_a_run_that_never_waited_does_not_hide_the_way_to_the_device_for_good() -> None:
    world, job = make_world(), make_job()
    lessons = Lessons(job, model_of(world, job))
    candidate = with_batch(job, model_of(world, job), Variant(), 12)
    outcome = world.run(Trial("probe", candidate, 1.0, 50.0))
    assert outcome.trace_facts is not None

    for hop_ns in (None, 750e3):
        facts = replace(outcome.trace_facts, hop_in_ns=hop_ns)
        lessons.learn(candidate, 50.0, replace(outcome, trace_facts=facts), "probe")

    assert lessons.learnt(candidate).host.hop_in_ns == 750e3


# Engines with a ladder


class Waves:
    """S(b) in steps of 20 samples, as a GPU has it: a batch of 21 takes what one of 40 takes."""

    def service_ns(self, batch: int) -> float:
        return (0.3 + 0.9 * -(-batch // 20)) * MS


def asked_before_the_first_trial(world: World, job: Job) -> tuple[list[Measure], Trial]:
    """Answer a search until it wants to run something."""
    search, measures = server.search(job, {}, lambda _: None), []
    ask = next(search)
    while isinstance(ask, Measure):
        measures.append(ask)
        ask = search.send(world(ask))
    return measures, ask


def test_few_sizes_are_measured_and_more_near_the_answer() -> None:
    space = Space(sizes=(1, 4, 12), slots=(2,), delays_us=("late",), has_ladder=True)

    (first, nearby), probe = asked_before_the_first_trial(make_world(), make_job(space=space))

    candidate = probe.candidate
    assert first.has_ladder
    assert nearby.has_ladder
    assert 1 <= len(nearby.sizes) <= 4
    assert not {*first.sizes} & {*nearby.sizes}
    assert {*candidate.sizes} <= {*first.sizes, *nearby.sizes}
    assert candidate.sizes[-1] == candidate.max_batch_size


def test_padding_is_predicted_as_it_runs() -> None:
    world = replace(make_world(), curves=[Waves()] * 2, most_samples=8_000)  # type: ignore[list-item]  # all that is used of one
    job = make_job(space=Space(sizes=(1, 8, 32, 64), has_ladder=True))
    model, learnt = model_of(world, job), Learnt(host=world.host)
    candidate = with_batch(job, model, Variant(), 64)

    predicted_ns = model.percentile_ns(candidate, 12_000, learnt, QUICK)
    real = world.run(Trial("confirm", candidate, 1.0, 12_000))
    exact_ns = model.percentile_ns(replace(candidate, sizes=()), 12_000, learnt, QUICK)

    assert candidate.sizes == (32, 64)
    assert predicted_ns == pytest.approx(real.latency_ns["p99"], rel=0.1)
    assert exact_ns < 0.95 * predicted_ns


@pytest.mark.parametrize(
    ("busy", "is_named", "measured"),
    [(0.99, False, [1]), (0.5, False, [1, 2]), (0.99, True, [1, 2])],
)
def test_a_second_engine_is_measured_where_one_leaves_the_device_idle(
    busy: float, is_named: bool, measured: list[int]
) -> None:
    space = Space(
        variants=(Variant(1), Variant(2)),
        slots=(2,),
        delays_us=("late",),
        batches=(8,),
        names_instances=is_named,
    )

    asked, _ = asked_before_the_first_trial(make_world(busy=busy), make_job(space=space))

    assert [ask.variant.instances for ask in asked] == measured
