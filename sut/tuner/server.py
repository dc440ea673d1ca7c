"""Server by the model: measure S(b), predict, probe, correct, confirm.

A search in the sense of sut.tuner.messages: yields its questions, and never knows who answers.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sut.tuner import predict
from sut.tuner.asking import Unreachable, measured_model, measured_nearby, probe
from sut.tuner.confirm import Claim, confirm, rounded
from sut.tuner.learning import Lessons
from sut.tuner.learnt import Learnt
from sut.tuner.messages import Answer, Curve
from sut.tuner.model import FINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sut.tuner.job import Candidate, Job
    from sut.tuner.messages import Known, Predicted, Say, Search, Steps
    from sut.tuner.model import Model

# Candidates to probe, and probes of each; later ones use what the first showed.
_CONTENDERS, _PROBES = 3, 2
# A candidate predicted this far below the best is not probed: a correction moves all of them.
_CONTENDER_SHARE = 0.02
# Batch sizes nearer to each other than this behave alike, so only one is probed.
_ALIKE_SHARE = 0.1
# If the first candidate is this far from its prediction, all candidates are predicted again.
_SURPRISE = 0.03
# One probe is enough if it is VALID this close to the rate that follows from it.
_NEAR_RATE = 0.004


def search(job: Job, known: Known, say: Say) -> Search:
    """Measure S(b), predict, probe, correct, confirm.

    Raises:
        Unreachable: no setting meets the bounds.
    """
    model = yield from measured_model(job, known)
    if job.space.has_ladder and not job.space.batches:
        ranked = predict.rank(job, model, say, Learnt())
        if ranked and ranked[0].qps:
            model = yield from measured_nearby(job, model, ranked[0].candidate)
    return (yield from settle(job, model, partial(predict.rank, job, model, say), say))


def settle(
    job: Job,
    model: Model,
    rank: Callable[[Learnt], list[Predicted]],
    say: Say,
) -> Search:
    """Probe the best predictions, and confirm the best of them.

    `rank` predicts with what runs showed, and returns the best first.

    Raises:
        Unreachable: no predicted setting meets the bounds.
    """
    ranked = rank(Learnt())
    if not ranked or not ranked[0].qps:
        raise Unreachable(predict.why_unreachable(job, model))
    say(
        f"predicted: {ranked[0].qps:,.0f} queries/s with {ranked[0].candidate}. "
        f"{predict.flatness(ranked)}"
    )
    lessons = Lessons(job, model)
    first, qps = next(iter(_contenders(ranked).items()))
    yield from _probe(job, lessons, first, qps)
    if lessons.safe_rate(first, qps) < (1 - _SURPRISE) * qps:
        say("the first runs differ from the prediction; predicting again with their times")
        corrected = rank(lessons.learnt(first))
        ranked = corrected if corrected and corrected[0].qps else ranked
    rates = _contenders(ranked)
    for candidate, qps in rates.items():
        if not lessons.measured(candidate):
            yield from _probe(job, lessons, candidate, qps)
    rates = {candidate: lessons.safe_rate(candidate, qps) for candidate, qps in rates.items()}
    best, *others = sorted(rates, key=lambda candidate: -rates[candidate])
    near = [other for other in others if rates[other] >= (1 - _CONTENDER_SHARE) * rates[best]]
    chosen = yield from _other_workers(job, lessons, best, rates[best])
    rival = near[0] if near else best if chosen != best else None
    if job.space.has_ladder:
        rival = None  # each of its runs would open the engines anew, for longer than it lasts
    claim = Claim(chosen, rounded(lessons.safe_rate(chosen, rates[best])), rival)
    claim = yield from confirm(job, lessons, claim, say)
    return _answer(model, ranked, lessons, claim)


def _contenders(ranked: Sequence[Predicted]) -> dict[Candidate, float]:
    """Return the best of each batch size with its rate, if it is near the top."""
    found: dict[Candidate, float] = {}
    for predicted in ranked:
        candidate, qps = predicted.candidate, predicted.qps
        is_near = qps >= (1 - _CONTENDER_SHARE) * ranked[0].qps
        is_new = not any(_are_alike(candidate, other) for other in found)
        if predicted.is_fine == ranked[0].is_fine and is_near and is_new:
            found[candidate] = qps
    return dict(list(found.items())[:_CONTENDERS])


def _are_alike(one: Candidate, other: Candidate) -> bool:
    difference = abs(one.max_batch_size - other.max_batch_size)
    near = difference < _ALIKE_SHARE * max(one.max_batch_size, other.max_batch_size)
    return one.variant == other.variant and bool(one.caps) == bool(other.caps) and near


def _probe(job: Job, lessons: Lessons, candidate: Candidate, qps: float) -> Steps[None]:
    """Probe a candidate until its rate settles, and learn from it."""
    for _ in range(_PROBES):
        qps = rounded(lessons.safe_rate(candidate, qps))
        outcome = yield from probe(job, candidate, qps)
        lessons.learn(candidate, qps, outcome, "probe")
        if outcome.valid and abs(lessons.safe_rate(candidate, qps) - qps) <= _NEAR_RATE * qps:
            break


def _other_workers(job: Job, lessons: Lessons, best: Candidate, qps: float) -> Steps[Candidate]:
    """Probe the other kinds of worker in turns with the best; return the one that is faster."""
    qps, name = rounded(qps), job.bound.name
    for kind in [kind for kind in job.space.workers if kind != best.workers]:
        other = replace(best, workers=kind)
        theirs = yield from probe(job, other, qps)
        mine = yield from probe(job, best, qps)
        lessons.learn(best, qps, mine, "probe")
        is_fair = theirs.is_disturbed <= mine.is_disturbed and not theirs.stopped
        if is_fair and theirs.latency_ns[name] < mine.latency_ns[name]:
            lessons.learn(other, qps, theirs, "probe")
            best = other
    return best


def _answer(model: Model, ranked: Sequence[Predicted], lessons: Lessons, claim: Claim) -> Answer:
    return Answer(
        candidate=claim.candidate,
        confirmed=tuple(claim.runs),
        is_valid=claim.is_proven,
        target_qps=claim.qps,
        confidence=claim.confidence,
        predictions=tuple(ranked),
        curve=_curve(model, lessons, claim),
        notes=(predict.flatness(ranked), *lessons.notes(claim.candidate), *claim.notes),
    )


# Rates of the curve in the report, as shares of the found rate.
_CURVE_SHARES = (0.7, 0.8, 0.9, 0.94, 0.97, 0.985, 1.0, 1.01, 1.02)


def _curve(model: Model, lessons: Lessons, claim: Claim) -> Curve:
    candidate = claim.candidate
    rates = [share * claim.qps for share in _CURVE_SHARES]
    learnt = lessons.learnt(candidate)
    return Curve(
        tuple((q, model.percentile_ns(candidate, q, Learnt(), FINE)) for q in rates),
        tuple((q, model.percentile_ns(candidate, q, learnt, FINE)) for q in rates),
        tuple(lessons.measured(candidate)),
    )
