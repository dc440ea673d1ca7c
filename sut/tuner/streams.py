"""SingleStream and MultiStream: the lowest latency of one query after the other.

There is no load to find. Every kind of worker and every sensible batch size runs in short runs, and
the best two at full length.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from sut.tuner import server, space
from sut.tuner.job import Candidate, Variant
from sut.tuner.messages import Answer, Predicted, Trial, run_trial
from sut.tuner.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, MutableMapping, Sequence

    from sut.config.settings import WorkerKind
    from sut.tuner.job import Job
    from sut.tuner.messages import Ask, Outcome, Reply, Search

# Predicted settings to try, and measured ones to confirm.
_TRIED, _CONFIRMED = 3, 2


def search(job: Job, known: MutableMapping[str, float], say: Callable[[str], None]) -> Search:
    """Measure S(b), predict the latency of a query, try the best, confirm."""
    measured = yield from server.measure(job)
    model = Model(measured, job.bounds, job.confirm_s, known)
    samples = job.rules.samples_per_query
    predicted = sorted(
        (
            (latency_ns(model, variant, batch, samples), variant, batch)
            for variant in measured
            for batch in _sizes(job, model, variant, samples)
        ),
        key=lambda found: found[0],
    )
    if not predicted:
        raise server.Unreachable("no batch size could be measured, so there is none to choose.")
    say(
        f"predicted: {predicted[0][0] / 1e6:.3g} ms a query with batch {predicted[0][2]}, without "
        "the time of the program itself"
    )
    tried = yield from _probe(job, [(v, b) for _, v, b in predicted[:_TRIED]])
    ranked = sorted(tried, key=lambda candidate: tried[candidate].metric)[:_CONFIRMED]
    runs = yield from _confirm(job, ranked)
    best = min(runs, key=lambda candidate: fmean(run.metric for run in runs[candidate]))
    return _answer(job, model, best, runs, [(ns, v, b) for ns, v, b in predicted])


def latency_ns(model: Model, variant: Variant, batch: int, samples: int) -> float:
    """Return the time of a query of `samples`, cut into batches on the fastest workers."""
    curves = [curve for _, curve in model.measured[variant].curves]
    batches = math.ceil(samples / batch)
    each = [math.ceil(batches / len(curves)) * c.service_ns(min(batch, samples)) for c in curves]
    return max(each) if batches >= len(curves) else sorted(each)[batches - 1]


def _sizes(job: Job, model: Model, variant: Variant, samples: int) -> list[int]:
    """Return the batch sizes that cut a query evenly."""
    allowed = job.space.batches or range(1, samples + 1)
    largest = min(model.measured[variant].largest, job.space.largest_batch or samples)
    cuts = {math.ceil(samples / parts) for parts in range(1, samples + 1)}
    return sorted(b for b in cuts if b in allowed and b <= largest)


def _probe(
    job: Job, settings: Sequence[tuple[Variant, int]]
) -> Generator[Ask, Reply, dict[Candidate, Outcome]]:
    """Try each with the system's kind of worker, and the first with the other kinds."""
    first, *others = [
        Candidate(batch, 0, 1, _worker(job, variant), variant) for variant, batch in settings
    ]
    kinds = [replace(first, workers=kind) for kind in job.space.workers]
    found = {}
    for candidate in space.distinct([first, *kinds, *others]):
        if candidate.workers == "inline" and candidate.variant.instances > 1:
            continue
        found[candidate] = yield from run_trial(Trial("probe", candidate, job.probe_s))
    return found


def _worker(job: Job, variant: Variant) -> WorkerKind:
    own = job.space.workers[0]
    return "thread" if own == "inline" and variant.instances > 1 else own


def _confirm(
    job: Job, candidates: Sequence[Candidate]
) -> Generator[Ask, Reply, dict[Candidate, list[Outcome]]]:
    """Run all in turns, so that other work on the machine affects them equally."""
    runs: dict[Candidate, list[Outcome]] = {candidate: [] for candidate in candidates}
    for _ in range(job.confirm_runs):
        for candidate in candidates:
            run = yield from run_trial(Trial("confirm", candidate, job.confirm_s))
            runs[candidate].append(run)
    return runs


def _answer(
    job: Job,
    model: Model,
    best: Candidate,
    runs: dict[Candidate, list[Outcome]],
    predicted: Sequence[tuple[float, Variant, int]],
) -> Answer:
    mine = runs[best]
    values = [run.metric for run in mine]
    others = [candidate for candidate in runs if candidate != best]
    notes = [
        f"{job.scenario}: {fmean(values) / 1e6:.4g} ms, {min(values) / 1e6:.4g} to "
        f"{max(values) / 1e6:.4g} in {len(values)} run(s)."
    ]
    for other in others:
        theirs = fmean(run.metric for run in runs[other])
        notes.append(f"The second best, {other}, takes {theirs / fmean(values) - 1:+.1%}.")
    return Answer(
        candidate=best,
        target_qps=None,
        value=fmean(values),
        confirmed=tuple(mine),
        is_valid=all(run.valid for run in mine),
        confidence=None,
        predictions=tuple(
            Predicted(Candidate(batch, 0, 1, best.workers, variant), 1e9 / ns, 0.0)
            for ns, variant, batch in predicted
        ),
        measured=tuple(model.measured.items()),
        notes=tuple(notes),
    )
