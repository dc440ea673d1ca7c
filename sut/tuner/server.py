"""Server by the model: measure S(b), predict, probe, correct, confirm.

A search in the sense of sut.tuner.messages: yields its questions, and never knows who answers.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from sut.base.errors import SutError
from sut.serve.service_times import Measured
from sut.tuner import predict
from sut.tuner.confirm import Claim, confirm, rounded
from sut.tuner.learning import Lessons
from sut.tuner.learnt import Learnt
from sut.tuner.messages import Answer, Curve, Measure, Predicted, Trial, run_trial
from sut.tuner.model import FINE, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, MutableMapping, Sequence

    from sut.tuner.job import Candidate, Job, Variant
    from sut.tuner.messages import Ask, Reply, Search

MS = 1e6
Say: TypeAlias = "Callable[[str], None]"
# Candidates to probe, and probes of each; later ones use what the first showed.
_CONTENDERS, _PROBES = 3, 2
# A candidate predicted this far below the best is not probed: a correction moves all of them.
_CONTENDER_SHARE = 0.02
# Batch sizes nearer to each other than this behave alike, so only one is probed.
_ALIKE_SHARE = 0.1
# If the first candidate is this far from its prediction, all candidates are predicted again.
_SURPRISE = 0.03
# Sizes are measured until one takes this many times the budget, because times of similar sizes
# differ by noise, and a larger one may be within the budget again.
_BEYOND_BUDGET = 1.5
# One probe is enough if it is VALID this close to the rate that follows from it.
_NEAR_RATE = 0.004


class Unreachable(SutError):
    """No setting meets the bounds; the message says why."""


def search(job: Job, known: MutableMapping[str, float], say: Callable[[str], None]) -> Search:
    """Search; `known` keeps predictions, `say` receives progress lines.

    Raises:
        Unreachable: no setting meets the bounds.
    """
    measured = yield from measure(job)
    model = Model(measured, job.bounds, job.confirm_s, known)
    ranked = predict.rank(job, model, say)
    return (yield from settle(job, model, ranked, partial(predict.rank, job, model, say), say))


def settle(
    job: Job,
    model: Model,
    ranked: Sequence[Predicted],
    again: Callable[[Learnt], list[Predicted]],
    say: Callable[[str], None],
) -> Search:
    """Probe the best predictions, and confirm the best of them.

    Args:
        job: what is tuned.
        model: of the variants measured.
        ranked: predictions, the best first.
        again: predicts again with the results of the first runs.
        say: receives progress lines.

    Raises:
        Unreachable: no predicted setting meets the bounds.
    """
    if not ranked or not ranked[0].qps:
        raise Unreachable(unreachable(job, model))
    say(
        f"predicted: {ranked[0].qps:,.0f} queries/s with {ranked[0].candidate}. "
        f"{predict.flatness(ranked)}"
    )
    lessons = Lessons(job, model)
    first, qps = next(iter(_contenders(ranked).items()))
    yield from _probe(job, lessons, first, qps)
    if lessons.safe_rate(first, qps) < (1 - _SURPRISE) * qps:
        say("the first runs differ from the prediction; predicting again with their times")
        corrected = again(lessons.learnt(first))
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
    claim = Claim(chosen, rounded(lessons.safe_rate(chosen, rates[best])), rival)
    claim = yield from confirm(job, lessons, claim, say)
    return _answer(model, ranked, lessons, claim)


def measure(job: Job) -> Generator[Ask, Reply, dict[Variant, Measured]]:
    """Ask for S(b) of every variant."""
    found = {}
    for variant in job.space.variants:
        found[variant] = yield from measure_one(job, variant)
    return found


def measure_one(job: Job, variant: Variant) -> Generator[Ask, Reply, Measured]:
    """Ask for S(b) of one variant, and with a budget also for batches that run alone."""
    limit_ns = min((bound.limit_ns for bound in job.bounds), default=None)
    if job.budget is not None:
        limit_ns = _BEYOND_BUDGET * job.budget.limit_ns
    reply = yield Measure(variant, job.space.sizes, limit_ns, job.budget is not None)
    assert isinstance(reply, Measured)
    return reply


def unreachable(job: Job, model: Model) -> str:
    """Explain why nothing fits."""
    bound = job.bound
    alone = {
        device: curve.service_ns(1)
        for measured in model.measured.values()
        for device, curve in measured.curves
    }
    device, least_ns = min(alone.items(), key=lambda pair: pair[1])
    return (
        f"{bound.name} of {bound.limit_ns / MS:g} ms cannot be met: a batch of one takes "
        f"{least_ns / MS:.3g} ms on the fastest device, {device}, plus the time to wait and to get "
        "there and back. Allow more latency, or use a faster engine."
    )


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


def _probe(
    job: Job, lessons: Lessons, candidate: Candidate, qps: float
) -> Generator[Ask, Reply, None]:
    """Probe a candidate until its rate settles, and learn from it."""
    for _ in range(_PROBES):
        qps = rounded(lessons.safe_rate(candidate, qps))
        outcome = yield from run_trial(Trial("probe", candidate, job.probe_s, qps))
        lessons.learn(candidate, qps, outcome, "probe")
        if outcome.valid and abs(lessons.safe_rate(candidate, qps) - qps) <= _NEAR_RATE * qps:
            break


def _other_workers(
    job: Job, lessons: Lessons, best: Candidate, qps: float
) -> Generator[Ask, Reply, Candidate]:
    """Probe the other kinds of worker in turns with the best; return the one that is faster."""
    qps, name = rounded(qps), job.bound.name
    for kind in [kind for kind in job.space.workers if kind != best.workers]:
        other = replace(best, workers=kind)
        theirs = yield from run_trial(Trial("probe", other, job.probe_s, qps))
        mine = yield from run_trial(Trial("probe", best, job.probe_s, qps))
        lessons.learn(best, qps, mine, "probe")
        is_fair = theirs.is_disturbed <= mine.is_disturbed and not theirs.stopped
        if is_fair and theirs.latency_ns[name] < mine.latency_ns[name]:
            lessons.learn(other, qps, theirs, "probe")
            best = other
    return best


def _answer(model: Model, ranked: Sequence[Predicted], lessons: Lessons, claim: Claim) -> Answer:
    return Answer(
        candidate=claim.candidate,
        target_qps=claim.qps,
        value=min(run.metric for run in claim.runs),
        confirmed=tuple(claim.runs),
        is_valid=claim.is_proven,
        confidence=claim.confidence,
        predictions=tuple(ranked),
        measured=tuple(model.measured.items()),
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
