"""SingleStream and MultiStream: the lowest latency of one query after the other.

There is no load to find. Every kind of worker and every sensible batch size runs in short runs, and
the best two at full length.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from sut.tuner import asking, space
from sut.tuner.job import Candidate
from sut.tuner.messages import Answer, Predicted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.tuner.job import Job, Variant
    from sut.tuner.messages import Known, Outcome, Say, Search
    from sut.tuner.model import Model

# Predicted settings to try, and measured ones to confirm.
_TRIED, _CONFIRMED = 3, 2


def search(job: Job, known: Known, say: Say) -> Search:
    """Measure S(b), predict the latency of a query, try the best, confirm.

    Raises:
        Unreachable: no batch size could be measured.
    """
    model = yield from asking.measured_model(job, known)
    samples = job.rules.samples_per_query
    predicted_ns = {
        candidate: latency_ns(model, candidate, samples)
        for variant in model.measured
        for candidate in _candidates(job, model, variant, samples)
    }
    if not predicted_ns:
        raise asking.Unreachable(asking.NOTHING_MEASURED)
    ranked = sorted(predicted_ns, key=lambda candidate: predicted_ns[candidate])
    say(
        f"predicted: {predicted_ns[ranked[0]] / 1e6:.3g} ms a query with batch "
        f"{ranked[0].max_batch_size}, without the time of the program itself"
    )
    tried: dict[Candidate, Outcome] = {}
    for candidate in _with_other_workers(job, ranked[:_TRIED]):
        tried[candidate] = yield from asking.probe(job, candidate)
    fastest = sorted(tried, key=lambda candidate: tried[candidate].metric)[:_CONFIRMED]
    runs = yield from asking.confirm_in_turns(job, fastest)
    best = min(runs, key=lambda candidate: fmean(run.metric for run in runs[candidate]))
    return Answer(
        candidate=best,
        confirmed=tuple(runs[best]),
        is_valid=all(run.valid for run in runs[best]),
        predictions=tuple(
            Predicted(replace(c, workers=best.workers), 1e9 / predicted_ns[c], 0.0) for c in ranked
        ),
        notes=tuple(_notes(job, best, runs)),
    )


def latency_ns(model: Model, candidate: Candidate, samples: int) -> float:
    """Return the time of a query of `samples`, cut into batches on the fastest workers."""
    batch = candidate.max_batch_size
    curves = [curve for _, curve in model.measured[candidate.variant].curves]
    batches = math.ceil(samples / batch)
    each = [math.ceil(batches / len(curves)) * c.service_ns(min(batch, samples)) for c in curves]
    return max(each) if batches >= len(curves) else sorted(each)[batches - 1]


def _candidates(job: Job, model: Model, variant: Variant, samples: int) -> list[Candidate]:
    """Return the batch sizes that cut a query evenly, with the system's kind of worker."""
    allowed = job.space.batches or range(1, samples + 1)
    largest = space.largest_of(job, model, variant)
    kind = job.space.workers[0]
    if kind == "inline" and variant.instances > 1:
        kind = "thread"
    return [
        Candidate(batch, 0, 1, kind, variant, sizes=space.ladder_of(job, model, variant, batch))
        for batch in space.cuts(samples)
        if batch in allowed and batch <= largest
    ]


def _with_other_workers(job: Job, ranked: Sequence[Candidate]) -> list[Candidate]:
    """Return all, and the first with the other kinds of worker; inline ones run one engine."""
    first, *others = ranked
    kinds = [replace(first, workers=kind) for kind in job.space.workers]
    return [
        candidate
        for candidate in space.distinct([first, *kinds, *others])
        if candidate.workers != "inline" or candidate.variant.instances == 1
    ]


def _notes(job: Job, best: Candidate, runs: Mapping[Candidate, Sequence[Outcome]]) -> list[str]:
    values = [run.metric for run in runs[best]]
    notes = [
        f"{job.scenario}: {fmean(values) / 1e6:.4g} ms, {min(values) / 1e6:.4g} to "
        f"{max(values) / 1e6:.4g} in {len(values)} run(s)."
    ]
    for other in runs:
        if other != best:
            theirs = fmean(run.metric for run in runs[other])
            notes.append(f"The second best, {other}, takes {theirs / fmean(values) - 1:+.1%}.")
    return notes
